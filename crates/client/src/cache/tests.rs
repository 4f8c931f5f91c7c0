use super::*;
use object::GroupVersionResource;
use serde_json::json;

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

fn pod(name: &str, uid: &str, version: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": name, "uid": uid,
        "resourceVersion": version.to_string(), "labels": {"x": "y"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "owner", "controller": true}]}})
}

fn entry(store: &Store, object: &Value) -> Entry {
    store.read(&serde_json::to_vec(object).unwrap()).unwrap()
}

#[test]
fn own_writes_are_seen_and_older_news_change_nothing() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Full);
    cache.observe(&pods(), &pod("p", "1", 5));
    assert!(store.put_watched(entry(&store, &pod("p", "1", 4))).is_none());
    assert!(store.put_watched(entry(&store, &pod("p", "1", 5))).is_none());
    assert_eq!(store.get("a", "p").unwrap().version, 5);
    assert!(store.put_watched(entry(&store, &pod("p", "1", 6))).is_some());
    // The watch is at 6 already: an answer that arrives late says nothing new, even of an object that is gone.
    let last = entry(&store, &pod("p", "1", 8));
    assert!(store.remove(last).is_some());
    cache.observe(&pods(), &pod("p", "1", 7));
    assert!(store.is_empty());
}

#[test]
fn the_watch_need_not_read_what_we_wrote() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Full);
    for version in [5, 7, 8] {
        cache.observe(&pods(), &pod("p", "1", version));
    }
    assert_eq!([5, 6, 7].map(|version| store.is_own(version)), [true, false, true]);
    // What the watch has told of is not told again.
    assert!(!store.is_own(7));
    store.put_watched(entry(&store, &pod("p", "1", 9)));
    assert!(!store.is_own(8));
}

#[test]
fn a_part_is_the_same_whether_the_object_was_parsed_or_not() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Full);
    cache.observe(&pods(), &pod("p", "1", 5));
    let entry = store.get("a", "p").unwrap();
    let parts = || {
        [&["metadata", "labels"][..], &["metadata", "labels", "x"], &["spec", "nodeName"]]
            .map(|path| entry.at(path))
    };
    let unparsed = parts();
    let whole = entry.value().unwrap();
    assert_eq!(unparsed, [Some(json!({"x": "y"})), Some(json!("y")), None]);
    assert_eq!(parts(), unparsed);
    drop(whole);
}

#[test]
fn what_we_deleted_does_not_come_back() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Full);
    cache.observe(&pods(), &pod("p", "1", 5));
    cache.forget(&pods(), "a", "p", "1");
    assert!(store.put_watched(entry(&store, &pod("p", "1", 6))).is_none());
    assert!(store.replace(vec![entry(&store, &pod("p", "1", 6))], 6).is_empty());
    assert!(store.remove(entry(&store, &pod("p", "1", 7))).is_none());
    assert!(store.put_watched(entry(&store, &pod("p", "2", 8))).is_some());
}

#[test]
fn a_list_replaces_all_but_what_is_newer() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Full);
    for (name, version) in [("old", 3), ("kept", 4), ("new", 9)] {
        cache.observe(&pods(), &pod(name, name, version));
    }
    let changes = store
        .replace(vec![entry(&store, &pod("kept", "kept", 4)), entry(&store, &pod("more", "more", 5))], 7);
    let told: Vec<_> = changes.iter().map(|c| (c.entry().name.to_string(), c.new.is_some())).collect();
    assert_eq!(told, [("old".to_owned(), false), ("more".to_owned(), true)]);
    assert_eq!(store.list("a").iter().map(|e| &*e.name).collect::<Vec<_>>(), ["kept", "more", "new"]);
    assert_eq!(store.owned_by("owner").len(), 3);
    assert!(store.list("b").is_empty());
}

#[test]
fn metadata_only_until_more_is_wanted() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Metadata);
    let mut object = pod("p", "1", 5);
    object["spec"] = json!({"nodeName": "n"});
    cache.observe(&pods(), &object);
    assert_eq!(cache.get(&pods(), "a", "p").unwrap()["spec"], Value::Null);
    cache.track(&pods(), Keep::Full);
    assert!(!store.has_synced());
    assert_eq!(store.replace(vec![entry(&store, &object)], 5).len(), 1);
    assert_eq!(cache.get(&pods(), "a", "p").unwrap()["spec"]["nodeName"], "n");
    assert_eq!(store.get("a", "p").unwrap().label("x"), Some("y"));
}

#[test]
fn of_objects_without_owners_only_the_changes_are_told() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Dependents);
    let mut free = pod("free", "1", 5);
    free["metadata"]["ownerReferences"] = json!([]);
    assert!(store.put_watched(entry(&store, &free)).is_some_and(|change| change.new.is_some()));
    assert!(store.put_watched(entry(&store, &pod("owned", "2", 6))).is_some());
    assert_eq!(store.list("").len(), 1);
    // Losing its owners an object is no longer kept, but its end is told.
    let mut freed = pod("owned", "2", 7);
    freed["metadata"]["ownerReferences"] = json!([]);
    assert!(store.put_watched(entry(&store, &freed)).is_some_and(|change| change.old.is_some()));
    assert!(store.is_empty());
    let last = store.remove(entry(&store, &free)).unwrap();
    assert_eq!((&*last.old.unwrap().uid, last.new.is_none()), ("1", true));
}

#[test]
fn labels_and_owners_are_found_by_index() {
    let cache = Cache::offline();
    let store = cache.track(&pods(), Keep::Full);
    cache.observe(&pods(), &pod("before", "1", 1));
    store.index_labels();
    let mut free = pod("free", "2", 2);
    free["metadata"]["ownerReferences"] = json!([]);
    cache.observe(&pods(), &free);
    let selector = |text| LabelSelector::parse(text).unwrap();
    let names = |found: Vec<Arc<Entry>>| found.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(store.select("a", &selector("x=y"))), ["before", "free"]);
    assert_eq!(names(store.select("a", &selector("x"))), ["before", "free"]);
    assert!(
        store.select("b", &selector("x=y")).is_empty() && store.select("", &selector("x=y,z=1")).is_empty()
    );
    assert_eq!(names(store.uncontrolled("a")), ["free"]);
    let mut relabeled = pod("before", "1", 3);
    relabeled["metadata"]["labels"] = json!({"x": "z"});
    cache.observe(&pods(), &relabeled);
    assert_eq!(names(store.select("", &selector("x=y"))), ["free"]);
}
