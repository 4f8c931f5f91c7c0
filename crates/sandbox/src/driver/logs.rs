//! A container's log: its command is run again in the simulated shell, up to now at once, then as time passes. Nothing is
//! stored, so a log costs nothing until it is read.

use super::kubelet::{Found, argv};
use super::{Shared, now};
use crate::deeds::Deed;
use crate::shell::{Io, Stop, Stream};
use crate::{script, spec};
use bytes::Bytes;
use client::BodyStream;
use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use node::{LogOptions, LogStream};
use object::{ApiError, Result, Value, meta};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Chunks waiting for a slow reader; the log waits with them.
const CHUNKS: usize = 16;
/// Lines kept of the past, if fewer were not asked for.
const LINES: usize = 10_000;
/// Sleeps of the past that are skipped one by one; a log older than that begins late.
const SKIPS: u32 = 200_000;

/// One run of a container.
struct Run {
    started: Timestamp,
    finished: Option<Timestamp>,
}

/// The log that `options` ask for.
///
/// # Errors
/// The kubelet's words when there is no such run (yet).
pub(super) fn stream(shared: Arc<Shared>, found: Found, options: LogOptions) -> Result<BodyStream> {
    let since = match (&options.since_time, options.since_seconds) {
        (Some(time), _) => object::time::parse(time).ok(),
        (None, Some(seconds)) => Some(spec::later(now(), -(seconds as f64))),
        (None, None) => None,
    };
    stream_since(shared, found, options, since)
}

/// As [`stream`], with lines from `since` on.
pub(super) fn stream_since(
    shared: Arc<Shared>,
    found: Found,
    options: LogOptions,
    since: Option<Timestamp>,
) -> Result<BodyStream> {
    let (name, pod) = (spec::name(&found.container).to_owned(), meta::name(&found.pod).to_owned());
    let run = match options.previous {
        true => run_of(&found.status["lastState"]),
        false => run_of(&found.status["state"]).or_else(|| run_of(&found.status["lastState"])),
    };
    let run = run.ok_or_else(|| match options.previous {
        true => ApiError::BadRequest(format!(
            "previous terminated container \"{name}\" in pod \"{pod}\" not found"
        )),
        false => {
            let reason = found.status["state"]["waiting"]["reason"].as_str().unwrap_or("ContainerCreating");
            ApiError::BadRequest(format!(
                "container \"{name}\" in pod \"{pod}\" is waiting to start: {reason}"
            ))
        }
    })?;
    let (sink, chunks) = mpsc::channel(CHUNKS);
    let work: BoxFuture<'static, ()> = Box::pin(replay(shared, found, options, since, run, sink));
    // The stream is the task: dropping it ends the replay.
    let next = |(mut work, mut chunks): (Option<BoxFuture<'static, ()>>, mpsc::Receiver<Bytes>)| async move {
        loop {
            tokio::select! {
                biased;
                chunk = chunks.recv() => return chunk.map(|chunk| (Ok(chunk), (work, chunks))),
                () = async { work.as_mut().expect("checked by the branch's condition").await }, if work.is_some() => work = None,
            }
        }
    };
    Ok(futures::stream::unfold((Some(work), chunks), next).boxed())
}

fn run_of(state: &Value) -> Option<Run> {
    if let Some(started) = spec::time(&state["running"]["startedAt"]) {
        return Some(Run { started, finished: None });
    }
    let ended = &state["terminated"];
    Some(Run { started: spec::time(&ended["startedAt"])?, finished: spec::time(&ended["finishedAt"]) })
}

async fn replay(
    shared: Arc<Shared>,
    found: Found,
    options: LogOptions,
    since: Option<Timestamp>,
    run: Run,
    sink: mpsc::Sender<Bytes>,
) {
    let follow = options.follow && run.finished.is_none();
    let end = follow.then(|| ended(shared, &found));
    let mut log = Log { since, ..Log::new(&options, &run, end, sink) };
    let code = write(&found, &mut log).await;
    // Only a client that went away keeps the past from being shown.
    if log.flush().await.is_err() || code == Err(Stop::Over) {
        return;
    }
    if let Some(end) = log.end {
        end.await;
    }
}

/// Runs the container's command with its text going to the log.
async fn write(found: &Found, log: &mut Log) -> std::result::Result<(), Stop> {
    if let Some(text) = spec::script(&found.pod, &found.container, "log") {
        log.write(Stream::Out, &format!("{text}\n")).await?;
    }
    let image = found.container["image"].as_str().unwrap_or("");
    let argv = argv(found);
    if let Some(deed) = Deed::of(&found.container, &argv) {
        return log.write(Stream::Out, &deed.says()).await;
    }
    if argv.is_empty() {
        let text = format!(
            "sandbox: simulated container {} of image {image} started\n",
            spec::name(&found.container)
        );
        return log.write(Stream::Out, &text).await;
    }
    let place = found.place();
    let mut shell =
        script::shell(&found.pod, &found.container, found.variables.clone(), &found.sources, &place, log);
    shell.files.extend(found.begun.clone());
    match shell.command(&argv).await {
        Err(Stop::Forever(program)) => {
            let text = format!("sandbox: {program} (image {image}) is simulated: it counts as running\n");
            log.write(Stream::Out, &text).await
        }
        other => other.map(drop),
    }
}

/// Waits until the container has ended or is gone; answers when it did.
fn ended(shared: Arc<Shared>, found: &Found) -> BoxFuture<'static, Timestamp> {
    let pod = &found.pod;
    let [namespace, name, uid] = [meta::namespace(pod), meta::name(pod), meta::uid(pod)].map(str::to_owned);
    let id = found.status["containerID"].clone();
    Box::pin(async move {
        let mut changes = shared.changes.subscribe();
        loop {
            let pod = shared.cache.get(&shared.resources.pods, &namespace, &name);
            let Some(pod) = pod.filter(|pod| meta::uid(pod) == uid) else { return now() };
            if let Some(end) = end_of(&pod, &id) {
                return end;
            }
            if changes.changed().await.is_err() {
                return now();
            }
        }
    })
}

/// When the container with this ID ended; `None` while it runs.
fn end_of(pod: &Value, id: &Value) -> Option<Timestamp> {
    let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let mut end = None;
    for status in lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten()) {
        if status["containerID"] == *id && status["state"]["running"].is_object() {
            return None;
        }
        let ended = [&status["state"]["terminated"], &status["lastState"]["terminated"]];
        let ended = ended.into_iter().find(|ended| ended["containerID"] == *id);
        end = end.or_else(|| spec::time(&ended?["finishedAt"]));
    }
    Some(end.unwrap_or_else(now))
}

/// Takes the text of a run, and gives what was asked for.
struct Log {
    started: Timestamp,
    finished: Option<Timestamp>,
    elapsed: f64,
    skips: u32,
    /// Of a run that goes on and is followed: its end.
    end: Option<BoxFuture<'static, Timestamp>>,
    stream: LogStream,
    timestamps: bool,
    since: Option<Timestamp>,
    tail: usize,
    left: Option<u64>,
    /// Lines of the past, until they are shown.
    past: VecDeque<String>,
    live: bool,
    /// An unfinished line of each stream.
    open: [String; 2],
    sink: mpsc::Sender<Bytes>,
}

impl Log {
    fn new(
        options: &LogOptions,
        run: &Run,
        end: Option<BoxFuture<'static, Timestamp>>,
        sink: mpsc::Sender<Bytes>,
    ) -> Self {
        Self {
            started: run.started,
            finished: run.finished,
            elapsed: 0.0,
            skips: 0,
            end,
            stream: options.stream,
            timestamps: options.timestamps,
            since: None,
            tail: options.tail_lines.map_or(LINES, |n| usize::try_from(n).unwrap_or(LINES).min(LINES)),
            left: options.limit_bytes,
            past: VecDeque::new(),
            live: false,
            open: Default::default(),
            sink,
        }
    }

    fn at(&self) -> Timestamp {
        spec::later(self.started, self.elapsed)
    }

    async fn line(&mut self, line: String) -> std::result::Result<(), Stop> {
        let at = self.at();
        if self.since.is_some_and(|since| at < since) {
            return Ok(());
        }
        let line = if self.timestamps { format!("{at:.9} {line}") } else { line };
        if self.live {
            return self.send(line).await;
        }
        self.past.push_back(line);
        if self.past.len() > self.tail {
            self.past.pop_front();
        }
        Ok(())
    }

    async fn send(&mut self, mut text: String) -> std::result::Result<(), Stop> {
        if let Some(left) = &mut self.left {
            text.truncate(
                text.floor_char_boundary(usize::try_from(*left).unwrap_or(usize::MAX).min(text.len())),
            );
            *left -= text.len() as u64;
            if text.is_empty() {
                return Err(Stop::Over);
            }
        }
        self.sink.send(text.into()).await.map_err(|_| Stop::Over)
    }

    /// Waits for what comes at `at`, if the container lasts until then.
    async fn live_until(&mut self, at: Timestamp) -> std::result::Result<(), Stop> {
        if self.end.is_some() {
            self.flush().await?;
        }
        let Some(end) = &mut self.end else { return Err(Stop::Over) };
        let wait = Duration::try_from(at.duration_since(now())).unwrap_or(Duration::ZERO);
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.sink.closed() => Err(Stop::Over),
            end = end => {
                self.end = None;
                self.finished = Some(end);
                if at > end { Err(Stop::Over) } else { Ok(()) }
            }
        }
    }

    /// Shows the past; from here on lines go out as they come.
    async fn flush(&mut self) -> std::result::Result<(), Stop> {
        for open in std::mem::take(&mut self.open).into_iter().filter(|o| !o.is_empty()) {
            self.line(open).await?;
        }
        self.live = true;
        let past: String = std::mem::take(&mut self.past).into_iter().collect();
        if past.is_empty() { Ok(()) } else { self.send(past).await }
    }
}

impl Io for Log {
    fn write<'a>(
        &'a mut self,
        stream: Stream,
        text: &'a str,
    ) -> BoxFuture<'a, std::result::Result<(), Stop>> {
        Box::pin(async move {
            let wanted = match self.stream {
                LogStream::All => true,
                LogStream::Stdout => stream == Stream::Out,
                LogStream::Stderr => stream == Stream::Err,
            };
            if !wanted {
                return Ok(());
            }
            let which = usize::from(stream == Stream::Err);
            for piece in text.split_inclusive('\n') {
                self.open[which].push_str(piece);
                if piece.ends_with('\n') {
                    let line = std::mem::take(&mut self.open[which]);
                    self.line(line).await?;
                }
            }
            Ok(())
        })
    }

    fn sleep(&mut self, seconds: f64) -> BoxFuture<'_, std::result::Result<(), Stop>> {
        Box::pin(async move {
            self.elapsed += seconds;
            self.skips += u32::from(!self.live);
            let (at, now) = (self.at(), now());
            if self.finished.is_some_and(|end| at > end) || self.skips > SKIPS {
                return Err(Stop::Over);
            }
            if at <= now {
                // A long past is skipped without keeping others from their turn.
                if self.skips.is_multiple_of(256) {
                    tokio::task::yield_now().await;
                }
                return Ok(());
            }
            self.live_until(at).await
        })
    }
}
