//! Data outlives the engine.

use super::*;

pub(super) async fn keeps_everything<Made: Future<Output = Arc<dyn Store>>>(open: &impl Fn() -> Made) {
    let store = open().await;
    let mut revisions = Vec::new();
    for number in 0..30 {
        revisions.push(create(&*store, &format!("/a/{number:02}"), "1").await);
    }
    let compacted = revisions[9];
    store.compact(compacted).await.expect("compaction");
    let updated = update(&*store, "/a/03", revisions[3], "2").await;
    let deleted = delete(&*store, "/a/04", revisions[4]).await;
    let before = list(&*store, "/", None).await.expect("list");
    drop(store);

    let store = open().await;
    assert!(store.revision() >= deleted, "revisions never go back");
    let after = list(&*store, "/", None).await.expect("list");
    assert_eq!(after.entries, before.entries);
    assert_eq!(get(&*store, "/a/03").await.map(|entry| entry.create_revision), Some(revisions[3]));
    let refused_at = list(&*store, "/", Some(revisions[5])).await;
    assert!(matches!(refused_at, Err(StoreError::Compacted(_))), "{refused_at:?}");
    assert_eq!(list(&*store, "/", Some(revisions[19])).await.expect("an older revision").entries.len(), 20);
    let mut watch = store.watch("/a/", revisions[28]).await.expect("a watch from before");
    for revision in [revisions[29], updated, deleted] {
        assert_eq!(next(&mut *watch).await.revision, revision);
    }
    let newest = create(&*store, "/a/04", "again").await;
    assert!(newest > deleted);
    assert_eq!(next(&mut *watch).await.revision, newest);
    drop(watch);
    store.compact(newest).await.expect("compaction");
    delete(&*store, "/a/04", newest).await;
    let last = store.revision();
    store.compact(last).await.expect("compaction of a deletion");
    drop(store);

    let store = open().await;
    assert!(store.revision() >= last, "also when nothing is left of the last write");
    assert_eq!(store.count("/a/").await, Ok(29));
    assert!(create(&*store, "/b", "x").await > last);
}
