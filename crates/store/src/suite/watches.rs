//! Watches: where they start, order, completeness, position.

use super::*;
use std::collections::BTreeMap;

pub(super) async fn from_now(store: Arc<dyn Store>) {
    let store = &*store;
    create(store, "/a/old", "x").await;
    let mut watch = store.watch("/a/", store.revision()).await.expect("watch");
    assert!(watch.try_next().expect("a running watch").is_none());
    create(store, "/b/other", "x").await;
    let created = create(store, "/a/1", "1").await;
    let updated = update(store, "/a/1", created, "2").await;
    create(store, "/ab", "x").await;
    let deleted = delete(store, "/a/1", updated).await;
    let events = [next(&mut *watch).await, next(&mut *watch).await, next(&mut *watch).await];
    assert!(events.iter().all(|event| &*event.key == "/a/1"));
    assert_eq!(events.each_ref().map(|event| event.revision), [created, updated, deleted]);
    let values = events.each_ref().map(|event| event.value.as_deref());
    assert_eq!(values, [Some(&b"1"[..]), Some(&b"2"[..]), None]);
    let entry = |value, mod_revision| {
        Some(Entry { key: "/a/1".into(), value: bytes(value), create_revision: created, mod_revision })
    };
    assert_eq!(events[0].previous, None);
    assert_eq!(events[1].previous, entry("1", created));
    assert_eq!(events[2].previous, entry("2", updated));
    let again = create(store, "/a/1", "3").await;
    let event = next(&mut *watch).await;
    assert_eq!((event.revision, &event.previous), (again, &None), "recreated keys have nothing before them");
}

pub(super) async fn from_the_past(store: Arc<dyn Store>) {
    let store = &*store;
    let start = store.revision();
    let one = create(store, "/a/1", "1").await;
    let two = update(store, "/a/1", one, "2").await;
    create(store, "/b/1", "x").await;
    let three = delete(store, "/a/1", two).await;
    let four = create(store, "/a/1", "4").await;
    let all = [one, two, three, four];
    for (skip, from) in [start, one, two, three, four].into_iter().enumerate() {
        let mut watch = store.watch("/a/", from).await.expect("watch");
        for revision in &all[skip..] {
            let event = next(&mut *watch).await;
            assert_eq!(event.revision, *revision, "from {from:?}");
            let before = (*revision == two).then_some(one).or((*revision == three).then_some(two));
            assert_eq!(event.previous.as_ref().map(|entry| entry.mod_revision), before);
            assert!(event.previous.as_ref().is_none_or(|entry| entry.create_revision == one));
        }
        let last = update(store, "/a/1", get(store, "/a/1").await.expect("the key").mod_revision, "5").await;
        loop {
            // later rounds see the changes of earlier ones first
            let event = next(&mut *watch).await;
            assert!(event.revision <= last);
            if event.revision == last {
                break;
            }
        }
        assert!(watch.try_next().expect("a running watch").is_none());
    }
}

pub(super) async fn compacted_and_future(store: Arc<dyn Store>) {
    let store = &*store;
    let one = create(store, "/a", "1").await;
    let two = update(store, "/a", one, "2").await;
    let three = update(store, "/a", two, "3").await;
    store.compact(two).await.expect("compaction");
    let refused_at = refused(store, one).await;
    assert!(matches!(refused_at, StoreError::Compacted(oldest) if oldest >= two), "{refused_at:?}");
    let mut watch = store.watch("/", two).await.expect("a watch from the oldest revision");
    let event = next(&mut *watch).await;
    assert_eq!(event.revision, three);
    assert_eq!(event.previous.as_ref().map(|entry| &entry.value[..]), Some(&b"2"[..]));
    let ahead = Revision(store.revision().0 + 1_000);
    let refused_at = store.watch("/", ahead).await.err();
    assert!(matches!(refused_at, Some(StoreError::Future(now)) if now >= three), "{refused_at:?}");
}

/// List, then watch from the list's revision: what informers do. Nothing may fall between.
pub(super) async fn no_gap_from_list_to_watch(store: Arc<dyn Store>) {
    const TOTAL: usize = 120;
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..TOTAL {
                create(&*store, &format!("/n/{number:03}"), "x").await;
            }
        })
    };
    let mut informers = Vec::new();
    while !writer.is_finished() {
        let listing = list(&*store, "/n/", None).await.expect("list");
        let watch = store.watch("/n/", listing.revision).await.expect("a watch from a list's revision");
        informers.push((listing, watch));
        if informers.len() > 50 {
            break;
        }
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer");
    for (listing, mut watch) in informers {
        let mut seen: Vec<_> = keys(&listing).iter().map(ToString::to_string).collect();
        while seen.len() < TOTAL {
            seen.push(next(&mut *watch).await.key.to_string());
        }
        let expected: Vec<_> = (0..TOTAL).map(|number| format!("/n/{number:03}")).collect();
        assert_eq!(seen, expected);
    }
}

/// Writers that change 5 keys under each of two prefixes; returns all revisions given, with their keys.
async fn load(store: &Arc<dyn Store>, writers: usize, each: usize) -> BTreeMap<Revision, String> {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for step in 0..each {
                    let number = writer * each + step;
                    let key = format!("/{}/{}", ["a", "b"][number % 2], number % 5);
                    let mut held = get(&*store, &key).await;
                    loop {
                        let expect =
                            held.as_ref().map_or(Expect::Absent, |entry| Expect::At(entry.mod_revision));
                        let value = (held.is_none() || !number.is_multiple_of(4)).then(|| number.to_string());
                        match write(&*store, &key, expect, value.as_deref()).await {
                            Ok(revision) => break done.push((revision, key)),
                            Err(StoreError::Conflict(now)) => held = now,
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
                done
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for task in tasks {
        all.extend(task.await.expect("a writer"));
    }
    assert_eq!(all.len(), writers * each, "every write has its own revision");
    all
}

/// Reads from the watch what `expected` names under `prefix` and checks that each event fits to the one before.
async fn follow(watch: &mut dyn Watch, prefix: &str, expected: &BTreeMap<Revision, String>) {
    let mut last: BTreeMap<String, Option<Revision>> = BTreeMap::new();
    for (revision, key) in expected.iter().filter(|(_, key)| key.starts_with(prefix)) {
        let event = next(watch).await;
        assert_eq!((event.revision, &*event.key), (*revision, key.as_str()), "under {prefix}");
        let previous = event.previous.as_ref().map(|entry| entry.mod_revision);
        if let Some(before) = last.insert(key.clone(), event.value.is_some().then_some(event.revision)) {
            assert_eq!(previous, before, "what {key} held before {revision:?}");
        }
    }
}

pub(super) async fn order_under_load(store: Arc<dyn Store>) {
    let start = store.revision();
    let mut watches = Vec::new();
    for prefix in ["/a/", "/b/", "/", "/a/3", "", "/c/"] {
        watches.push((prefix, store.watch(prefix, start).await.expect("watch")));
    }
    let expected = load(&store, 8, 25).await;
    for (prefix, watch) in &mut watches {
        follow(&mut **watch, prefix, &expected).await;
        assert!(watch.try_next().expect("a running watch").is_none());
    }
    let middle = *expected.keys().nth(100).expect("a revision");
    let rest =
        expected.range(Revision(middle.0 + 1)..).map(|(revision, key)| (*revision, key.clone())).collect();
    let mut late = store.watch("/a/", middle).await.expect("watch");
    follow(&mut *late, "/a/", &rest).await;
}

pub(super) async fn slow_watcher(store: Arc<dyn Store>) {
    let mut slow = store.watch("/", store.revision()).await.expect("watch");
    let mut idle = store.watch("/idle/", store.revision()).await.expect("watch");
    let expected = load(&store, 16, 40).await;
    follow(&mut *slow, "/", &expected).await;
    let revision = create(&*store, "/idle/1", "x").await;
    assert_eq!(next(&mut *idle).await.revision, revision);
    assert_eq!(next(&mut *slow).await.revision, revision);
}

pub(super) async fn cancelled_waits(store: Arc<dyn Store>) {
    let mut watch = store.watch("/a/", store.revision()).await.expect("watch");
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for number in 0..100 {
                revisions.push(create(&*store, &format!("/a/{number}"), "x").await);
            }
            revisions
        })
    };
    let mut seen = Vec::new();
    while seen.len() < 100 {
        // gives up waiting at once, again and again
        match futures::FutureExt::now_or_never(watch.next()) {
            Some(event) => seen.push(event.expect("an event").revision),
            None => tokio::task::yield_now().await,
        }
    }
    assert_eq!(seen, writer.await.expect("the writer"));
}

pub(super) async fn position(store: Arc<dyn Store>) {
    let start = create(&*store, "/a/0", "x").await;
    let mut watch = store.watch("/a/", start).await.expect("watch");
    assert!(watch.position() >= start);
    let one = create(&*store, "/a/1", "x").await;
    let two = create(&*store, "/a/2", "x").await;
    assert!(watch.position() < one, "what was not handed out is not passed");
    assert_eq!(next(&mut *watch).await.revision, one);
    assert!(watch.position() < two && watch.position() >= start);
    assert_eq!(next(&mut *watch).await.revision, two);
    assert!(watch.position() >= two);
    let mut other = Revision(0);
    for number in 0..20 {
        other = create(&*store, &format!("/b/{number}"), "x").await;
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while watch.position() < other {
        assert!(tokio::time::Instant::now() < deadline, "the position stays behind the store");
        assert!(
            tokio::time::timeout(Duration::from_millis(20), watch.next()).await.is_err(),
            "no event is due"
        );
    }
    let behind = store.watch("/a/", start).await.expect("watch");
    assert!(behind.position() < one, "what was not read from history is not passed");
}
