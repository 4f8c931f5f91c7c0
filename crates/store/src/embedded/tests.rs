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
