//! Sessions with the real `kubectl`, line for line: `sessions/NAME.txt`. After `$ ` a command, then `| ` its input, then what it
//! prints. Ages, hashes, addresses and times are written as words, and columns are two spaces apart.
//!
//! `SESSIONS=write` writes what is printed now; look at the difference before it is committed. `SESSIONS_KUBECONFIG` names
//! another cluster to try them on: with `joey serve --controllers none` and Kubernetes' own controller manager, say.

use e2e::Joey;
use regex::Regex;
use std::path::Path;

#[test]
fn rollouts() {
    check("rollout");
}

#[test]
fn workloads() {
    check("workloads");
}

#[test]
fn nodes() {
    check("nodes");
}

#[test]
fn pods() {
    check("pods");
}

#[test]
fn autoscaling() {
    check("autoscaling");
}

#[test]
fn scheduling() {
    check("scheduling");
}

fn check(name: &str) {
    let Some(joey) = Joey::serve(3) else { return };
    if let Some(other) = std::env::var_os("SESSIONS_KUBECONFIG") {
        std::fs::copy(other, joey.kubeconfig()).expect("its kubeconfig");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sessions/{name}.txt"));
    let written = std::fs::read_to_string(&path).expect("a session");
    let words = Words::new();
    let said = steps(&written).map(|step| play(&joey, &words, step)).collect::<String>();
    if std::env::var_os("SESSIONS").is_some_and(|s| s == "write") {
        std::fs::write(&path, &said).expect("the session is written");
        return;
    }
    let first = written.lines().zip(said.lines()).position(|(a, b)| a != b);
    if let Some(line) = first.or_else(|| (written != said).then_some(written.lines().count())) {
        let from = line.saturating_sub(5);
        let part = |text: &str| text.lines().skip(from).take(20).collect::<Vec<_>>().join("\n");
        panic!("{name}.txt:{}\n--- written\n{}\n--- said\n{}", line + 1, part(&written), part(&said));
    }
}

/// A command with what is written about it.
struct Step<'a> {
    /// Comments and empty lines before it.
    before: Vec<&'a str>,
    command: &'a str,
    input: Vec<&'a str>,
}

fn steps(text: &str) -> impl Iterator<Item = Step<'_>> {
    let mut before = vec![];
    let mut steps: Vec<Step<'_>> = vec![];
    let mut input = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { before: std::mem::take(&mut before), command, input: vec![] });
            input = true;
        } else if let (Some(text), Some(step), true) = (line.strip_prefix('|'), steps.last_mut(), input) {
            step.input.push(text.strip_prefix(' ').unwrap_or(text));
        } else if line.starts_with("# ") {
            before.push(line);
        } else {
            input = false;
        }
    }
    steps.into_iter()
}

fn play(joey: &Joey, words: &Words, step: Step<'_>) -> String {
    let mut text: String = step.before.iter().map(|line| format!("{line}\n")).collect();
    text += &format!("$ {}\n", step.command);
    text.extend(step.input.iter().map(|line| format!("| {line}").trim_end().to_owned() + "\n"));
    let said = joey.shell(step.command, &(step.input.join("\n") + "\n"));
    let all = format!("{}{}", said.out, said.err);
    // How often kubectl looks before it is done is a matter of time.
    let lines = all.lines().filter(|line| !line.starts_with("Waiting for "));
    text.extend(lines.map(|line| words.of(line) + "\n"));
    if said.code != 0 {
        text += &format!("(exit {})\n", said.code);
    }
    text + "\n"
}

/// What stands for what differs each time.
struct Words {
    age: Regex,
    rest: Vec<(Regex, &'static str)>,
}

impl Words {
    fn new() -> Self {
        let regex = |pattern: &str| Regex::new(pattern).expect("a pattern");
        let table = [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
            (r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [-+]\d{4}", "TIME"),
            (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
            (r"\b\d{1,3}(\.\d{1,3}){3}\b", "IP"),
            (r"sandbox://[0-9a-f]+", "sandbox://ID"),
            (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
            // Hashes of templates, random ends of names.
            (r"-[bcdf-hj-np-tv-xz24-9]{8,10}-[bcdf-hj-np-tv-xz24-9]{5}\b", "-HASH-RANDOM"),
            (r"([-=])[bcdf-hj-np-tv-xz24-9]{8,10}\b", "${1}HASH"),
            (
                r"\b(agent|once|load|nightly-\d+|web|node-debugger-sandbox-\d|kube-api-access)-[bcdf-hj-np-tv-xz24-9]{5}\b",
                "$1-RANDOM",
            ),
            (r"\bnightly-\d{8}", "nightly-MINUTE"),
            (r"\bresourceVersion: \S+", "resourceVersion: VERSION"),
        ];
        Self {
            age: regex(r"^(\d+[smhd](\d+[smh])?|<unknown>)$"),
            rest: table.into_iter().map(|(pattern, word)| (regex(pattern), word)).collect(),
        }
    }

    /// A line with its cells two spaces apart and what differs named.
    fn of(&self, line: &str) -> String {
        let indent = line.len() - line.trim_start().len();
        let line = line.replace('\t', "  ");
        let cells = line[indent..].split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let cells: Vec<String> = cells.map(|cell| self.cell(cell)).collect();
        format!("{}{}", &line[..indent.min(line.len())], cells.join("  ")).trim_end().to_owned()
    }

    fn cell(&self, cell: &str) -> String {
        let named = cell.split(' ').map(|word| {
            let bare = word.trim_matches(['(', ')', ',']);
            if self.age.is_match(bare) { word.replace(bare, "AGE") } else { word.to_owned() }
        });
        let mut cell = named.collect::<Vec<_>>().join(" ");
        for (pattern, word) in &self.rest {
            cell = pattern.replace_all(&cell, *word).into_owned();
        }
        cell
    }
}
