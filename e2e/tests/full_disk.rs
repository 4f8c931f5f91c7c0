//! A disk that is full: nothing acknowledged is lost, what fails says so, and it goes on when there is space again.
//!
//! The disk is a small one in memory, mounted for `joey` alone; where that is not allowed the tests say that they were skipped.

use e2e::{Joey, Running};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A command that runs `joey` with a small disk at `folder`.
fn on_small_disk(joey: &Joey, kilobytes: u32, arguments: &str) -> Command {
    on_disk(joey, &format!("size={kilobytes}k"), arguments)
}

/// The same with any options of `mount`.
fn on_disk(joey: &Joey, options: &str, arguments: &str) -> Command {
    let (program, folder) = (joey.command(), joey.path("data"));
    fs::create_dir_all(&folder).expect("made");
    let (program, folder) =
        (program.get_program().to_string_lossy().into_owned(), folder.display().to_string());
    let script = format!("mount -t tmpfs -o {options} tmpfs {folder} && exec {program} {arguments}");
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--kill-child",
        "--fork",
        "timeout",
        "120",
        "sh",
        "-c",
        &script,
    ]);
    command
}

fn may_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stderr(Stdio::null())
        .status();
    let may = tried.is_ok_and(|s| s.success());
    if !may {
        eprintln!("SKIPPED: this user may not mount a small disk");
    }
    may
}

#[test]
fn no_space_at_the_start_is_told() {
    let Some(joey) = Joey::idle() else { return };
    if !may_mount() {
        return;
    }
    let data = joey.path("data").display().to_string();
    for kilobytes in [4, 64, 200] {
        let said =
            on_small_disk(&joey, kilobytes, &format!("up --data-dir {data}")).output().expect("it runs");
        let err = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(1), "{kilobytes} kB: {err}");
        assert!(err.contains("free some space"), "{kilobytes} kB: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn a_read_only_disk_is_told() {
    let Some(joey) = Joey::idle() else { return };
    if !may_mount() {
        return;
    }
    let data = joey.path("data").display().to_string();
    for command in ["up --data-dir", "serve --listen 127.0.0.1:0 --data-dir"] {
        let said = on_disk(&joey, "ro", &format!("{command} {data}")).output().expect("it runs");
        let err = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(1), "{command}: {err}");
        assert!(err.contains(&data) && err.contains("choose another"), "{command}: {err}");
        assert_eq!(err.lines().filter(|line| line.starts_with("joey: ")).count(), 1, "{command}: {err}");
    }
}

#[test]
fn no_space_later_is_survived() {
    let Some(joey) = Joey::idle() else { return };
    if !may_mount() {
        return;
    }
    let data = joey.path("data").display().to_string();
    let log = fs::File::create(joey.path("log")).expect("a log file");
    let mut command = on_small_disk(&joey, 6_000, &format!("up --data-dir {data}"));
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ctrl-C stops"));
    // Its own view of the folder, from outside of its mounts.
    let inside = PathBuf::from(format!("/proc/{}/root{data}", child.id()));
    let _running = Running(child);
    assert!(ready, "{}", joey.log());
    fs::create_dir_all(joey.path("data")).expect("made");
    fs::copy(inside.join("kubeconfig"), joey.kubeconfig()).expect("the kubeconfig");

    let text = joey.write("text", &"x".repeat(100_000));
    let from_file = format!("--from-file=text={text}");
    let mut acknowledged = vec![];
    let refused = loop {
        let name = format!("c{}", acknowledged.len());
        let said = joey.try_kubectl("joey-demo", &["create", "configmap", &name, &from_file]);
        match said.code {
            0 => acknowledged.push(name),
            _ => break said,
        }
        assert!(acknowledged.len() < 200, "the disk never fills");
    };
    let told = "Internal error occurred: storage failed: No space left on device";
    assert!(refused.err.contains(told), "{}", refused.err);
    let there = joey.kubectl(&["get", "configmaps", "-o", "name"]);
    for name in &acknowledged {
        assert!(there.lines().any(|l| l == format!("configmap/{name}")), "{name} is lost: {there}");
    }
    // Space comes back: the disk grows.
    let grown = Command::new("nsenter")
        .args([&format!("--target={}", _running.0.id()), "--user", "--mount", "--preserve-credentials"])
        .args(["mount", "-o", "remount,size=40000k", &data])
        .status();
    assert!(grown.is_ok_and(|s| s.success()), "the disk did not grow");
    let said = joey.try_kubectl("joey-demo", &["create", "configmap", "again", &from_file]);
    assert_eq!(said.code, 0, "{}{}", said.err, joey.log());
    joey.kubectl(&["create", "deployment", "web", "--image=nginx"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
}
