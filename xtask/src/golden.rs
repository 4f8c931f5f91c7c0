//! `cargo xtask golden`: replays recorded conversations of a real API server against `joey serve`.
//!
//! Steps that are known to fail are listed in `golden-known-failures.txt`, one `case | step` a line. A failing step that is not
//! listed fails the check; a listed one that passes is told, so that the list only shrinks. The recordings lie beside the
//! repository, in `../shared/golden`; without them the check says that it was skipped.

use crate::etcd::Etcd;
use crate::process::{root, shown};
use crate::tally::Tally;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const HEADER: &str = "# Steps of the golden transcripts that are known to fail at level body: case | step.\n\
                      # Written by `cargo xtask golden --update`; remove lines as they pass.\n";
const TOKEN: &str = "golden-administrator";

/// `case | step` of every step, and whether it passed.
type Steps = BTreeMap<String, bool>;

fn list() -> PathBuf {
    root().join("xtask/golden-known-failures.txt")
}

fn recordings() -> PathBuf {
    root().join("../shared/golden")
}

/// What is asked.
pub(crate) struct Subject<'a> {
    /// The program.
    pub(crate) joey: &'a Path,
    /// The etcd program, when data is to be kept in one.
    pub(crate) etcd: Option<&'a Path>,
}

/// The whole check at level `body`.
pub(crate) fn check(subject: &Subject<'_>) -> Result<Tally, String> {
    let folder = recordings();
    if !folder.exists() {
        println!("SKIPPED: no golden transcripts at {}", folder.display());
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    let text = fs::read_to_string(list()).unwrap_or_default();
    let known: BTreeSet<&str> = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    let steps = replay(subject, "body", &[folder.join("cases")])?;
    let failing = |steps: &Steps| {
        let new = steps.iter().filter(|(step, passed)| !**passed && !known.contains(step.as_str()));
        new.map(|(step, _)| step.clone()).collect::<Vec<_>>()
    };
    let mut unexpected = failing(&steps);
    if !unexpected.is_empty() && unexpected.len() <= 30 {
        // A busy machine can be too slow for a step that waits: once more, alone.
        let cases: BTreeSet<&str> = unexpected.iter().filter_map(|s| s.split(" | ").next()).collect();
        let files: Vec<PathBuf> =
            cases.iter().map(|c| folder.join("cases").join(format!("{c}.json"))).collect();
        let again = failing(&replay(subject, "body", &files)?);
        for step in unexpected.iter().filter(|s| !again.contains(s)) {
            println!("unsteady: {step} passed when run again alone");
        }
        unexpected = again;
    }
    for step in &unexpected {
        println!("NEW FAILURE: {step}");
    }
    for step in known.iter().filter(|s| steps.get(**s).is_none_or(|passed| *passed)) {
        println!("passes now, take it off the list: {step}");
    }
    let passed = steps.values().filter(|p| **p).count();
    let known = steps.iter().filter(|(s, p)| !**p && known.contains(s.as_str())).count();
    println!(
        "golden, level body: {passed} of {} steps pass; {known} known to fail, {} new",
        steps.len(),
        unexpected.len()
    );
    Ok(Tally { passed: steps.len() - known - unexpected.len(), failed: unexpected.len(), skipped: known })
}

/// Writes the list anew.
pub(crate) fn update(subject: &Subject<'_>) -> Result<(), String> {
    let steps = replay(subject, "body", &[recordings().join("cases")])?;
    let failing: Vec<&str> = steps.iter().filter(|(_, passed)| !**passed).map(|(s, _)| s.as_str()).collect();
    let text = format!("{HEADER}{}\n", failing.join("\n"));
    fs::write(list(), text).map_err(|e| format!("cannot write {}: {e}", list().display()))?;
    println!(
        "{} of {} steps pass; {} listed in {}",
        steps.len() - failing.len(),
        steps.len(),
        failing.len(),
        list().display()
    );
    Ok(())
}

/// Prints how many steps pass at level `exact`.
pub(crate) fn exact(subject: &Subject<'_>) -> Result<(), String> {
    let steps = replay(subject, "exact", &[recordings().join("cases")])?;
    println!("golden, level exact: {} of {} steps pass", steps.values().filter(|p| **p).count(), steps.len());
    Ok(())
}

/// Serves a fresh control plane without controllers, as the recorded one was, and replays.
fn replay(subject: &Subject<'_>, level: &str, cases: &[PathBuf]) -> Result<Steps, String> {
    let scratch = std::env::temp_dir().join(format!("joey-golden-{}", std::process::id()));
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(|e| format!("cannot make {}: {e}", scratch.display()))?;
    let outcome = replay_in(&scratch, subject, level, cases);
    let _ = fs::remove_dir_all(&scratch);
    outcome
}

fn replay_in(scratch: &Path, subject: &Subject<'_>, level: &str, cases: &[PathBuf]) -> Result<Steps, String> {
    let mut server = Server::start(subject, scratch)?;
    let results = scratch.join("results.json");
    let mut command = Command::new("python3");
    command.arg(recordings().join("golden.py")).args([
        "replay",
        "--insecure",
        "--jobs",
        "3",
        "--level",
        level,
    ]);
    command.args(["--server", &server.url, "--token", TOKEN, "--json"]).arg(&results).args(cases);
    println!("$ {}", shown(&command));
    // Fails when a step does: the results tell which.
    let said = command.output().map_err(|e| format!("cannot run python3: {e}"))?;
    let text = fs::read_to_string(&results)
        .map_err(|_| format!("golden.py gave no results: {}", String::from_utf8_lossy(&said.stderr)))?;
    if let Ok(Some(status)) = server.child.try_wait() {
        let log = fs::read_to_string(scratch.join("log")).unwrap_or_default();
        return Err(format!("joey serve ended while it was asked ({status}):\n{log}"));
    }
    let results: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    Ok(steps(&results))
}

/// What `--json` holds, flattened.
fn steps(results: &Value) -> Steps {
    let mut all = Steps::new();
    for case in results["cases"].as_array().into_iter().flatten() {
        for step in case["steps"].as_array().into_iter().flatten() {
            let name = |value: &Value| value["name"].as_str().unwrap_or("?").to_owned();
            let label = case["case"].as_str().unwrap_or("?");
            let passed = step["differences"].as_array().is_some_and(Vec::is_empty);
            *all.entry(format!("{label} | {}", name(step))).or_insert(true) &= passed;
        }
    }
    all
}

struct Server {
    child: Child,
    url: String,
    _etcd: Option<Etcd>,
}

impl Server {
    fn start(subject: &Subject<'_>, scratch: &Path) -> Result<Self, String> {
        let tokens = scratch.join("tokens.csv");
        let file = |e: std::io::Error| format!("cannot use {}: {e}", scratch.display());
        fs::write(&tokens, format!("{TOKEN},admin,uid-admin,\"system:masters\"\n")).map_err(file)?;
        let log = fs::File::create(scratch.join("log")).map_err(file)?;
        let etcd = subject.etcd.map(|program| Etcd::start(program, scratch)).transpose()?;
        let mut command = Command::new(subject.joey);
        command
            .args(["serve", "--controllers", "none", "--listen", "127.0.0.1:0", "--token-auth-file"])
            .arg(&tokens);
        if let Some(etcd) = &etcd {
            command.args(["--store", "etcd", "--etcd-endpoints", &etcd.endpoint]);
        }
        command
            .arg("--data-dir")
            .arg(scratch.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().map_err(|e| format!("cannot run {}: {e}", shown(&command)))?;
        let stdout = child.stdout.take().ok_or("joey has no output")?;
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let url = lines.find_map(|l| l.strip_prefix("serving on ").map(str::to_owned));
        match url {
            Some(url) => {
                // Somebody has to read what else it says.
                std::thread::spawn(move || lines.for_each(drop));
                Ok(Self { child, url, _etcd: etcd })
            }
            None => {
                let _ = child.kill();
                let log = fs::read_to_string(scratch.join("log")).unwrap_or_default();
                Err(format!("joey serve did not start: {log}"))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
