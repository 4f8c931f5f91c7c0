//! What every engine must do, as tests. An engine's own tests call [`run`] and, when it keeps data, [`reopen`].
//!
//! Nothing is assumed of revisions but that they grow: an engine may share its counter with others.

mod lists;
mod reopening;
mod watches;
mod writes;

use crate::{Entry, Event, Expect, ListRequest, Listing, Revision, Store, StoreError, Watch, Write};
use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How long anything may take that is sure to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs every test on an empty store of its own. Panics where the engine differs.
pub async fn run<Made: Future<Output = Arc<dyn Store>>>(make: impl Fn() -> Made) {
    macro_rules! each {
        ($($test:path),+ $(,)?) => {
            $(
                let name = stringify!($test);
                let done = tokio::time::timeout(PATIENCE * 2, $test(make().await)).await;
                assert!(done.is_ok(), "{name} hangs");
            )+
        };
    }
    each!(
        writes::compare_and_set,
        writes::delete_and_recreate,
        writes::delete_of_nothing,
        writes::any_value,
        writes::one_counter_many_writers,
        writes::revisions_are_distinct,
        writes::expiry,
        lists::prefix_and_order,
        lists::pages_and_remaining,
        lists::pages_by_bytes,
        lists::older_revisions,
        lists::pages_at_a_revision_under_writes,
        lists::compaction,
        watches::from_now,
        watches::from_the_past,
        watches::compacted_and_future,
        watches::no_gap_from_list_to_watch,
        watches::order_under_load,
        watches::slow_watcher,
        watches::cancelled_waits,
        watches::position,
    );
}

/// Runs the tests of data that outlives the engine: `open` opens the same, first empty, data each time.
pub async fn reopen<Made: Future<Output = Arc<dyn Store>>>(open: impl Fn() -> Made) {
    reopening::keeps_everything(&open).await;
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn write(
    store: &dyn Store,
    key: &str,
    expect: Expect,
    value: Option<&str>,
) -> Result<Revision, StoreError> {
    store.write(Write { key: key.into(), expect, value: value.map(bytes), ttl: None }).await
}

async fn create(store: &dyn Store, key: &str, value: &str) -> Revision {
    write(store, key, Expect::Absent, Some(value)).await.expect("create")
}

async fn update(store: &dyn Store, key: &str, at: Revision, value: &str) -> Revision {
    write(store, key, Expect::At(at), Some(value)).await.expect("update")
}

async fn delete(store: &dyn Store, key: &str, at: Revision) -> Revision {
    write(store, key, Expect::At(at), None).await.expect("delete")
}

async fn get(store: &dyn Store, key: &str) -> Option<Entry> {
    store.get(key).await.expect("get").0
}

async fn list(store: &dyn Store, prefix: &str, at: Option<Revision>) -> Result<Listing, StoreError> {
    store.list(ListRequest { prefix: prefix.into(), at, ..ListRequest::default() }).await
}

async fn next(watch: &mut dyn Watch) -> Arc<Event> {
    tokio::time::timeout(PATIENCE, watch.next()).await.expect("an event in time").expect("an event")
}

/// Keys of a listing.
fn keys(listing: &Listing) -> Vec<&str> {
    listing.entries.iter().map(|entry| &*entry.key).collect()
}

/// The error with which a watch fails, at once or on its first event.
async fn refused(store: &dyn Store, from: Revision) -> StoreError {
    match store.watch("/", from).await {
        Err(error) => error,
        Ok(mut watch) => tokio::time::timeout(PATIENCE, watch.next())
            .await
            .expect("an answer in time")
            .expect_err("a watch that cannot be complete"),
    }
}
