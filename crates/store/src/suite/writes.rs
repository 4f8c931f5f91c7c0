//! Compare-and-set, concurrent writers, expiry.

use super::*;
use std::collections::BTreeSet;

pub(super) async fn compare_and_set(store: Arc<dyn Store>) {
    let store = &*store;
    let before = store.revision();
    let created = create(store, "/a", "1").await;
    assert!(created > before && created.0 >= 1);
    let (entry, at) = store.get("/a").await.expect("get");
    let entry = entry.expect("the key that was created");
    assert_eq!((&*entry.key, &entry.value[..]), ("/a", &b"1"[..]));
    assert_eq!((entry.create_revision, entry.mod_revision), (created, created));
    assert!(at >= created && store.revision() >= created, "readers see what was acknowledged");

    let conflict = Err(StoreError::Conflict(Some(entry.clone())));
    assert_eq!(write(store, "/a", Expect::Absent, Some("2")).await, conflict);
    assert_eq!(write(store, "/a", Expect::At(before), Some("2")).await, conflict);
    assert_eq!(write(store, "/a", Expect::At(Revision(created.0 + 1)), Some("2")).await, conflict);
    assert_eq!(write(store, "/a", Expect::At(before), None).await, conflict);
    assert_eq!(write(store, "/none", Expect::At(created), Some("2")).await, Err(StoreError::Conflict(None)));
    assert_eq!(get(store, "/a").await, Some(entry), "a refused write changes nothing");
    assert_eq!(get(store, "/none").await, None);

    let updated = update(store, "/a", created, "2").await;
    assert!(updated > created);
    let entry = get(store, "/a").await.expect("the key");
    assert_eq!((entry.create_revision, entry.mod_revision, &entry.value[..]), (created, updated, &b"2"[..]));
    let stale = write(store, "/a", Expect::At(created), Some("3")).await;
    assert_eq!(stale, Err(StoreError::Conflict(Some(entry))));
}

pub(super) async fn delete_and_recreate(store: Arc<dyn Store>) {
    let store = &*store;
    let first = create(store, "/a", "1").await;
    let second = update(store, "/a", first, "2").await;
    let deleted = delete(store, "/a", second).await;
    assert!(deleted > second);
    assert_eq!(get(store, "/a").await, None);
    assert_eq!(write(store, "/a", Expect::At(second), Some("3")).await, Err(StoreError::Conflict(None)));
    assert_eq!(write(store, "/a", Expect::At(deleted), None).await, Err(StoreError::Conflict(None)));
    let again = create(store, "/a", "3").await;
    let entry = get(store, "/a").await.expect("the key");
    assert_eq!((entry.create_revision, entry.mod_revision), (again, again));
    assert!(again > deleted);
}

pub(super) async fn delete_of_nothing(store: Arc<dyn Store>) {
    let store = &*store;
    let first = create(store, "/a", "1").await;
    let mut watch = store.watch("/", first).await.expect("watch");
    let nothing = write(store, "/none", Expect::Absent, None).await;
    assert!(nothing.is_ok_and(|revision| revision >= first));
    let second = create(store, "/b", "2").await;
    assert_eq!(next(&mut *watch).await.revision, second, "nothing happened in between");
}

pub(super) async fn any_value(store: Arc<dyn Store>) {
    let large: Vec<u8> = (0..1 << 20).map(|number: u32| (number ^ number >> 8) as u8).collect();
    let values =
        [Bytes::new(), Bytes::from_static(b"\0\xff\n"), Bytes::from(large), Bytes::from(vec![7; 5_000])];
    for (number, value) in values.iter().enumerate() {
        let key: Arc<str> = format!("/ä/{number}/☃").into();
        let write = Write { key, expect: Expect::Absent, value: Some(value.clone()), ttl: None };
        store.write(write).await.expect("create");
    }
    let listing = list(&*store, "/ä/", None).await.expect("list");
    assert_eq!(listing.entries.len(), values.len());
    for (entry, value) in listing.entries.iter().zip(&values) {
        assert!(entry.value == value, "{} differs", entry.key);
        assert!(get(&*store, &entry.key).await.is_some_and(|entry| entry.value == value));
    }
}

pub(super) async fn one_counter_many_writers(store: Arc<dyn Store>) {
    const WRITERS: usize = 8;
    const EACH: usize = 15;
    create(&*store, "/counter", "0").await;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut entry = get(&*store, "/counter").await.expect("the counter");
                let mut done = 0;
                while done < EACH {
                    let count: usize =
                        std::str::from_utf8(&entry.value).expect("text").parse().expect("a number");
                    let value = (count + 1).to_string();
                    match write(&*store, "/counter", Expect::At(entry.mod_revision), Some(&value)).await {
                        Ok(_) => {
                            done += 1;
                            entry = get(&*store, "/counter").await.expect("the counter");
                        }
                        Err(StoreError::Conflict(Some(now))) => entry = now,
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer");
    }
    let entry = get(&*store, "/counter").await.expect("the counter");
    assert_eq!(entry.value, (WRITERS * EACH).to_string());
}

pub(super) async fn revisions_are_distinct(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { create(&*store, &format!("/own/{number:03}"), "x").await })
        })
        .collect();
    let mut revisions = BTreeSet::new();
    for task in tasks {
        assert!(revisions.insert(task.await.expect("a writer")), "a revision was given twice");
    }
    let listing = list(&*store, "/own/", None).await.expect("list");
    let listed: BTreeSet<_> = listing.entries.iter().map(|entry| entry.mod_revision).collect();
    assert_eq!(listed, revisions);
    // one key, many creators: one wins
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(
                async move { write(&*store, "/one", Expect::Absent, Some(&number.to_string())).await },
            )
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        match task.await.expect("a writer") {
            Ok(_) => winners += 1,
            Err(StoreError::Conflict(Some(_))) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners, 1);
}

pub(super) async fn expiry(store: Arc<dyn Store>) {
    let ttl = Some(Duration::from_millis(30));
    let temporary = Write { key: "/event".into(), expect: Expect::Absent, value: Some(bytes("x")), ttl };
    let created = store.write(temporary.clone()).await.expect("create");
    let kept = store.write(Write { key: "/kept".into(), ..temporary }).await.expect("create");
    let kept = update(&*store, "/kept", kept, "for good").await;
    let mut watch = store.watch("/", kept).await.expect("watch");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let event = loop {
        assert!(tokio::time::Instant::now() < deadline, "the key does not expire");
        let due = store.maintain().await.expect("maintenance").unwrap_or(Duration::from_millis(50));
        let wait = due.clamp(Duration::from_millis(1), Duration::from_millis(50));
        if let Ok(event) = tokio::time::timeout(wait, watch.next()).await {
            break event.expect("an event");
        }
    };
    assert_eq!((&*event.key, &event.value), ("/event", &None), "an ordinary deletion");
    assert_eq!(event.previous.as_ref().map(|entry| entry.mod_revision), Some(created));
    assert!(event.revision > kept);
    assert_eq!(get(&*store, "/event").await, None);
    assert_eq!(
        get(&*store, "/kept").await.map(|entry| entry.mod_revision),
        Some(kept),
        "a write without ttl clears it"
    );
}
