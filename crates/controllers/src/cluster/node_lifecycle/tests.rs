use super::*;
use crate::common::testing::{shown, snapshot};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn node(name: &str, ready: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "creationTimestamp": "1970-01-01T00:00:00Z"},
        "status": {"conditions": [{"type": "Ready", "status": ready, "lastHeartbeatTime": "1970-01-01T00:00:00Z"}]}})
}

fn lease(name: &str, seconds: i64, renewed: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"leaseDurationSeconds": seconds, "renewTime": renewed}})
}

fn pod(name: &str, node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a"}, "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn plan(
    controller: &NodeLifecycleController,
    name: &str,
    objects: &[Value],
    second: i64,
) -> (Vec<String>, u64) {
    let cache = snapshot(objects.to_vec());
    let plan = controller.plan(&cache, &Key::new("", name), at(second));
    let wait = plan.requeue_after.map_or(0, |wait| wait.as_secs());
    (shown(plan, &cache), wait)
}

#[test]
fn a_silent_node_becomes_unknown_and_its_pods_not_ready() {
    let controller = NodeLifecycleController::default();
    let objects = [node("n", "True"), node("other", "True"), pod("p", "n"), pod("q", "other")];
    let (lines, wait) = plan(&controller, "n", &objects, 100);
    assert_eq!(lines, ["event RegisteredNode: Node n event: Registered Node n in Controller"]);
    assert_eq!(wait, 51);
    assert_eq!(plan(&controller, "n", &objects, 120), (vec![], 31));
    let (lines, _) = plan(&controller, "n", &objects, 151);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("update nodes n/status") && lines[0].contains("NodeStatusUnknown"),
        "{lines:?}"
    );
    assert_eq!(lines[0].matches("Kubelet never posted node status.").count(), 3);
    assert!(
        lines[1].starts_with("update pods p/status") && lines[1].contains(r#""status":"False""#),
        "{lines:?}"
    );
    // What is known already is not written again, and no timer waits.
    let gone = [node("n", "Unknown"), node("other", "True")];
    let (lines, wait) = plan(&controller, "n", &gone, 152);
    assert!(lines.len() == 1 && lines[0].contains("unreachable"), "{lines:?}");
    assert_eq!(
        (lines[0].matches("NoSchedule").count(), lines[0].matches("NoExecute").count(), wait),
        (1, 1, 0)
    );
}

#[test]
fn a_lease_keeps_a_node_alive_as_long_as_it_lasts() {
    let controller = NodeLifecycleController::default();
    let with = |lease| [node("n", "True"), lease];
    let short = lease("n", 40, "1970-01-01T00:00:01.000000Z");
    assert_eq!(plan(&controller, "n", &with(short.clone()), 100).1, 51);
    let renewed = lease("n", 40, "1970-01-01T00:00:11.000000Z");
    assert_eq!(plan(&controller, "n", &with(renewed), 140), (vec![], 51));
    let long = lease("n", 3600, "1970-01-01T00:00:11.000000Z");
    assert_eq!(plan(&controller, "n", &with(long), 150), (vec![], 3591));
}

#[test]
fn a_node_that_never_reported_has_a_minute() {
    let controller = NodeLifecycleController::default();
    let mut fresh = node("n", "True");
    fresh["status"] = json!({});
    assert_eq!(plan(&controller, "n", &[fresh.clone()], 10).1, 51);
    let (lines, _) = plan(&controller, "n", &[fresh], 61);
    assert_eq!(lines[0].matches("NodeStatusNeverUpdated").count(), 4, "{lines:?}");
}

#[test]
fn nodes_of_a_zone_are_emptied_one_by_one() {
    let controller = NodeLifecycleController::default();
    let objects = [node("a", "False"), node("b", "False"), node("c", "True"), node("d", "True")];
    let (lines, _) = plan(&controller, "a", &objects, 10);
    assert_eq!(lines[1].matches("NoExecute").count(), 1, "{lines:?}");
    let (lines, wait) = plan(&controller, "b", &objects, 14);
    assert_eq!((lines[1].matches("NoExecute").count(), wait), (0, 6), "{lines:?}");
    assert_eq!(plan(&controller, "b", &objects, 20).0[0].matches("NoExecute").count(), 1);
}

#[test]
fn most_of_a_small_zone_silent_is_left_alone_and_so_are_all() {
    let execute = |objects: &[Value]| {
        let (lines, _) = plan(&NodeLifecycleController::default(), "a", objects, 10);
        lines.iter().filter(|line| line.contains("NoExecute")).count()
    };
    let bad = ["a", "b", "c"].map(|name| node(name, "False"));
    let with = |good: &[&str]| {
        let good = good.iter().map(|name| node(name, "True"));
        bad.iter().cloned().chain(good).collect::<Vec<_>>()
    };
    assert_eq!(execute(&with(&["x", "y"])), 0);
    assert_eq!(execute(&with(&["x", "y", "z"])), 1);
    assert_eq!(execute(&bad), 0);
}

#[test]
fn taints_follow_conditions_and_cordons_and_go_with_them() {
    let mut sick = node("n", "True");
    sick["spec"] = json!({"unschedulable": true, "taints": [
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}, {"key": "mine", "effect": "NoSchedule"}]});
    sick["status"]["conditions"][0]["type"] = "NetworkUnavailable".into();
    let ready = node("n", "True")["status"]["conditions"][0].clone();
    sick["status"]["conditions"].as_array_mut().unwrap().push(ready);
    let (lines, _) = plan(&NodeLifecycleController::default(), "n", &[sick], 10);
    let patch = &lines[1];
    let expected = ["mine", "node.kubernetes.io/network-unavailable", "node.kubernetes.io/unschedulable"];
    assert!(expected.iter().all(|key| patch.contains(key)) && !patch.contains("not-ready"), "{patch}");
}

#[test]
fn old_labels_say_what_the_new_ones_do() {
    let mut labelled = node("n", "True");
    labelled["metadata"]["labels"] = json!({"kubernetes.io/os": "linux", "beta.kubernetes.io/os": "other"});
    let (lines, _) = plan(&NodeLifecycleController::default(), "n", &[labelled], 10);
    assert!(lines[1].contains("beta.kubernetes.io/os") && lines[1].contains("linux"), "{lines:?}");
}

#[test]
fn a_pod_bound_to_a_lost_node_is_not_ready() {
    let controller = NodeLifecycleController::default();
    let cache = snapshot(vec![node("n", "Unknown"), pod("p", "n")]);
    let lines = shown(controller.plan(&cache, &Key::new("a", "p"), at(1)), &cache);
    assert!(lines[0].starts_with("update pods p/status"), "{lines:?}");
    let plan = controller.plan(&snapshot(vec![node("n", "True"), pod("p", "n")]), &Key::new("a", "p"), at(1));
    assert!(plan.actions.is_empty());
}
