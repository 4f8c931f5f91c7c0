//! Lists: prefixes, pages, older revisions, compaction.

use super::*;

pub(super) async fn prefix_and_order(store: Arc<dyn Store>) {
    let store = &*store;
    let empty = list(store, "/", None).await.expect("list");
    assert!(empty.entries.is_empty() && empty.remaining == 0);
    for key in ["/pods/b/1", "/podset", "/pods/a/2", "/pods/ab", "/pods/a/10", "/q"] {
        create(store, key, key).await;
    }
    let listing = list(store, "/pods/", None).await.expect("list");
    assert_eq!(keys(&listing), ["/pods/a/10", "/pods/a/2", "/pods/ab", "/pods/b/1"]);
    assert!(listing.entries.iter().all(|entry| *entry.value == *entry.key.as_bytes()));
    assert_eq!(listing.remaining, 0);
    assert!(
        listing.revision >= listing.entries.iter().map(|entry| entry.mod_revision).max().expect("entries")
    );
    assert_eq!(keys(&list(store, "/pods/a/", None).await.expect("list")), ["/pods/a/10", "/pods/a/2"]);
    assert_eq!(list(store, "", None).await.expect("list").entries.len(), 6);
    assert!(list(store, "/none/", None).await.expect("list").entries.is_empty());
    for (prefix, count) in [("/pods/", 4), ("/pods", 5), ("", 6), ("/none", 0), ("/pods/a/2", 1)] {
        assert_eq!(store.count(prefix).await, Ok(count), "{prefix}");
    }
}

pub(super) async fn pages_and_remaining(store: Arc<dyn Store>) {
    for number in 0..25 {
        create(&*store, &format!("/a/{number:02}"), "x").await;
        create(&*store, &format!("/b/{number:02}"), "x").await;
    }
    for limit in [1, 5, 7, 24, 25, 26] {
        let mut after = None;
        let mut seen = Vec::new();
        let mut at = None;
        loop {
            let request =
                ListRequest { prefix: "/a/".into(), after: after.clone(), limit, at, ..Default::default() };
            let page = store.list(request).await.expect("list");
            assert!(page.entries.len() <= limit);
            seen.extend(keys(&page).iter().map(ToString::to_string));
            assert_eq!(page.remaining, 25 - seen.len(), "limit {limit} after {after:?}");
            assert!(at.is_none_or(|at| at == page.revision), "pages are of one revision");
            at = Some(page.revision);
            if page.remaining == 0 {
                break;
            }
            after = seen.last().cloned();
        }
        let expected: Vec<_> = (0..25).map(|number| format!("/a/{number:02}")).collect();
        assert_eq!(seen, expected);
    }
    let beyond = ListRequest {
        prefix: "/a/".into(),
        after: Some("/a/24".into()),
        limit: 3,
        at: None,
        ..Default::default()
    };
    let page = store.list(beyond).await.expect("list");
    assert!(page.entries.is_empty() && page.remaining == 0);
    let before = ListRequest {
        prefix: "/b/".into(),
        after: Some("/a/".into()),
        limit: 1,
        at: None,
        ..Default::default()
    };
    let page = store.list(before).await.expect("list");
    assert_eq!((keys(&page), page.remaining), (vec!["/b/00"], 24), "a start before the prefix");
}

pub(super) async fn pages_by_bytes(store: Arc<dyn Store>) {
    for number in 0..5 {
        create(&*store, &format!("/a/{number}"), &"x".repeat(10)).await;
    }
    let request = ListRequest { prefix: "/a/".into(), most_bytes: 11, ..Default::default() };
    let first = store.list(request.clone()).await.expect("list");
    assert_eq!((keys(&first), first.remaining), (vec!["/a/0", "/a/1"], 3));
    let (after, at) = (Some("/a/1".into()), Some(first.revision));
    let rest = store.list(ListRequest { after, at, most_bytes: 1_000, ..request }).await.expect("list");
    assert_eq!((keys(&rest), rest.remaining), (vec!["/a/2", "/a/3", "/a/4"], 0));
}

pub(super) async fn older_revisions(store: Arc<dyn Store>) {
    let store = &*store;
    let mut expected: Vec<(Revision, Vec<(String, String)>)> = Vec::new();
    let mut now: std::collections::BTreeMap<String, (String, Revision)> = std::collections::BTreeMap::new();
    for step in 0..40usize {
        let key = format!("/k/{}", step * 7 % 5);
        let value = step.to_string();
        let revision = match now.get(&key) {
            Some((_, at)) if step % 3 == 0 => {
                let revision = delete(store, &key, *at).await;
                now.remove(&key);
                revision
            }
            Some((_, at)) => {
                let revision = update(store, &key, *at, &value).await;
                now.insert(key, (value, revision));
                revision
            }
            None => {
                let revision = create(store, &key, &value).await;
                now.insert(key, (value, revision));
                revision
            }
        };
        let state = now.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect();
        expected.push((revision, state));
    }
    for (revision, state) in expected {
        let listing = list(store, "/k/", Some(revision)).await.expect("list");
        let got: Vec<_> = listing
            .entries
            .iter()
            .map(|entry| (entry.key.to_string(), String::from_utf8_lossy(&entry.value).into_owned()))
            .collect();
        assert_eq!(got, state, "at {revision:?}");
        assert_eq!(listing.revision, revision);
        let request = ListRequest {
            prefix: "/k/".into(),
            limit: 1,
            at: Some(revision),
            after: None,
            ..Default::default()
        };
        let page = store.list(request).await.expect("list");
        assert_eq!(page.entries.len() + page.remaining, state.len(), "remaining at {revision:?}");
    }
}

pub(super) async fn pages_at_a_revision_under_writes(store: Arc<dyn Store>) {
    let mut expected = Vec::new();
    for number in 0..60 {
        let key = format!("/a/{number:02}");
        create(&*store, &key, "before").await;
        expected.push(key);
    }
    let first = store.list(ListRequest { prefix: "/a/".into(), limit: 7, ..ListRequest::default() }).await;
    let first = first.expect("list");
    let at = first.revision;
    let churn = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..60 {
                let key = format!("/a/{number:02}");
                let entry = get(&*store, &key).await.expect("the key");
                match number % 3 {
                    0 => drop(delete(&*store, &key, entry.mod_revision).await),
                    1 => drop(update(&*store, &key, entry.mod_revision, "after").await),
                    _ => drop(create(&*store, &format!("{key}-new"), "after").await),
                }
            }
        })
    };
    let mut page = first;
    let mut seen = Vec::new();
    loop {
        assert!(page.entries.iter().all(|entry| entry.value == "before"), "pages show one revision");
        assert_eq!(page.revision, at);
        seen.extend(keys(&page).iter().map(ToString::to_string));
        assert_eq!(page.remaining, expected.len() - seen.len());
        if page.remaining == 0 {
            break;
        }
        let after = seen.last().cloned();
        let request =
            ListRequest { prefix: "/a/".into(), after, limit: 7, at: Some(at), ..Default::default() };
        page = store.list(request).await.expect("list");
    }
    assert_eq!(seen, expected);
    churn.await.expect("the writer");
    assert_eq!(list(&*store, "/a/", Some(at)).await.expect("list").entries.len(), 60);
    assert_eq!(list(&*store, "/a/", None).await.expect("list").entries.len(), 60);
}

pub(super) async fn compaction(store: Arc<dyn Store>) {
    let store = &*store;
    let first = create(store, "/a", "1").await;
    let second = update(store, "/a", first, "2").await;
    let gone = create(store, "/gone", "x").await;
    let gone = delete(store, "/gone", gone).await;
    let third = update(store, "/a", second, "3").await;
    let ahead = Revision(store.revision().0 + 1_000);
    let future = list(store, "/", Some(ahead)).await;
    assert!(matches!(future, Err(StoreError::Future(now)) if now >= third), "{future:?}");
    assert!(matches!(store.compact(ahead).await, Err(StoreError::Future(_))));

    store.compact(gone).await.expect("compaction");
    for old in [first, second] {
        let refused = list(store, "/", Some(old)).await;
        assert!(matches!(refused, Err(StoreError::Compacted(oldest)) if oldest == gone), "{refused:?}");
    }
    let oldest = list(store, "/", Some(gone)).await.expect("the oldest revision left");
    assert_eq!((keys(&oldest), &oldest.entries[0].value[..]), (vec!["/a"], &b"2"[..]));
    let current = list(store, "/", None).await.expect("list");
    assert_eq!((keys(&current), &current.entries[0].value[..]), (vec!["/a"], &b"3"[..]));
    store.compact(first).await.expect("what is compacted already");
    store.compact(third).await.expect("compaction of everything");
    assert_eq!(get(store, "/a").await.map(|entry| entry.mod_revision), Some(third), "current values stay");
    let again = create(store, "/gone", "y").await;
    assert!(again > third, "revisions go on");
    assert_eq!(list(store, "/", Some(third)).await.expect("list").entries.len(), 1);
    assert_eq!(list(store, "/", Some(again)).await.expect("list").entries.len(), 2);
}
