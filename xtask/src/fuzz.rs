//! `cargo xtask fuzz`: every target of the `fuzz` crate for a while, driven by libFuzzer.
//!
//! The coverage counters are LLVM's own, which stable Rust can switch on; no sanitizer is used, as there is no unsafe code
//! of ours to watch. What a run learns stays in `target/fuzz/`, so that the next one goes on from there.

use crate::process::{cargo, output, root, run, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// As `cargo fuzz` sets them.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=16";
/// An input that takes longer, in seconds, is a finding, and so is a process that grows beyond so many megabytes.
const SLOWEST: u32 = 10;
const LARGEST: u32 = 1_024;
/// Where chance begins: the same program comes upon the same inputs again, as long as it has learned nothing new.
const SEED: u64 = 136;
/// Bytes of the longest input.
const LONGEST: u32 = 8_192;
/// Targets at once on each core: their servers wait little, but CI is to be over soon.
const FOR_EACH_CORE: f64 = 1.5;

/// What a run of one target came to.
struct Outcome {
    name: String,
    executions: u64,
    per_second: u64,
    /// Edges of the program that were reached.
    covered: u64,
    megabytes: u64,
    finding: Option<PathBuf>,
    said: String,
}

/// Runs the targets whose name holds one of `filter` (all, if there is none) for `seconds` each. Fails on a finding.
pub(crate) fn fuzz(seconds: u64, filter: &[String]) -> Result<(), String> {
    let program = build()?;
    let mut names: Vec<String> = fs::read_dir(root().join("fuzz/seeds"))
        .map_err(|e| e.to_string())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| filter.is_empty() || filter.iter().any(|part| name.contains(part)))
        .collect();
    names.sort();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = ((cores as f64 * FOR_EACH_CORE) as usize).max(1);
    println!("\n{} targets for {seconds} s each, {at_once} at once", names.len());
    println!("{:<16} {:>12} {:>9} {:>8} {:>6}", "target", "executions", "a second", "covered", "MB");
    let (queue, found) = (Mutex::new(names.into_iter()), Mutex::new(vec![]));
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let outcome = one(&program, &name, seconds);
                    if let Some(problem) = told(&outcome)
                        && let Ok(mut found) = found.lock()
                    {
                        found.push(problem);
                    }
                }
            });
        }
    });
    let found = found.into_inner().map_err(|e| e.to_string())?;
    if found.is_empty() { Ok(()) } else { Err(format!("fuzzing found:\n{}", found.join("\n"))) }
}

/// Builds the driver, apart from everything that is built as usual.
fn build() -> Result<PathBuf, String> {
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let host = host.trim();
    let mut build = cargo(&["build", "--package", "fuzz", "--profile", "fuzz", "--target", host]);
    run(build.env("RUSTFLAGS", COVERAGE))?;
    Ok(target()?.join(host).join("fuzz/fuzz"))
}

fn one(program: &Path, name: &str, seconds: u64) -> Result<Outcome, String> {
    let learned = target()?.join("fuzz").join(name);
    let findings = target()?.join("fuzz-findings").join(name);
    for folder in [&learned, &findings] {
        fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    }
    let mut command = Command::new(program);
    command.env("FUZZ_TARGET", name).arg(&learned).arg(root().join("fuzz/seeds").join(name));
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    for (flag, value) in [
        ("seed", SEED),
        ("max_total_time", seconds),
        ("timeout", SLOWEST.into()),
        ("rss_limit_mb", LARGEST.into()),
        ("max_len", LONGEST.into()),
        ("print_final_stats", 1),
    ] {
        command.arg(format!("-{flag}={value}"));
    }
    let said = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let artifact =
        text.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, p)| p.into());
    let finding = if said.status.success() { None } else { Some(artifact.unwrap_or(findings)) };
    Ok(Outcome {
        name: name.to_owned(),
        executions: last(&text, "stat::number_of_executed_units:"),
        per_second: last(&text, "stat::average_exec_per_sec:"),
        covered: last(&text, " cov:"),
        megabytes: last(&text, "stat::peak_rss_mb:"),
        finding,
        said: text,
    })
}

/// The number that follows the last `mark`.
fn last(text: &str, mark: &str) -> u64 {
    let rest = text.rsplit_once(mark).map_or("", |(_, rest)| rest);
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Prints a line; what was found, with the end of what was said about it.
fn told(outcome: &Result<Outcome, String>) -> Option<String> {
    let Outcome { name, executions, per_second, covered, megabytes, finding, said } = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Some(error.clone()),
    };
    println!("{name:<16} {executions:>12} {per_second:>9} {covered:>8} {megabytes:>6}");
    let finding = finding.as_ref()?;
    let lines: Vec<&str> = said.lines().collect();
    let end = lines[lines.len().saturating_sub(30)..].join("\n");
    Some(format!("{end}\n{name}: FUZZ_TARGET={name} cargo run -p fuzz -- {}", finding.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_libfuzzer_says() {
        let text = "#2\tINITED cov: 5 ft: 6\n#9\tDONE   cov: 17 ft: 30 corp: 2/4b\n\
                    stat::number_of_executed_units: 1234\nstat::peak_rss_mb:              56\n";
        assert_eq!((last(text, " cov:"), last(text, "stat::number_of_executed_units:")), (17, 1234));
        assert_eq!((last(text, "stat::peak_rss_mb:"), last(text, "stat::nothing:")), (56, 0));
    }
}
