//! `exec` and `attach`: a simulated process on one end of a session.

use super::kubelet::{Found, argv};
use super::{Shared, logs};
use crate::shell::{Files, Io, Shell, Stop, Stream, Unknown};
use crate::{script, spec};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use node::{ExecOptions, LogOptions, Process};
use object::meta;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Standard input read whole is cut off here.
const INPUT: usize = 1 << 20;
/// Bytes that `exec` may leave behind in one container; what is more is lost at its end.
const WRITTEN: usize = 256 << 10;
/// Bytes sent at once.
const CHUNK: usize = 16 << 10;
/// Longest line that an interactive shell takes.
const LINE: usize = 16 << 10;

/// Runs a command in a container; without one, talks to the shell that is its main process.
pub(super) async fn exec(shared: Arc<Shared>, found: Found, options: ExecOptions, mut process: Process) {
    let mut terminal = Terminal::new(&mut process, options.streams.tty);
    let before = found.files.clone();
    let mut shell = Shell::new(
        &spec::hostname(&found.pod),
        found.variables.clone(),
        found.files.clone(),
        Unknown::NotFound,
        &mut terminal,
    );
    let command = match options.command.is_empty() {
        true => script::conversation(&found.container, &argv(&found)).unwrap_or_default(),
        false => options.command.clone(),
    };
    let interactive = script::is_shell(&command);
    let cancelled = shared.shutdown.clone();
    let work = async {
        match interactive {
            true => converse(&mut shell).await,
            false => shell.command(&command).await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        () = cancelled.cancelled() => Err(Stop::Over),
    };
    let files = std::mem::take(&mut shell.files);
    keep(&shared, &found, &before, files);
    drop(terminal);
    match result {
        Ok(code) => {
            if options.command.is_empty() {
                shared.talked_out(&found, code);
            }
            process.exit(code);
        }
        // `tail -f` and the like would hang for ever; the session stays until the client goes.
        Err(Stop::Forever(_)) => {
            tokio::select! {
                () = process.gone() => {}
                () = cancelled.cancelled() => {}
            }
            process.exit(137);
        }
        Err(Stop::Over) => process.exit(137),
    }
}

/// Joins the container's main process: its log from now on, or a shell where that is what it runs.
pub(super) async fn attach(shared: Arc<Shared>, found: Found, options: ExecOptions, process: Process) {
    if options.streams.stdin && script::conversation(&found.container, &argv(&found)).is_some() {
        let options = ExecOptions { command: vec![], ..options };
        return exec(shared, found, options, process).await;
    }
    let Process { stdout, .. } = &process;
    let Some(stdout) = stdout.clone() else {
        process.gone().await;
        return process.exit(0);
    };
    let pod = (meta::namespace(&found.pod).to_owned(), meta::name(&found.pod).to_owned());
    let name = spec::name(&found.container).to_owned();
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    // What was said before is in the log.
    if let Ok(mut log) = logs::stream_since(shared.clone(), found, follow, Some(super::now())) {
        let copy = async {
            while let Some(Ok(chunk)) = log.next().await {
                if stdout.send(chunk).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = copy => {}
            () = process.gone() => {}
            () = shared.shutdown.cancelled() => {}
        }
    }
    drop(stdout);
    let pod = shared.cache.get(&shared.resources.pods, &pod.0, &pod.1);
    let status =
        pod.as_ref().and_then(|p| p["status"]["containerStatuses"].as_array()).cloned().unwrap_or_default();
    let code = status
        .iter()
        .find(|s| s["name"] == *name)
        .and_then(|s| s["state"]["terminated"]["exitCode"].as_i64());
    process.exit(code.unwrap_or(0) as i32);
}

async fn converse(shell: &mut Shell<'_>) -> Result<i32, Stop> {
    loop {
        shell.prompt().await?;
        let Some(line) = shell.read_line().await? else { return Ok(shell.code()) };
        if shell.line(&line).await?.is_none() {
            return Ok(shell.code());
        }
    }
}

fn keep(shared: &Shared, found: &Found, before: &Files, after: Files) {
    let changed: Files = after.into_iter().filter(|(path, bytes)| before.get(path) != Some(bytes)).collect();
    if changed.is_empty() {
        return;
    }
    let mut written = shared.written.lock();
    let containers = written.entry(meta::uid(&found.pod).to_owned()).or_default();
    let files = containers.entry(spec::name(&found.container).to_owned()).or_default();
    files.extend(changed);
    if files.iter().map(|(path, bytes)| path.len() + bytes.len()).sum::<usize>() > WRITTEN {
        files.clear();
    }
}

/// A session as a shell sees it. With a terminal, typed text is echoed and edited here, as a kernel would.
struct Terminal<'a> {
    process: &'a mut Process,
    tty: bool,
    /// Input that was received and not yet used.
    pending: Vec<u8>,
}

impl<'a> Terminal<'a> {
    fn new(process: &'a mut Process, tty: bool) -> Self {
        Self { process, tty, pending: vec![] }
    }

    async fn send(&mut self, stream: Stream, text: &str) -> Result<(), Stop> {
        let to: &Option<mpsc::Sender<Bytes>> = match (stream, self.tty) {
            (Stream::Err, false) => &self.process.stderr,
            _ => &self.process.stdout,
        };
        let Some(to) = to.as_ref().filter(|_| !text.is_empty()) else { return Ok(()) };
        let text = if self.tty { text.replace('\n', "\r\n") } else { text.to_owned() };
        to.send(text.into()).await.map_err(|_| Stop::Over)
    }

    /// More input; `false` at its end.
    async fn fill(&mut self) -> bool {
        let Some(stdin) = &mut self.process.stdin else { return false };
        match stdin.recv().await {
            Some(bytes) => {
                self.pending.extend_from_slice(&bytes);
                true
            }
            None => false,
        }
    }

    async fn line(&mut self) -> Result<Option<String>, Stop> {
        let mut line: Vec<u8> = vec![];
        loop {
            for byte in std::mem::take(&mut self.pending)
                .into_iter()
                .collect::<std::collections::VecDeque<_>>()
                .drain(..)
            {
                // What follows the end of the line is for the next one.
                if line.last() == Some(&b'\n') {
                    self.pending.push(byte);
                    continue;
                }
                match (byte, self.tty) {
                    (b'\r' | b'\n', true) => line.push(b'\n'),
                    (b'\n', false) => line.push(b'\n'),
                    (4, true) if line.is_empty() => return Ok(None),
                    (3, true) => {
                        line.clear();
                        self.send(Stream::Out, "^C\n/ # ").await?;
                    }
                    (8 | 127, true) => {
                        let erased = line.pop().map_or("", |_| "\u{8} \u{8}");
                        self.send(Stream::Out, erased).await?;
                    }
                    (byte, _) if line.len() < LINE => {
                        line.push(byte);
                        if self.tty {
                            self.send(Stream::Out, &(byte as char).to_string()).await?;
                        }
                    }
                    _ => {}
                }
            }
            if line.last() == Some(&b'\n') {
                if self.tty {
                    self.send(Stream::Out, "\n").await?;
                }
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if !self.fill().await {
                let rest = (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned());
                return Ok(rest);
            }
        }
    }
}

impl Io for Terminal<'_> {
    fn write<'a>(&'a mut self, stream: Stream, text: &'a str) -> BoxFuture<'a, Result<(), Stop>> {
        Box::pin(self.send(stream, text))
    }

    fn sleep(&mut self, seconds: f64) -> BoxFuture<'_, Result<(), Stop>> {
        Box::pin(async move {
            let wait = std::time::Duration::try_from_secs_f64(seconds).unwrap_or(std::time::Duration::MAX);
            tokio::select! {
                () = tokio::time::sleep(wait) => Ok(()),
                () = self.process.gone() => Err(Stop::Over),
            }
        })
    }

    fn read_all(&mut self) -> BoxFuture<'_, Result<String, Stop>> {
        Box::pin(async move {
            while self.pending.len() < INPUT && self.fill().await {}
            Ok(String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned())
        })
    }

    fn write_bytes<'b>(&'b mut self, bytes: &'b [u8]) -> BoxFuture<'b, Result<(), Stop>> {
        Box::pin(async move {
            let Some(to) = &self.process.stdout else { return Ok(()) };
            for chunk in bytes.chunks(CHUNK) {
                to.send(Bytes::copy_from_slice(chunk)).await.map_err(|_| Stop::Over)?;
            }
            Ok(())
        })
    }

    fn read_bytes(&mut self) -> BoxFuture<'_, Result<Vec<u8>, Stop>> {
        Box::pin(async move {
            while self.pending.len() < INPUT && self.fill().await {}
            Ok(std::mem::take(&mut self.pending))
        })
    }

    fn read_line(&mut self) -> BoxFuture<'_, Result<Option<String>, Stop>> {
        Box::pin(self.line())
    }

    fn prompt(&self) -> &'static str {
        if self.tty { "/ # " } else { "" }
    }
}
