//! The programs of a simulated container.

use super::run::{Flow, Shell, Stop};
use super::{Files, Stream, tar};
use std::fmt::Write;

/// What is there, for the sentence about what is not.
pub(super) const NAMES: [&str; 38] = [
    "basename", "cat", "chmod", "cp", "curl", "date", "dirname", "echo", "env", "expr", "false", "grep",
    "head", "hostname", "id", "ls", "mkdir", "mv", "nproc", "printenv", "printf", "pwd", "rm", "seq", "sh",
    "sleep", "sort", "tail", "tar", "test", "touch", "tr", "true", "uname", "wc", "wget", "which", "whoami",
];

/// Programs that are known to end: clients, tools, installers. As a container's command they count as done.
pub(super) const PASSING: [&str; 23] = [
    "apk",
    "apt",
    "apt-get",
    "awk",
    "dig",
    "find",
    "git",
    "gzip",
    "helm",
    "kubectl",
    "mysql",
    "nc",
    "npm",
    "nslookup",
    "openssl",
    "pg_isready",
    "ping",
    "pip",
    "psql",
    "redis-cli",
    "sed",
    "telnet",
    "yum",
];

/// A file's text; bytes that are no text are shown as such.
pub(super) fn read_text(files: &Files, path: &str) -> Option<String> {
    let path = format!("/{}", path.trim_start_matches('/'));
    files.get(&path).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Runs `argv[0]`, which is not one of the shell's own words.
pub(super) async fn run(shell: &mut Shell<'_>, argv: &[String]) -> Result<Flow, Stop> {
    let name = argv[0].rsplit('/').next().unwrap_or("");
    let args: Vec<&str> = argv[1..].iter().map(String::as_str).collect();
    let outcome = match name {
        "sh" | "bash" | "ash" | "dash" => return script(shell, &args).await,
        "sleep" => return sleep(shell, &args).await,
        "tail" if args.iter().any(|a| matches!(*a, "-f" | "-F" | "--follow")) => {
            return Err(Stop::Forever("tail".into()));
        }
        "pause" => return Err(Stop::Forever("pause".into())),
        "cat" => cat(shell, &args).await?,
        "tar" => tar(shell, &args).await?,
        "awk" if fields(&args).is_some() => filter(shell, name, &args).await?,
        "grep" | "head" | "tail" | "wc" | "sort" | "tr" => filter(shell, name, &args).await?,
        "rm" | "cp" | "mv" | "touch" => change_files(shell, name, &args),
        // There is no network in here; what a request would have found is taken as good.
        "wget" | "curl" => Some(says(format!("sandbox: {name} is simulated: nothing was fetched\n"))),
        "test" | "[" | "[[" => Some(done(test(shell, &args))),
        _ => plain(shell, name, &args),
    };
    let Some(Outcome { out, err, code }) = outcome else { return shell.missing(name).await };
    if !out.is_empty() {
        shell.write(Stream::Out, &out).await?;
    }
    if !err.is_empty() {
        shell.write(Stream::Err, &err).await?;
    }
    Ok(Flow::Next(code))
}

#[derive(Default)]
struct Outcome {
    out: String,
    err: String,
    code: i32,
}

fn says(out: impl Into<String>) -> Outcome {
    Outcome { out: out.into(), ..Outcome::default() }
}

fn done(code: bool) -> Outcome {
    Outcome { code: i32::from(!code), ..Outcome::default() }
}

async fn script(shell: &mut Shell<'_>, args: &[&str]) -> Result<Flow, Stop> {
    // `-c` may be joined with other flags (`-ec`).
    let at = args.iter().position(|a| a.starts_with('-') && !a.starts_with("--") && a.ends_with('c'));
    match at.and_then(|at| args.get(at + 1).map(|text| (args[at], *text))) {
        Some((flags, text)) => {
            let text = if flags.contains('e') { format!("set -e\n{text}") } else { text.to_owned() };
            shell.script(&text).await
        }
        None => match args
            .iter()
            .find(|a| !a.starts_with('-'))
            .map(|path| (*path, read_text(&shell.files, path)))
        {
            Some((_, Some(text))) => {
                let text = match text.strip_prefix("#!") {
                    Some(rest) => rest.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned()),
                    None => text,
                };
                shell.script(&text).await
            }
            Some((path, None)) => shell.missing(path).await,
            None => {
                let text = shell.input.take().unwrap_or_default();
                shell.script(&text).await
            }
        },
    }
}

async fn sleep(shell: &mut Shell<'_>, args: &[&str]) -> Result<Flow, Stop> {
    let mut total = 0.0;
    for arg in args {
        match seconds(arg) {
            Some(f64::INFINITY) => return Err(Stop::Forever("sleep".into())),
            Some(seconds) => total += seconds,
            None => {
                shell.write(Stream::Err, &format!("sleep: invalid number '{arg}'\n")).await?;
                return Ok(Flow::Next(1));
            }
        }
    }
    shell.sleep(total).await?;
    Ok(Flow::Next(0))
}

/// `90`, `1.5`, `2m`, `infinity`.
fn seconds(text: &str) -> Option<f64> {
    if matches!(text, "infinity" | "inf") {
        return Some(f64::INFINITY);
    }
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1.0),
        (at, 'm') => (&text[..at], 60.0),
        (at, 'h') => (&text[..at], 3600.0),
        (at, 'd') => (&text[..at], 86400.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

async fn cat(shell: &mut Shell<'_>, args: &[&str]) -> Result<Option<Outcome>, Stop> {
    let mut outcome = Outcome::default();
    let paths: Vec<&&str> = args.iter().filter(|a| !a.starts_with('-') || **a == "-").collect();
    if paths.is_empty() {
        outcome.out = match shell.input.take() {
            Some(text) => text,
            None => shell.io.read_all().await?,
        };
    }
    for path in paths {
        match read_text(&shell.files, path) {
            Some(text) => outcome.out.push_str(&text),
            None => {
                outcome.code = 1;
                let _ = writeln!(outcome.err, "cat: {path}: No such file or directory");
            }
        }
    }
    Ok(Some(outcome))
}

/// `tar cf - PATH` and `tar xmf - [-C DIR]`, with which `kubectl cp` copies.
async fn tar(shell: &mut Shell<'_>, args: &[&str]) -> Result<Option<Outcome>, Stop> {
    let flags = args.first().map_or("", |flags| flags.trim_start_matches('-'));
    if !flags.ends_with('f') || args.get(1) != Some(&"-") {
        return Ok(None);
    }
    let folder = args.iter().position(|a| *a == "-C").and_then(|at| args.get(at + 1)).copied().unwrap_or("/");
    if flags.contains('c') {
        let Some(path) = args.get(2) else { return Ok(None) };
        let path = format!("/{}", path.trim_start_matches('/'));
        return Ok(Some(match tar::pack(&shell.files, &path) {
            Some(archive) => {
                shell.io.write_bytes(&archive).await?;
                done(true)
            }
            None => {
                let err = format!("tar: {path}: Cannot stat: No such file or directory\n");
                Outcome { err, code: 2, ..Outcome::default() }
            }
        }));
    }
    let archive = shell.io.read_bytes().await?;
    Ok(Some(match tar::unpack(&archive) {
        Some(files) => {
            for (name, bytes) in files {
                let path =
                    format!("{}/{}", folder.trim_end_matches('/'), name.trim_start_matches(['.', '/']));
                shell.files.insert(path, bytes);
            }
            done(true)
        }
        None => Outcome {
            err: "tar: this does not look like a (whole) tar archive\n".into(),
            code: 2,
            ..Outcome::default()
        },
    }))
}

/// Which field `awk '{print $N}'` shows; other programs of awk's are not simulated.
fn fields(args: &[&str]) -> Option<usize> {
    let program = args.first()?.trim().strip_prefix('{')?.strip_suffix('}')?;
    program.trim().strip_prefix("print")?.trim().strip_prefix('$')?.parse().ok()
}

/// Programs that read text from files or the pipe.
async fn filter(shell: &mut Shell<'_>, name: &str, args: &[&str]) -> Result<Option<Outcome>, Stop> {
    let count = args.iter().find_map(|a| a.strip_prefix('-')?.trim_start_matches('n').parse::<usize>().ok());
    let count = count.or_else(|| {
        let at = args.iter().position(|a| *a == "-n")?;
        args.get(at + 1)?.parse().ok()
    });
    let mut words = args.iter().filter(|a| !a.starts_with('-') && a.parse::<usize>().is_err());
    let pattern =
        if matches!(name, "grep" | "tr" | "awk") { words.next().copied().unwrap_or("") } else { "" };
    let second = if name == "tr" { words.next().copied().unwrap_or("") } else { "" };
    let paths: Vec<&str> = words.copied().collect();
    let text = match paths.first().map(|p| read_text(&shell.files, p)) {
        Some(Some(text)) => text,
        Some(None) => {
            let err = format!("{name}: {}: No such file or directory\n", paths[0]);
            return Ok(Some(Outcome { err, code: 1, ..Outcome::default() }));
        }
        None => match shell.input.take() {
            Some(text) => text,
            None => shell.io.read_all().await?,
        },
    };
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|l| format!("{l}\n")).collect::<String>();
    let tail = lines.len().saturating_sub(count.unwrap_or(10));
    Ok(Some(match name {
        "head" => says(joined(&lines[..count.unwrap_or(10).min(lines.len())])),
        "tail" => says(joined(&lines[tail..])),
        "sort" => {
            let mut sorted = lines;
            sorted.sort_unstable();
            says(joined(&sorted))
        }
        "awk" => {
            let fields = fields(&[pattern]).unwrap_or_default();
            let field = |line: &&str| match fields {
                0 => format!("{line}\n"),
                at => format!("{}\n", line.split_whitespace().nth(at - 1).unwrap_or("")),
            };
            says(lines.iter().map(field).collect::<String>())
        }
        "wc" if args.contains(&"-l") => match paths.first() {
            Some(path) => says(format!("{} {path}\n", lines.len())),
            None => says(format!("{}\n", lines.len())),
        },
        "wc" if args.contains(&"-c") => says(format!("{}\n", text.len())),
        "wc" => says(format!("{} {} {}\n", lines.len(), text.split_whitespace().count(), text.len())),
        "tr" => match (pattern.chars().next(), second.chars().next()) {
            (Some(from), Some(to)) if pattern.chars().count() == 1 => {
                says(text.replace(from, &to.to_string()))
            }
            _ => return Ok(None),
        },
        _ => {
            let wanted = |line: &&str| line.contains(pattern) != args.contains(&"-v");
            let found: Vec<&str> = lines.into_iter().filter(wanted).collect();
            let code = i32::from(found.is_empty());
            let out = if args.contains(&"-q") { String::new() } else { joined(&found) };
            Outcome { out, code, ..Outcome::default() }
        }
    }))
}

fn change_files(shell: &mut Shell<'_>, name: &str, args: &[&str]) -> Option<Outcome> {
    let paths: Vec<&str> = args.iter().filter(|a| !a.starts_with('-')).copied().collect();
    match (name, paths.as_slice()) {
        ("rm", paths) => paths.iter().for_each(|p| {
            shell
                .files
                .retain(|path, _| path != p && !path.starts_with(&format!("{}/", p.trim_end_matches('/'))));
        }),
        ("touch", paths) => paths.iter().for_each(|p| {
            shell.files.entry((*p).to_owned()).or_default();
        }),
        (_, [from, to]) => {
            if let Some(bytes) = shell.files.get(*from).cloned() {
                shell.files.insert((*to).to_owned(), bytes);
                if name == "mv" {
                    shell.files.remove(*from);
                }
            }
        }
        _ => {}
    }
    // What an image holds is not known, so that copying out of it counts as done.
    Some(done(true))
}

fn test(shell: &Shell<'_>, args: &[&str]) -> bool {
    let args: Vec<&str> = args.iter().filter(|a| !matches!(**a, "]" | "]]")).copied().collect();
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let directory =
        |path: &str| shell.files.keys().any(|k| k.starts_with(&format!("{}/", path.trim_end_matches('/'))));
    match args.as_slice() {
        ["!", rest @ ..] => !test(shell, rest),
        ["-n", text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-z"] => true,
        ["-f" | "-s" | "-r", path] => shell.files.contains_key(*path),
        ["-d", path] => directory(path),
        ["-e", path] => shell.files.contains_key(*path) || directory(path),
        ["-x", _] => true,
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "-eq", right] => number(left) == number(right),
        [left, "-ne", right] => number(left) != number(right),
        [left, "-lt", right] => number(left) < number(right),
        [left, "-le", right] => number(left) <= number(right),
        [left, "-gt", right] => number(left) > number(right),
        [left, "-ge", right] => number(left) >= number(right),
        [text] => !text.is_empty(),
        _ => false,
    }
}

/// Programs that only look at their arguments and the container.
fn plain(shell: &Shell<'_>, name: &str, args: &[&str]) -> Option<Outcome> {
    let line = |text: &str| says(format!("{text}\n"));
    Some(match name {
        "true" | ":" | "mkdir" | "chmod" | "chown" | "ln" | "trap" | "cd" | "umask" | "ulimit" | "sync"
        | "wait" | "unset" | "ldconfig" => done(true),
        "false" => done(false),
        "echo" => says(echo(args)),
        "printf" => says(printf(args)),
        "env" if args.is_empty() => says(environment(shell)),
        "printenv" if args.is_empty() => says(environment(shell)),
        "printenv" => match args.iter().map(|a| shell.variables.get(*a)).collect::<Option<Vec<_>>>() {
            Some(values) => says(values.iter().map(|v| format!("{v}\n")).collect::<String>()),
            None => done(false),
        },
        "hostname" => line(&shell.hostname),
        "pwd" => line("/"),
        "whoami" => line("root"),
        "id" if args.contains(&"-u") => line(shell.user.as_str()),
        "id" if args.contains(&"-g") => line(shell.group.as_str()),
        "id" => line("uid=0(root) gid=0(root)"),
        "nproc" => line("1"),
        "uname" if args.contains(&"-a") => {
            line(&format!("Linux {} 6.12.0-sandbox #1 SMP x86_64 GNU/Linux", shell.hostname))
        }
        "uname" if args.contains(&"-m") => line("x86_64"),
        "uname" => line("Linux"),
        "date" if args.contains(&"+%s") => line(&object::time::now().as_second().to_string()),
        "date" => line(&object::time::now().strftime("%a %b %e %H:%M:%S UTC %Y").to_string()),
        "seq" => says(seq(args)?),
        "expr" => {
            let value = super::arithmetic::evaluate(&args.join(" "), |_| String::new())?;
            line(&value.to_string())
        }
        "basename" => line(args.first()?.trim_end_matches('/').rsplit('/').next()?),
        "dirname" => line(args.first()?.trim_end_matches('/').rsplit_once('/').map_or(".", |(d, _)| d)),
        "which" => match args.first() {
            Some(program) if NAMES.contains(program) => line(&format!("/bin/{program}")),
            _ => done(false),
        },
        "ls" => ls(&shell.files, args),
        _ => return None,
    })
}

fn environment(shell: &Shell<'_>) -> String {
    shell.variables.iter().map(|(k, v)| format!("{k}={v}\n")).collect()
}

fn echo(args: &[&str]) -> String {
    let flags = args.iter().take_while(|a| matches!(**a, "-n" | "-e" | "-ne" | "-en" | "-E")).count();
    let (flags, words) = args.split_at(flags);
    let text = words.join(" ");
    let text = if flags.iter().any(|f| f.contains('e')) { escapes(&text) } else { text };
    if flags.iter().any(|f| f.contains('n')) { text } else { text + "\n" }
}

fn escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('\\') | None => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

/// `%s`, `%d` and `%%`; the format is used again while there are arguments.
fn printf(args: &[&str]) -> String {
    let Some((format, mut args)) = args.split_first() else { return String::new() };
    let format = escapes(format);
    let mut out = String::new();
    loop {
        let before = args.len();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.find(|c| !c.is_ascii_digit() && *c != '-' && *c != '.') {
                    Some('%') => out.push('%'),
                    Some(_) => {
                        if let Some((first, rest)) = args.split_first() {
                            out.push_str(first);
                            args = rest;
                        }
                    }
                    None => {}
                },
                c => out.push(c),
            }
        }
        if args.is_empty() || args.len() == before {
            return out;
        }
    }
}

fn seq(args: &[&str]) -> Option<String> {
    let numbers: Option<Vec<i64>> = args.iter().map(|a| a.parse().ok()).collect();
    let (first, step, last) = match numbers?.as_slice() {
        [last] => (1, 1, *last),
        [first, last] => (*first, 1, *last),
        [first, step, last] if *step > 0 => (*first, *step, *last),
        _ => return None,
    };
    let numbers = (0..10_000).map(|i| first + i * step).take_while(|n| *n <= last);
    Some(numbers.map(|n| format!("{n}\n")).collect())
}

fn ls(files: &Files, args: &[&str]) -> Outcome {
    let path = args.iter().find(|a| !a.starts_with('-')).copied().unwrap_or("/");
    if files.contains_key(path) {
        return says(format!("{path}\n"));
    }
    let prefix = format!("{}/", path.trim_end_matches('/'));
    let mut names: Vec<&str> = files
        .keys()
        .filter_map(|k| k.strip_prefix(&prefix))
        .map(|rest| rest.split('/').next().unwrap_or(rest))
        .collect();
    names.dedup();
    if names.is_empty() {
        let err = format!("ls: {path}: No such file or directory\n");
        return Outcome { err, code: 1, ..Outcome::default() };
    }
    says(names.iter().map(|n| format!("{n}\n")).collect::<String>())
}
