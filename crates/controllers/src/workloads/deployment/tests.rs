use super::*;
use crate::common::conditions;
use crate::common::testing::{shown, snapshot};
use crate::plan::Verb;
use serde_json::json;

fn deployment(replicas: i64, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "a", "uid": "d", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}},
        "status": {}})
}

/// The set that the deployment makes for an image, at some size, with some pods available.
fn set(image: &str, revision: i64, replicas: i64, available: i64) -> Value {
    let mut set = sets::make(&deployment(4, image), revision);
    meta::set(&mut set, "creationTimestamp", format!("2026-01-01T00:00:0{revision}Z"));
    set["spec"]["replicas"] = replicas.into();
    set["status"] = json!({"replicas": replicas, "readyReplicas": available, "availableReplicas": available});
    set
}

fn names(lines: Vec<String>) -> Vec<String> {
    let short = |image| meta::name(&set(image, 1, 0, 0)).to_owned();
    let (one, two) = (short("one"), short("two"));
    lines.into_iter().map(|line| line.replace(&one, "ONE").replace(&two, "TWO")).collect()
}

fn plan(objects: Vec<Value>) -> Vec<String> {
    let cache = snapshot(objects);
    let plan = DeploymentController.plan(&cache, &Key::new("a", "web"), Timestamp::from_second(100).unwrap());
    let sizes: Vec<_> =
        plan.actions.iter().filter_map(|action| Some(action.succeeded.as_ref()?.message.clone())).collect();
    let mut lines: Vec<_> = shown(Plan { actions: plan.actions, ..Plan::nothing() }, &cache);
    lines.retain(|line| !line.starts_with("update replicasets"));
    names(lines.into_iter().chain(sizes).collect())
}

#[test]
fn the_first_set_is_made_at_full_size() {
    let made = plan(vec![deployment(4, "one")]);
    assert_eq!(made[0], "create replicasets a/ONE");
    assert_eq!(made[1], "Scaled up replica set ONE from 0 to 4");
}

#[test]
fn a_new_image_rolls_within_the_bounds() {
    let rolled = |new: (i64, i64), old: (i64, i64)| {
        plan(vec![deployment(4, "two"), set("one", 1, old.0, old.1), set("two", 2, new.0, new.1)])
    };
    assert_eq!(rolled((1, 0), (4, 4)), ["Scaled down replica set ONE from 4 to 3"]);
    assert_eq!(rolled((1, 0), (3, 3)), ["Scaled up replica set TWO from 1 to 2"]);
    assert!(rolled((2, 0), (3, 3)).is_empty());
    assert_eq!(rolled((2, 1), (3, 3)), ["Scaled down replica set ONE from 3 to 2"]);
    assert_eq!(rolled((2, 2), (3, 0)), ["Scaled down replica set ONE from 3 to 1"]);
    assert_eq!(rolled((4, 4), (1, 1)), ["Scaled down replica set ONE from 1 to 0"]);
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let mut recreated = deployment(4, "two");
    recreated["spec"]["strategy"] = json!({"type": "Recreate"});
    let old = |replicas| {
        let mut old = set("one", 1, replicas, replicas);
        for key in [sets::DESIRED, sets::MAX] {
            meta::set_annotation(&mut old, key, "4");
        }
        meta::set(&mut old, "uid", "one");
        old
    };
    assert_eq!(plan(vec![recreated.clone(), old(4)]), ["Scaled down replica set ONE from 4 to 0"]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a",
        "ownerReferences": [meta::controller_reference(&old(0))]}, "status": {"phase": "Running"}});
    assert!(plan(vec![recreated.clone(), old(0), pod]).is_empty());
    assert!(plan(vec![recreated, old(0)]).contains(&"Scaled up replica set TWO from 0 to 4".to_owned()));
}

#[test]
fn scaling_in_the_middle_of_a_rollout_keeps_the_proportion() {
    let scaled = plan(vec![deployment(8, "two"), set("one", 1, 3, 3), set("two", 2, 2, 0)]);
    assert_eq!(scaled, ["Scaled up replica set TWO from 2 to 4", "Scaled up replica set ONE from 3 to 6"]);
}

#[test]
fn going_back_makes_an_old_set_the_newest_revision() {
    let cache = snapshot(vec![deployment(4, "one"), set("one", 1, 0, 0), set("two", 2, 4, 4)]);
    let plan = DeploymentController.plan(&cache, &Key::new("a", "web"), Timestamp::UNIX_EPOCH);
    let Verb::Update(back, "") = &plan.actions[0].verb else { panic!() };
    assert_eq!(meta::annotation(back, sets::REVISION), Some("3"));
    assert_eq!(meta::annotation(back, "deployment.kubernetes.io/revision-history"), Some("1"));
}

#[test]
fn history_past_the_limit_goes_when_complete() {
    let mut done = deployment(4, "two");
    done["status"] =
        json!({"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4});
    let mut older = set("one", 3, 0, 0);
    meta::set(&mut older, "name", "older");
    older["spec"]["template"]["spec"]["hostname"] = "x".into();
    let cleaned = plan(vec![done, older, set("one", 4, 0, 0), set("two", 5, 4, 4)]);
    assert_eq!(cleaned, ["delete replicasets older"]);
}

#[test]
fn conditions_follow_the_rollout() {
    let status = |deployment: &Value, sets: Vec<Value>, second: i64| {
        let cache = snapshot([vec![deployment.clone()], sets].concat());
        let plan =
            DeploymentController.plan(&cache, &Key::new("a", "web"), Timestamp::from_second(second).unwrap());
        let last = plan.finish.unwrap()(&cache, None);
        match last.into_iter().next().map(|action| action.verb) {
            Some(Verb::Update(object, "status")) => object["status"].clone(),
            _ => deployment["status"].clone(),
        }
    };
    let reason =
        |status: &Value, kind| conditions::find(&status["conditions"], kind).map(|c| c["reason"].clone());
    let mut web = deployment(4, "one");
    web["status"] = status(&web, vec![], 0);
    assert_eq!(reason(&web["status"], "Progressing"), Some("NewReplicaSetCreated".into()));
    assert_eq!(reason(&web["status"], "Available"), Some("MinimumReplicasUnavailable".into()));
    web["status"] = status(&web, vec![set("one", 1, 4, 1)], 10);
    assert_eq!(reason(&web["status"], "Progressing"), Some("ReplicaSetUpdated".into()));
    let stuck = status(&web, vec![set("one", 1, 4, 1)], 700);
    assert_eq!(reason(&stuck, "Progressing"), Some("ProgressDeadlineExceeded".into()));
    web["status"] = status(&web, vec![set("one", 1, 4, 4)], 20);
    assert_eq!(reason(&web["status"], "Progressing"), Some("NewReplicaSetAvailable".into()));
    assert_eq!(reason(&web["status"], "Available"), Some("MinimumReplicasAvailable".into()));
    assert_eq!(web["status"]["availableReplicas"], 4);
}
