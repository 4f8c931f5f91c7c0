//! `cargo xtask test`: unit, integration and end-to-end tests and the golden transcripts, with one summary.
//!
//! Everything runs in the development profile: one build serves all parts. A part that fails does not keep the next from
//! running.

use crate::golden;
use crate::process::{cargo, run, shown, target};
use crate::tally::{Reader, Tally};
use crate::tools::{self, Tools};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Features that only tests and few installations need.
const FEATURES: [&str; 2] = ["--features", "store/etcd"];

/// Runs everything; fails when anything did.
pub(crate) fn all() -> Result<(), String> {
    let tools = tools::install()?;
    let joey = build()?;
    let mut parts = vec![];
    let mut unit = cargo(&["test", "--workspace", "--exclude", "e2e", "--no-fail-fast"]);
    unit.args(FEATURES).env("ETCD", &tools.etcd);
    parts.push(timed("unit and integration", || tests(&mut unit)));
    parts.push(timed("end to end", || tests(&mut e2e_command(&tools, &joey, &[]))));
    let embedded = golden::Subject { joey: &joey, etcd: None };
    parts.push(timed("golden transcripts", || golden::check(&embedded)));
    let shared = golden::Subject { joey: &joey, etcd: Some(&tools.etcd) };
    parts.push(timed("golden, on etcd", || golden::check(&shared)));
    summary(&parts)
}

/// Runs the end-to-end tests alone; `filter` as `cargo test` takes it.
pub(crate) fn e2e(filter: &[String]) -> Result<(), String> {
    let tools = tools::install()?;
    let joey = build()?;
    summary(&[timed("end to end", || tests(&mut e2e_command(&tools, &joey, filter)))])
}

/// Builds `joey` and gives its path.
pub(crate) fn build() -> Result<PathBuf, String> {
    run(cargo(&["build", "--workspace", "--bins"]).args(FEATURES))?;
    Ok(target()?.join("debug/joey"))
}

fn e2e_command(tools: &Tools, joey: &PathBuf, filter: &[String]) -> Command {
    let mut command = cargo(&["test", "--package", "e2e"]);
    command
        .args(filter)
        .env("JOEY", joey)
        .env("ETCD", &tools.etcd)
        .env("KUBECTL", &tools.kubectl)
        .env("HELM", &tools.helm);
    command
}

struct Part {
    name: &'static str,
    tally: Tally,
    seconds: u64,
}

fn timed(name: &'static str, work: impl FnOnce() -> Result<Tally, String>) -> Part {
    println!("\n== {name}");
    let start = Instant::now();
    let tally = work().unwrap_or_else(|error| {
        println!("error: {error}");
        Tally { failed: 1, ..Tally::default() }
    });
    Part { name, tally, seconds: start.elapsed().as_secs() }
}

/// Runs `cargo test` and counts; shows what matters as it comes.
fn tests(command: &mut Command) -> Result<Tally, String> {
    command.args(["--", "--show-output"]).stdout(Stdio::piped());
    println!("$ {}", shown(command));
    let mut child = command.spawn().map_err(|e| format!("cannot run cargo: {e}"))?;
    let mut reader = Reader::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.map_err(|e| e.to_string())?;
            let line = String::from_utf8_lossy(&line);
            if reader.take(&line) {
                println!("{line}");
            }
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() && reader.tally.failed == 0 {
        // Did not build, or died without a result.
        reader.tally.failed = 1;
    }
    Ok(reader.tally)
}

fn summary(parts: &[Part]) -> Result<(), String> {
    println!("\n== summary");
    let mut sum = Tally::default();
    for part in parts {
        let minutes = format!("{}:{:02}", part.seconds / 60, part.seconds % 60);
        println!("{:<22} {minutes:>6}  {}", part.name, part.tally);
        sum += part.tally;
    }
    // The last line: whoever started this reads it.
    println!("{sum}");
    if sum.failed == 0 { Ok(()) } else { Err(String::new()) }
}
