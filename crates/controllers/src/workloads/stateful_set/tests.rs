use super::*;
use crate::common::testing::{shown, snapshot};
use serde_json::json;

fn set(replicas: i64, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "a", "uid": "s", "generation": 1},
        "spec": {"replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]},
        "status": {}})
}

fn revision(image: &str, number: i64) -> Value {
    revisions::make(&set(0, image), number, revisions::STATEFUL_HASH_LABEL)
}

fn pod(ordinal: i64, image: &str, ready: bool) -> Value {
    let mut pod = identity::pod(
        &set(0, image),
        &set(0, image)["spec"]["template"],
        meta::name(&revision(image, 1)),
        ordinal,
    );
    let ready = if ready { "True" } else { "False" };
    pod["status"] = json!({"phase": "Running",
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "1970-01-01T00:00:00Z"}]});
    pod
}

fn claims(count: i64) -> Vec<Value> {
    let set = set(0, "");
    (0..count).map(|o| identity::claim(&set, &set["spec"]["volumeClaimTemplates"][0], o)).collect()
}

fn plan(objects: Vec<Value>) -> Vec<String> {
    let cache = snapshot([objects, claims(5)].concat());
    let plan = StatefulSetController.plan(&cache, &Key::new("a", "db"), Timestamp::from_second(100).unwrap());
    shown(Plan { actions: plan.actions, ..Plan::nothing() }, &cache)
}

#[test]
fn the_first_pod_and_its_claim_come_first() {
    let cache = snapshot(vec![set(3, "one")]);
    let plan = StatefulSetController.plan(&cache, &Key::new("a", "db"), Timestamp::UNIX_EPOCH);
    let made = shown(Plan { actions: plan.actions, ..Plan::nothing() }, &cache);
    assert!(made[0].starts_with("create controllerrevisions a/db-"));
    assert_eq!(made[1..], ["create persistentvolumeclaims a/data-db-0", "create pods a/db-0"]);
}

#[test]
fn the_next_waits_until_the_one_before_is_ready() {
    assert!(plan(vec![set(3, "one"), revision("one", 1), pod(0, "one", false)]).is_empty());
    assert_eq!(plan(vec![set(3, "one"), revision("one", 1), pod(0, "one", true)]), ["create pods a/db-1"]);
}

#[test]
fn in_parallel_all_come_at_once() {
    let mut parallel = set(3, "one");
    parallel["spec"]["podManagementPolicy"] = "Parallel".into();
    let made = plan(vec![parallel, revision("one", 1), pod(1, "one", false)]);
    assert_eq!(made, ["create pods a/db-0", "create pods a/db-2"]);
}

#[test]
fn the_highest_goes_first() {
    let some = |replicas| {
        vec![
            set(replicas, "one"),
            revision("one", 1),
            pod(0, "one", true),
            pod(1, "one", true),
            pod(2, "one", true),
        ]
    };
    assert_eq!(plan(some(1)), ["delete pods db-2"]);
}

#[test]
fn scaling_down_waits_for_the_unhealthy_but_for_the_lowest_of_them() {
    let some = |ready: [bool; 3]| {
        let pods = (0..3).map(|ordinal| pod(ordinal, "one", ready[ordinal as usize]));
        plan([set(0, "one"), revision("one", 1)].into_iter().chain(pods).collect())
    };
    assert!(some([false, false, false]).is_empty());
    assert_eq!(some([false, false, true]), ["delete pods db-2"]);
    assert_eq!(some([true, true, false]), ["delete pods db-2"], "the only one");
}

#[test]
fn an_update_goes_from_the_top_down_to_the_partition() {
    let mut updated = set(3, "two");
    updated["status"]["currentRevision"] = meta::name(&revision("one", 1)).into();
    let with = |set: &Value, pods: Vec<Value>| {
        plan([vec![set.clone(), revision("one", 1), revision("two", 2)], pods].concat())
    };
    let all = |top: &str, ready| vec![pod(0, "one", true), pod(1, "one", true), pod(2, top, ready)];
    assert_eq!(with(&updated, all("one", true)), ["delete pods db-2"]);
    assert!(with(&updated, all("two", false)).is_empty());
    assert_eq!(with(&updated, all("two", true)), ["delete pods db-1"]);
    updated["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2.into();
    assert!(with(&updated, all("two", true)).is_empty());
    // What is lost below the partition comes back as it was.
    assert_eq!(with(&updated, vec![pod(1, "one", true), pod(2, "two", true)]), ["create pods a/db-0"]);
}

#[test]
fn a_finished_update_makes_the_revision_current() {
    let mut updated = set(1, "two");
    updated["status"]["currentRevision"] = meta::name(&revision("one", 1)).into();
    let cache = snapshot(
        [vec![updated, revision("one", 1), revision("two", 2), pod(0, "two", true)], claims(1)].concat(),
    );
    let plan = StatefulSetController.plan(&cache, &Key::new("a", "db"), Timestamp::from_second(9).unwrap());
    let last = shown(plan, &cache).pop().unwrap();
    let two = revision("two", 2);
    assert!(last.contains(&format!("\"currentRevision\":\"{}\"", meta::name(&two))), "{last}");
    assert!(last.contains("\"currentReplicas\":1") && last.contains("\"availableReplicas\":1"), "{last}");
}

#[test]
fn ordinals_are_read_from_names() {
    assert_eq!(identity::ordinal("db", "db-12"), Some(12));
    for other in ["db-", "db-x", "db-01", "db-1-2", "other-1", "db1"] {
        assert_eq!(identity::ordinal("db", other), None, "{other}");
    }
}
