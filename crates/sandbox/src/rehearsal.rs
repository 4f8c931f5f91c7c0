//! A container's run, rehearsed: its command in the simulated shell, with time that passes at once. What comes of it is how
//! the run will end, what its probes will find meanwhile, and what it leaves in the pod's empty volumes.

use crate::agnhost;
use crate::environment::Place;
use crate::lifecycle::{Details, Outcome, Timeline, default_failure};
use crate::script::{argv, conversation, shell, unknown};
use crate::shell::{Files, Io, Shell, Stop, Stream, Unknown};
use crate::sources::Sources;
use crate::spec;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;

/// Sleeps before a script counts as one that never ends.
const SLEEPS: u32 = 500;
/// Commands, likewise.
const COMMANDS: u64 = 20_000;
/// Moments at which a probe is tried: after this many sleeps nothing changes any more.
const MOMENTS: usize = 12;
/// Bytes of output that are kept for a termination message, as a kubelet does.
const TAIL: usize = 2048;
/// Longest termination message.
const MESSAGE: usize = 4096;
/// Bytes that a container may leave in the pod's empty volumes; more are forgotten.
const LEFT: usize = 256 << 10;

/// What containers left in the pod's empty volumes and host paths: by the volume's name or the path, by path inside of it.
pub type Scratch = BTreeMap<String, Files>;

/// One container before its run.
pub struct Stage<'a> {
    pub pod: &'a Value,
    pub container: &'a Value,
    pub variables: BTreeMap<String, String>,
    pub sources: &'a Sources,
    pub place: &'a Place<'a>,
}

impl Stage<'_> {
    /// Rehearses the run after `run` restarts; what is left in empty volumes goes to `scratch`.
    pub fn rehearse(&self, scratch: &mut Scratch, run: i64) -> (Outcome, Details) {
        let mut details = Details { found: self.mounted(scratch), run, ..Details::default() };
        let (code, seconds) = (self.number("exit-code"), self.number("run-seconds"));
        let argv = argv(self.container, &self.variables);
        if code.is_some() || seconds.is_some() {
            let after = seconds.unwrap_or(0.0).max(0.0);
            return (Outcome::Exits { code: code.unwrap_or(0.0) as i32, after }, details);
        }
        if conversation(self.container, &argv).is_some() {
            return (Outcome::Runs, details);
        }
        if argv.is_empty() {
            let ends = unknown(self.pod, self.container) == Unknown::Succeeds && !is_pause(self.container);
            return (if ends { Outcome::Exits { code: 0, after: 0.0 } } else { Outcome::Runs }, details);
        }
        let played = self.play(&argv, &details.found, f64::INFINITY);
        self.collect(&played.files, scratch);
        details.probes.startup = self.timeline("startupProbe", &argv, &details.found, &played);
        details.probes.readiness = self.timeline("readinessProbe", &argv, &details.found, &played);
        details.probes.liveness = self.timeline("livenessProbe", &argv, &details.found, &played);
        let outcome = match played.result {
            Some(Ok(code)) => {
                details.message = self.message(code, &played);
                Outcome::Exits { code, after: played.elapsed }
            }
            _ => Outcome::Runs,
        };
        (outcome, details)
    }

    fn number(&self, what: &str) -> Option<f64> {
        spec::script(self.pod, self.container, what).and_then(|text| text.trim().parse().ok())
    }

    /// Runs `argv` until `until` seconds have passed.
    fn play(&self, argv: &[String], found: &Files, until: f64) -> Played {
        let mut io = Dry { elapsed: 0.0, until, sleeps: vec![], tail: String::new() };
        let mut shell =
            shell(self.pod, self.container, self.variables.clone(), self.sources, self.place, &mut io);
        shell.files.extend(found.clone());
        shell.patience = COMMANDS;
        // The futures of a dry run are always ready.
        let result = shell.command(argv).now_or_never();
        let files = std::mem::take(&mut shell.files);
        Played { result, files, elapsed: io.elapsed, sleeps: io.sleeps, tail: io.tail }
    }

    /// What an exec probe will find. What no script decides is taken as well: a server serves.
    fn timeline(&self, field: &str, argv: &[String], found: &Files, played: &Played) -> Timeline {
        let probe = &self.container[field];
        let command = spec::strings(&probe["exec"]["command"]);
        if command.is_empty() {
            return agnhost::timeline(self.container, argv, probe, self.place.pod_ip).unwrap_or_default();
        }
        let served = !matches!(&played.result, Some(Ok(_)) | Some(Err(Stop::Over)))
            && !matches!(&played.result, Some(Err(Stop::Forever(by))) if by == "sleep" || by == "tail");
        if served {
            // Only a probe that cannot succeed fails where the program is not simulated.
            let never = command[0].rsplit('/').next() == Some("false");
            return if never { vec![(0.0, Err(default_failure(probe)))] } else { vec![] };
        }
        let mut moments = vec![0.0];
        moments.extend(played.sleeps.iter().copied().filter(|at| *at > 0.0).take(MOMENTS));
        let mut timeline: Timeline = vec![];
        for at in moments {
            let answer = self.probe(&command, self.play(argv, found, at).files);
            if timeline.last().is_none_or(|(_, last)| *last != answer) {
                timeline.push((at, answer));
            }
        }
        if timeline.iter().all(|(_, answer)| answer.is_ok()) { vec![] } else { timeline }
    }

    fn probe(&self, command: &[String], files: Files) -> Result<(), String> {
        let mut io = Dry { elapsed: 0.0, until: f64::INFINITY, sleeps: vec![], tail: String::new() };
        let hostname = spec::hostname(self.pod);
        let mut shell = Shell::new(&hostname, self.variables.clone(), files, Unknown::Succeeds, &mut io);
        shell.patience = COMMANDS;
        match shell.command(command).now_or_never() {
            Some(Ok(0)) | Some(Err(_)) | None => Ok(()),
            Some(Ok(_)) => Err(io.tail),
        }
    }

    /// The termination message: a file, or the end of the log of a run that failed where that is asked for.
    fn message(&self, code: i32, played: &Played) -> String {
        let path = self.container["terminationMessagePath"].as_str().unwrap_or("/dev/termination-log");
        let file = played.files.get(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let fallback = self.container["terminationMessagePolicy"] == "FallbackToLogsOnError" && code != 0;
        let mut message = match file {
            Some(text) if !text.is_empty() => text,
            _ if fallback => played.tail.clone(),
            _ => String::new(),
        };
        message.truncate(message.floor_char_boundary(MESSAGE));
        message
    }

    /// The container's empty volumes and host paths: where they are mounted, and which.
    fn scratch_volumes(&self) -> impl Iterator<Item = (String, &str)> {
        let mounts = self.container["volumeMounts"].as_array().into_iter().flatten();
        mounts.filter_map(|mount| {
            let mut volumes = spec::list(self.pod, "volumes").iter();
            let volume = volumes.find(|v| v["name"] == mount["name"])?;
            let which = match volume["hostPath"]["path"].as_str() {
                Some(path) => path,
                None => volume["emptyDir"].is_object().then(|| spec::name(volume))?,
            };
            let plain = mount["subPath"].is_null() && mount["subPathExpr"].is_null();
            let at = mount["mountPath"].as_str()?.trim_end_matches('/');
            plain.then(|| (format!("{at}/"), which))
        })
    }

    fn mounted(&self, scratch: &Scratch) -> Files {
        let mut found = Files::new();
        for (at, volume) in self.scratch_volumes() {
            let files = scratch.get(volume).into_iter().flatten();
            found.extend(files.map(|(path, bytes)| (format!("{at}{path}"), bytes.clone())));
        }
        found
    }

    fn collect(&self, files: &Files, scratch: &mut Scratch) {
        for (at, volume) in self.scratch_volumes() {
            let inside = files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&at)?, bytes)));
            let left: Files = inside.map(|(path, bytes)| (path.to_owned(), bytes.clone())).collect();
            let size: usize = left.iter().map(|(path, bytes)| path.len() + bytes.len()).sum();
            if left.is_empty() || size > LEFT {
                scratch.remove(volume);
            } else {
                scratch.insert(volume.to_owned(), left);
            }
        }
    }
}

/// The one image whose purpose is never to end.
fn is_pause(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or("");
    let name = image.rsplit('/').next().unwrap_or("");
    name.split([':', '@']).next() == Some("pause")
}

/// What came of a dry run.
struct Played {
    result: Option<Result<i32, Stop>>,
    files: Files,
    elapsed: f64,
    /// When each of its sleeps was over.
    sleeps: Vec<f64>,
    /// The end of its output.
    tail: String,
}

/// Time that passes at once, text of which only the end is kept.
struct Dry {
    elapsed: f64,
    until: f64,
    sleeps: Vec<f64>,
    tail: String,
}

impl Io for Dry {
    fn write<'a>(&'a mut self, _: Stream, text: &'a str) -> BoxFuture<'a, Result<(), Stop>> {
        self.tail.push_str(text);
        if self.tail.len() > TAIL {
            let cut = self.tail.ceil_char_boundary(self.tail.len() - TAIL);
            self.tail.drain(..cut);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn sleep(&mut self, seconds: f64) -> BoxFuture<'_, Result<(), Stop>> {
        let over = self.elapsed + seconds > self.until || self.sleeps.len() >= SLEEPS as usize;
        if !over {
            self.elapsed += seconds;
            self.sleeps.push(self.elapsed);
        }
        Box::pin(std::future::ready(if over { Err(Stop::Over) } else { Ok(()) }))
    }
}
