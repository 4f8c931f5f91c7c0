//! The embedded engine in real processes: one that is killed while it writes, and two that want the same folder.
//!
//! The program starts itself again as the other process: the test [`writer_process`] does nothing by itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use store::embedded::{EmbeddedStore, Options};
use store::{Expect, ListRequest, Revision, Store, StoreError, Write};

/// Names the folder in which the other process writes.
const FOLDER: &str = "STORE_TEST_FOLDER";
const WRITERS: u64 = 8;

fn start(folder: &Path) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", "writer_process", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("this program again")
}

/// Creates, updates and deletes until it is killed, and prints `KEY REVISION VALUE` of each acknowledged write.
#[test]
fn writer_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let store = EmbeddedStore::open(folder, Options::default()).expect("open");
        let tasks: Vec<_> = (0..WRITERS).map(|number| tokio::spawn(write(store.clone(), number))).collect();
        for task in tasks {
            task.await.expect("a writer");
        }
    });
}

async fn write(store: Arc<EmbeddedStore>, number: u64) {
    for step in 0u64.. {
        let key = format!("/{number}/{}", step % 5);
        let held = store.get(&key).await.expect("get").0;
        let expect = held.as_ref().map_or(Expect::Absent, |entry| Expect::At(entry.mod_revision));
        let value = (held.is_none() || step % 7 > 0).then(|| format!("{number}-{step}"));
        let write =
            Write { key: key.as_str().into(), expect, value: value.clone().map(Into::into), ttl: None };
        let revision = store.write(write).await.expect("write");
        let line = format!("\nACK {key} {} {}\n", revision.0, value.as_deref().unwrap_or("-"));
        std::io::stdout().write_all(line.as_bytes()).expect("a reader");
        if step % 50 == 49 {
            store.compact(Revision(revision.0 - 20)).await.expect("compaction");
        }
    }
}

/// Reads acknowledgements until there are this many, kills the process and reads the rest.
fn kill_after(mut process: Child, count: usize) -> BTreeMap<Revision, (String, String)> {
    let mut acknowledged = BTreeMap::new();
    let output = BufReader::new(process.stdout.take().expect("its output"));
    for line in output.lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        if let (Some("ACK"), Some(key), Some(revision), Some(value)) =
            (words.next(), words.next(), words.next().and_then(|word| word.parse().ok()), words.next())
        {
            acknowledged.insert(Revision(revision), (key.to_owned(), value.to_owned()));
        }
        if acknowledged.len() == count {
            process.kill().expect("a process that can be killed");
        }
    }
    process.wait().expect("a process that was started");
    assert!(acknowledged.len() >= count, "only {} writes were acknowledged", acknowledged.len());
    acknowledged
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected: BTreeMap<String, (Revision, String)> = BTreeMap::new();
    let mut last = Revision(0);
    for round in 0..6 {
        let acknowledged = kill_after(start(folder.path()), 40 + round * 60);
        assert!(
            acknowledged.keys().next().is_some_and(|first| *first > last),
            "revisions go on in round {round}"
        );
        for (revision, (key, value)) in acknowledged {
            expected.insert(key, (revision, value));
            last = revision;
        }
        let store = EmbeddedStore::open(folder.path(), Options::default()).expect("open after a kill");
        assert!(store.revision() >= last);
        let listing = store.list(ListRequest::default()).await.expect("list");
        let held: BTreeMap<_, _> =
            listing.entries.iter().map(|entry| (entry.key.to_string(), entry)).collect();
        for (key, (revision, value)) in &expected {
            match held.get(key) {
                // each writer has at most one write under way, which may have been the last of its key
                Some(entry) if entry.mod_revision == *revision => assert_eq!(entry.value, value.as_str()),
                Some(entry) => assert!(entry.mod_revision > *revision, "{key} went back"),
                None => assert!(value == "-" || store.revision() > last, "{key} is lost"),
            }
        }
        let newer = listing.entries.iter().filter(|entry| entry.mod_revision > last).count();
        assert!(newer as u64 <= WRITERS, "{newer} writes that were never acknowledged");
        last = store.revision();
        expected = held
            .values()
            .map(|entry| (entry.key.to_string(), (entry.mod_revision, text(&entry.value))))
            .collect();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn another_process_has_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = start(folder.path());
    let mut output = BufReader::new(process.stdout.take().expect("its output")).lines();
    assert!(output.any(|line| line.is_ok_and(|line| line.starts_with("ACK"))));
    let refused = EmbeddedStore::open(folder.path(), Options::default()).err();
    assert!(
        matches!(&refused, Some(StoreError::Locked(place)) if place.contains("data.redb")),
        "{refused:?}"
    );
    process.kill().and_then(|()| process.wait()).expect("a process that can be killed");
    assert!(EmbeddedStore::open(folder.path(), Options::default()).is_ok());
}
