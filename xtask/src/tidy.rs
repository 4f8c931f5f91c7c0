//! `cargo xtask tidy`: what review would otherwise have to look for.

use crate::layers;
use crate::process::root;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest a source file may be without a reason.
const LONGEST: usize = 600;

/// Files that may be longer, and why.
const LONG_WITH_REASON: [(&str, &str); 0] = [];

/// Crates of a second TLS stack: one is enough to keep right.
const OTHER_TLS: [&str; 6] = ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "boring"];

/// Checks everything and tells all problems at once.
pub(crate) fn run() -> Result<(), String> {
    let mut problems = layers::check()?;
    let files = sources(&root())?;
    problems.extend(long_files(&files)?);
    problems.extend(left_behind(&files)?);
    problems.extend(undocumented()?);
    problems.extend(locked()?);
    if problems.is_empty() {
        println!("tidy: {} source files in order", files.len());
        return Ok(());
    }
    Err(format!("tidy found {} problems:\n  {}", problems.len(), problems.join("\n  ")))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// The path as seen from the workspace.
fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn sources(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![];
    let mut folders: Vec<PathBuf> = ["crates", "e2e", "bench", "fuzz", "xtask"].map(|f| root.join(f)).into();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
        for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn long_files(files: &[PathBuf]) -> Result<Vec<String>, String> {
    let mut problems = vec![];
    for path in files {
        let lines = read(path)?.lines().count();
        let name = short(path);
        if lines > LONGEST {
            match LONG_WITH_REASON.iter().find(|(file, _)| *file == name) {
                Some((_, reason)) => println!("{name}: {lines} lines, because {reason}"),
                None => problems.push(format!(
                    "{name} has {lines} lines: split it, or give a reason in xtask/src/tidy.rs"
                )),
            }
        }
    }
    Ok(problems)
}

/// What somebody meant to take out again; files without a word on what they are for.
fn left_behind(files: &[PathBuf]) -> Result<Vec<String>, String> {
    let marks = [concat!("DB", "G "), concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut problems = vec![];
    for path in files {
        let text = read(path)?;
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|m| line.contains(m)) {
                problems.push(format!("{}:{}: left behind: {}", short(path), number + 1, line.trim()));
            }
        }
        let name = short(path);
        let tests = name.ends_with("/tests.rs") || name.contains("/tests/");
        if !tests && !text.starts_with("//!") {
            problems.push(format!("{name} does not begin with what it is for (//!)"));
        }
    }
    Ok(problems)
}

/// Crates that the code map does not show.
fn undocumented() -> Result<Vec<String>, String> {
    let map = read(&root().join("ARCHITECTURE.md"))?;
    let crates = layers::LAYERS.iter().flat_map(|(_, crates)| crates.iter());
    let missing = crates.filter(|name| !map.contains(&format!("`{name}`")));
    Ok(missing.map(|name| format!("ARCHITECTURE.md does not show the crate `{name}`")).collect())
}

/// A second TLS stack or a second version of one.
fn locked() -> Result<Vec<String>, String> {
    let lock = read(&root().join("Cargo.lock"))?;
    let mut names: Vec<&str> =
        lock.lines().filter_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let mut problems: Vec<String> = OTHER_TLS
        .iter()
        .filter(|name| names.contains(name))
        .map(|name| format!("Cargo.lock holds {name}: rustls with ring is the one TLS stack"))
        .collect();
    for name in ["rustls", "ring", "hyper", "tokio"] {
        let versions = names.iter().filter(|n| **n == name).count();
        if versions > 1 {
            problems.push(format!("Cargo.lock holds {versions} versions of {name}"));
        }
    }
    let all = names.len();
    names.dedup();
    println!("Cargo.lock: {all} packages, {} of them further versions of another", all - names.len());
    Ok(problems)
}
