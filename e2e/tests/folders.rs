//! What can be wrong with a data folder: one message, an exit code, and everything is left as it was.

use e2e::Joey;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Every file below a folder and what it holds.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if entry.file_name().is_none_or(|n| n != "lock") {
                all.insert(entry.display().to_string(), fs::read(&entry).expect("a file"));
            }
        }
    }
    all
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let Some(joey) = Joey::up() else { return };
    let data = joey.path("data").display().to_string();
    let port = fs::read_to_string(joey.path("data/host/port")).expect("its port");
    for arguments in [&["up", "--data-dir", &data][..], &["up", "--reset", "--data-dir", &data]] {
        let said = joey.joey_alone(arguments);
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        let who = format!("is in use by another joey (process {})", joey.process());
        assert!(said.err.contains(&who) && said.err.contains("--data-dir"), "{}", said.err);
    }
    assert_eq!(fs::read_to_string(joey.path("data/host/port")).expect("its port"), port);
    assert!(joey.kubectl(&["get", "ns"]).contains("default"), "nothing happened to the first one");
}

#[test]
fn damage_is_told_and_nothing_is_touched() {
    let Some(mut joey) = Joey::up() else { return };
    assert_eq!(joey.interrupt(), 0, "Ctrl-C stops cleanly: {}", joey.log());
    assert_eq!(joey.log(), "", "nothing to complain about");
    let data = joey.path("data").display().to_string();
    let damages: [(&str, fn(&mut Vec<u8>), &str); 5] = [
        ("host/store/data.redb", |b| b[4096..].fill(0xff), "is damaged"),
        ("host/store/data.redb", |b| b.truncate(100), "is damaged"),
        ("clusters/joey-demo/demo/store/data.redb", |b| b[4096..].fill(0xff), "is damaged"),
        ("host/ca.key", |b| *b = b"nothing".to_vec(), "the keys in"),
        ("host/ca.crt", Vec::clear, "the keys in"),
    ];
    for (file, damage, message) in damages {
        let path = joey.path("data").join(file);
        let intact = fs::read(&path).expect("it is there");
        let mut damaged = intact.clone();
        damage(&mut damaged);
        fs::write(&path, &damaged).expect("damaged");
        let before = contents(path.parent().expect("a folder"));
        let said = joey.joey_alone(&["up", "--data-dir", &data]);
        assert_eq!(said.code, 1, "{file}: {}{}", said.out, said.err);
        let folder = path.parent().expect("a folder").display().to_string();
        assert!(said.err.contains(message) && said.err.contains(&folder), "{file}: {}", said.err);
        let messages = said.err.lines().filter(|line| line.starts_with("joey: ")).count();
        assert_eq!((messages, said.err.contains("panicked")), (1, false), "{file}: {}", said.err);
        assert_eq!(contents(path.parent().expect("a folder")), before, "{file} was touched");
        fs::write(&path, &intact).expect("mended");
    }
    joey.start("Ctrl-C stops");
    assert!(joey.kubectl(&["get", "ns"]).contains("default"));
}

#[test]
fn a_missing_key_is_not_replaced() {
    let Some(mut joey) = Joey::up() else { return };
    joey.kill();
    let data = joey.path("data").display().to_string();
    for file in ["host/ca.key", "host/ca.crt"] {
        let path = joey.path("data").join(file);
        let held = fs::read(&path).expect("it is there");
        fs::remove_file(&path).expect("removed");
        let said = joey.joey_alone(&["up", "--data-dir", &data]);
        assert_eq!(said.code, 1, "{file}: {}{}", said.out, said.err);
        assert!(
            said.err.contains(path.file_name().and_then(|n| n.to_str()).expect("a name")),
            "{}",
            said.err
        );
        assert!(!path.exists(), "{file} was made anew: every kubeconfig would be worthless");
        fs::write(&path, held).expect("mended");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let Some(joey) = Joey::idle() else { return };
    let file = joey.write("file", "not a folder");
    let said = joey.joey_alone(&["up", "--data-dir", &file]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("a file is where a folder should be"), "{}", said.err);
    let said = joey.joey_alone(&["serve", "--data-dir", &file, "--listen", "127.0.0.1:0"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("--data-dir"), "{}", said.err);

    let folder = joey.path("locked-up");
    fs::create_dir(&folder).expect("made");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).expect("read-only");
    if fs::write(folder.join("probe"), "").is_ok() {
        let _ = fs::remove_file(folder.join("probe"));
        eprintln!("SKIPPED: this user may write anything");
        return;
    }
    let said = joey.joey_alone(&["up", "--data-dir", &folder.display().to_string()]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("change its permissions"), "{}", said.err);
}
