//! The embedded engine on real files: the suite, and what only it does.

use super::*;
use crate::suite;
use crate::{Expect, Write};
use std::sync::atomic::AtomicU64;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

async fn create(
    store: &EmbeddedStore,
    key: &str,
    value: impl Into<bytes::Bytes>,
) -> Result<Revision, StoreError> {
    store.write(Write { key: key.into(), expect: Expect::Absent, value: Some(value.into()), ttl: None }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suite_with_a_large_ring() {
    let root = folder();
    let number = AtomicU64::new(0);
    suite::run(|| {
        let path = root.path().join(number.fetch_add(1, Ordering::Relaxed).to_string());
        async move { EmbeddedStore::open(path, Options::default()).expect("open") as Arc<dyn Store> }
    })
    .await;
}

/// With room for almost nothing in memory, watchers read from history all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suite_with_a_tiny_ring() {
    let root = folder();
    let number = AtomicU64::new(0);
    suite::run(|| {
        let path = root.path().join(number.fetch_add(1, Ordering::Relaxed).to_string());
        let recent = Limits { events: 3, bytes: 2_000 };
        let options = Options { recent, cache_bytes: 0, ..Options::default() };
        async move { EmbeddedStore::open(path, options).expect("open") as Arc<dyn Store> }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suite_of_reopening() {
    let root = folder();
    suite::reopen(|| async {
        EmbeddedStore::open(root.path(), Options::default()).expect("open") as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn a_store_is_open_once() {
    let root = folder();
    let store = EmbeddedStore::open(root.path(), Options::default()).expect("open");
    let file = root.path().join(FILE).display().to_string();
    let second = EmbeddedStore::open(root.path(), Options::default()).err();
    assert_eq!(second, Some(StoreError::Locked(file)));
    create(&store, "/a", "1").await.expect("the first still works");
    let mut watch = store.watch("/", Revision(0)).await.expect("watch");
    drop(store);
    assert_eq!(watch.next().await.err(), Some(StoreError::Closed));
    let store = EmbeddedStore::open(root.path(), Options::default()).expect("open after it was closed");
    assert_eq!(store.count("/").await, Ok(1));
}

#[tokio::test]
async fn a_creation_that_was_cut_off_is_begun_anew() {
    let root = folder();
    let unnamed = root.path().join(format!("{FILE}.new"));
    std::fs::write(&unnamed, vec![7; 10_000]).expect("a file");
    let store = EmbeddedStore::open(root.path(), Options::default()).expect("open");
    create(&store, "/a", "1").await.expect("create");
    drop(store);
    assert!(!unnamed.exists());
    let store = EmbeddedStore::open(root.path(), Options::default()).expect("open");
    assert_eq!(store.count("/").await, Ok(1));
}

/// What a damaged file may do: be refused by name, or give right answers. Never wrong ones, and it is left as it is.
async fn damage(crashed: bool) {
    let root = folder();
    let store = EmbeddedStore::open(root.path(), Options::default()).expect("open");
    for number in 0..200usize {
        create(&store, &format!("/a/{number:03}"), vec![number as u8; 50 + number * 17 % 3_000])
            .await
            .expect("create");
    }
    let file = root.path().join(FILE);
    let read = || std::fs::read(&file).expect("the file");
    let image = read();
    drop(store);
    let whole = if crashed { image } else { read() };
    let (mut refused, mut noticed) = (0, 0);
    for round in 0..150usize {
        let mut damaged = whole.clone();
        match round {
            0 => damaged.truncate(whole.len() / 2),
            1 => damaged.truncate(5_000),
            2 => damaged[..8].fill(0),
            3 => damaged.fill(0xaa),
            _ => {
                let at = round * 7_919 * 4_099 % whole.len();
                let end = whole.len().min(at + 1 + round % 3 * 300);
                damaged[at..end].iter_mut().for_each(|byte| *byte ^= 0x55);
            }
        }
        std::fs::write(&file, &damaged).expect("the file");
        match EmbeddedStore::open(root.path(), Options::default()) {
            Err(error) => {
                refused += 1;
                assert!(
                    matches!(&error, StoreError::Corrupt(what) if what.contains(FILE)),
                    "round {round}: {error}"
                );
                assert!(
                    std::fs::read(&file).expect("the file") == damaged,
                    "round {round}: the file was changed"
                );
            }
            Ok(store) => {
                // after a crash, a damaged last write cannot be told from one that was cut off
                let least = if crashed { 199 } else { 200 };
                assert!(store.revision() >= Revision(least), "round {round}: went back");
                for number in 0..least as usize {
                    match store.get(&format!("/a/{number:03}")).await {
                        Ok((entry, _)) => {
                            let value = vec![number as u8; 50 + number * 17 % 3_000];
                            assert!(
                                entry.is_some_and(|entry| entry.value == value),
                                "round {round}: wrong answer"
                            );
                        }
                        Err(StoreError::Corrupt(what)) => {
                            noticed += 1;
                            assert!(what.contains(FILE), "{what}");
                        }
                        Err(other) => panic!("round {round}: {other}"),
                    }
                }
            }
        }
    }
    assert!(refused > 20, "{refused} refused");
    assert_eq!(noticed, 0, "a file as small as this is verified when it is opened");
}

#[tokio::test]
async fn damage_is_told_and_nothing_is_destroyed() {
    damage(false).await;
}

#[tokio::test]
async fn damage_after_a_crash_is_told_and_nothing_is_destroyed() {
    damage(true).await;
}

/// A store whose clock the test holds, in milliseconds since 1970.
fn open_at(path: &Path, clock: &Arc<AtomicU64>) -> Arc<EmbeddedStore> {
    let clock = clock.clone();
    let now = move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::Relaxed));
    EmbeddedStore::open(path, Options { clock: Arc::new(now), ..Options::default() }).expect("open")
}

#[tokio::test]
async fn keys_expire_when_they_are_due_also_after_reopening() {
    let root = folder();
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let store = open_at(root.path(), &clock);
    assert_eq!((store.next_expiry(), store.maintain().await), (None, Ok(None)));
    for (key, seconds) in [("/event/1", 60), ("/event/2", 30), ("/event/3", 90)] {
        let ttl = Some(Duration::from_secs(seconds));
        let write = Write { key: key.into(), expect: Expect::Absent, value: Some("x".into()), ttl };
        store.write(write).await.expect("create");
    }
    drop(store);
    let store = open_at(root.path(), &clock);
    let at = |milliseconds| UNIX_EPOCH + Duration::from_millis(milliseconds);
    assert_eq!(store.next_expiry(), Some(at(1_030_000)));
    assert_eq!(store.expire_due(at(1_029_999)).await, Ok(0));
    assert_eq!(store.maintain().await, Ok(Some(Duration::from_secs(30))));
    assert_eq!(store.expire_due(at(1_030_000)).await, Ok(1));
    assert_eq!(store.count("/event/").await, Ok(2));
    clock.store(1_060_000, Ordering::Relaxed);
    create(&store, "/other", "x").await.expect("create");
    assert_eq!(store.count("/event/").await, Ok(1), "writes do what is due");
    assert_eq!(store.maintain().await, Ok(Some(Duration::from_millis(REST))), "memory first");
    clock.fetch_add(REST, Ordering::Relaxed);
    let rest = Duration::from_secs(30) - Duration::from_millis(REST);
    assert_eq!(store.maintain().await, Ok(Some(rest)));
    clock.store(1_090_000, Ordering::Relaxed);
    store.maintain().await.expect("maintenance");
    assert_eq!((store.count("").await, store.next_expiry()), (Ok(1), None));
}

/// Waits until nothing that compaction made superfluous is left: the write path goes on with that after it answered.
async fn swept(store: &EmbeddedStore) {
    loop {
        let engine = store.engine.clone();
        let meta =
            tokio::task::spawn_blocking(move || engine.writer.lock().meta).await.expect("the meta data");
        if meta.swept == meta.compacted {
            return;
        }
    }
}

#[tokio::test]
async fn old_history_is_compacted_and_its_space_used_again() {
    let root = folder();
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let store = open_at(root.path(), &clock);
    let mut revisions = vec![create(&store, "/a", vec![0; 4_000]).await.expect("create")];
    let mut sizes = Vec::new();
    for round in 0..40u64 {
        for _ in 0..25 {
            clock.fetch_add(1_000, Ordering::Relaxed);
            let expect = Expect::At(*revisions.last().expect("revisions"));
            let value = Some(vec![round as u8; 4_000].into());
            let write = Write { key: "/a".into(), expect, value, ttl: None };
            revisions.push(store.write(write).await.expect("update"));
        }
        sizes.push(std::fs::metadata(root.path().join(FILE)).expect("the file").len());
    }
    let at = |seconds_ago: usize| ListRequest {
        at: Some(revisions[1_000 - seconds_ago]),
        ..ListRequest::default()
    };
    assert_eq!(
        store.list(at(299)).await.map(|listing| listing.entries.len()),
        Ok(1),
        "five minutes are kept"
    );
    let refused = store.list(at(400)).await.err();
    assert!(matches!(refused, Some(StoreError::Compacted(_))), "{refused:?}");
    assert!(sizes[39] <= sizes[19] * 3 / 2, "the file grows: {sizes:?}");
    // without further writes, maintenance does it
    clock.fetch_add(400_000, Ordering::Relaxed);
    let mut due = store.maintain().await.expect("maintenance");
    while let Some(wait) = due {
        clock.fetch_add(wait.as_millis() as u64, Ordering::Relaxed);
        due = store.maintain().await.expect("maintenance");
    }
    assert!(store.list(at(1)).await.is_err());
    assert_eq!(store.count("").await, Ok(1));
    swept(&store).await;
    let kept = store.engine.state.read().snapshot.clone();
    let left = redb::ReadableTableMetadata::len(&kept.values).expect("a length");
    assert_eq!(left, 1, "only the current value is left");
}

#[tokio::test]
async fn pages_of_a_list_go_out_of_date_though_nothing_is_written() {
    let root = folder();
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let store = open_at(root.path(), &clock);
    for name in ["/a/1", "/a/2", "/a/3"] {
        create(&store, name, "x").await.expect("create");
    }
    // what the writes left to do is done: nothing is due from now on
    clock.fetch_add(1_000_000, Ordering::Relaxed);
    while let Some(wait) = store.maintain().await.expect("maintenance") {
        clock.fetch_add(wait.as_millis() as u64, Ordering::Relaxed);
    }
    let rang = Arc::new(Mutex::new(Vec::new()));
    let bell = rang.clone();
    store.attend(Box::new(move |wait| bell.lock().push(wait)));
    let mut watch = store.watch("/", store.revision()).await.expect("watch");
    let page = ListRequest { prefix: "/a/".into(), limit: 1, ..ListRequest::default() };
    let first = store.list(page.clone()).await.expect("list");
    assert!(!rang.lock().is_empty(), "somebody has to come");
    let rest = ListRequest { after: Some("/a/1".into()), at: Some(first.revision), ..page };
    assert_eq!(store.maintain().await.map(|wait| wait.is_some()), Ok(true));
    clock.fetch_add(300_000, Ordering::Relaxed);
    store.maintain().await.expect("maintenance");
    assert!(store.list(rest.clone()).await.is_ok(), "five minutes are kept");
    clock.fetch_add(60_000, Ordering::Relaxed);
    store.maintain().await.expect("maintenance");
    let next = Revision(first.revision.0 + 1);
    assert_eq!(store.list(rest).await.err(), Some(StoreError::Compacted(next)));
    assert_eq!((store.revision(), watch.position(), watch.try_next().is_ok()), (next, next, true));
    clock.fetch_add(60_000, Ordering::Relaxed);
    assert_eq!(store.maintain().await, Ok(None), "and then there is nothing to do again");
    drop(store);
    let store = open_at(root.path(), &clock);
    assert_eq!(store.revision(), next);
    assert_eq!(create(&store, "/b", "x").await, Ok(Revision(next.0 + 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_of_one_revision_and_restores_all_of_it() {
    let root = folder();
    let store = EmbeddedStore::open(root.path().join("store"), Options::default()).expect("open");
    for number in 0..1_500usize {
        create(&store, &format!("/a/{number:04}"), vec![number as u8; number % 700]).await.expect("create");
    }
    store.compact(Revision(100)).await.expect("compaction");
    let churn = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..200 {
                create(&store, &format!("/b/{number}"), "x").await.expect("create");
            }
        })
    };
    let file = root.path().join("backup");
    let revision = store.backup(&file).await.expect("backup");
    let again = store.backup(&file).await.err();
    assert!(matches!(&again, Some(StoreError::Io(what)) if what.contains("exists already")), "{again:?}");
    churn.await.expect("the writer");
    let at = ListRequest { at: Some(revision), ..ListRequest::default() };
    let expected = store.list(at.clone()).await.expect("list").entries;

    let path = root.path().join("restored");
    let bytes = std::fs::read(&file).expect("the backup");
    let restored_at = EmbeddedStore::restore(&file, &path).expect("a restore");
    assert!(restored_at > store.revision(), "revisions do not go back for who saw later writes");
    assert!(std::fs::read(&file).expect("the backup") == bytes, "the backup is only read");
    let again = EmbeddedStore::restore(&file, &path).err();
    assert!(matches!(&again, Some(StoreError::Io(what)) if what.contains("exists already")), "{again:?}");
    let restored = EmbeddedStore::open(&path, Options::default()).expect("open");
    assert_eq!(restored.revision(), restored_at);
    assert!(restored.list(ListRequest::default()).await.expect("list").entries == expected);
    let older = ListRequest { at: Some(revision), ..ListRequest::default() };
    assert_eq!(restored.list(older).await.err(), Some(StoreError::Compacted(restored_at)));
    let watch = restored.watch("/", revision).await.err();
    assert_eq!(watch, Some(StoreError::Compacted(restored_at)), "who followed the old one lists anew");
    assert!(create(&restored, "/new", "x").await.is_ok_and(|new| new > restored_at));

    let mut bytes = bytes;
    let middle = bytes.len() / 2;
    bytes[middle..middle + 5_000].fill(0x11);
    let damaged = root.path().join("damaged");
    std::fs::write(&damaged, bytes).expect("a file");
    let refused = EmbeddedStore::restore(&damaged, root.path().join("third")).err();
    assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{refused:?}");
    assert!(!root.path().join("third").join(FILE).exists());
    let absent = EmbeddedStore::restore(root.path().join("absent"), root.path().join("third")).err();
    assert!(matches!(&absent, Some(StoreError::Io(what)) if what.contains("No such file")), "{absent:?}");
}

/// A backup that was killed just before its end leaves all it copied, under another name.
#[tokio::test]
async fn a_backup_that_was_cut_off_is_begun_anew() {
    let root = folder();
    let store = EmbeddedStore::open(root.path().join("store"), Options::default()).expect("open");
    let gone = create(&store, "/gone", "x").await.expect("create");
    create(&store, "/kept", "x").await.expect("create");
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    store.backup(&first).await.expect("backup");
    std::fs::rename(&first, root.path().join("second.partial")).expect("a file");
    let delete = Write { key: "/gone".into(), expect: Expect::At(gone), value: None, ttl: None };
    store.write(delete).await.expect("delete");
    store.compact(store.revision()).await.expect("compaction");
    swept(&store).await;
    store.backup(&second).await.expect("backup");
    assert!(!root.path().join("second.partial").exists());
    EmbeddedStore::restore(&second, root.path().join("restored")).expect("a restore");
    let restored = EmbeddedStore::open(root.path().join("restored"), Options::default()).expect("open");
    let keys = restored.list(ListRequest::default()).await.expect("list").entries;
    assert_eq!(keys.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), ["/kept"]);
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_named() {
    let root = folder();
    let file = root.path().join("file");
    std::fs::write(&file, "not a folder").expect("a file");
    let refused = EmbeddedStore::open(&file, Options::default()).err();
    assert!(matches!(&refused, Some(StoreError::Io(what)) if what.contains("file")), "{refused:?}");
    let refused = EmbeddedStore::open(file.join("below"), Options::default()).err();
    assert!(matches!(&refused, Some(StoreError::Io(what)) if what.contains("below")), "{refused:?}");
}
