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
