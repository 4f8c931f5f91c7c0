//! The subresources of pods, and what an update says of metadata.

use object::GroupVersionKind;
use serde_json::{Value, json};

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "5"},
        "spec": {
            "containers": [{
                "name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePath": "/dev/x",
                "terminationMessagePolicy": "File",
                "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "500Mi"}},
            }],
            "ephemeralContainers": [ephemeral("dbg")],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
            "serviceAccountName": "default", "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {"qosClass": "Burstable"},
    })
}

fn ephemeral(name: &str) -> Value {
    json!({"name": name, "image": "d", "imagePullPolicy": "Always", "terminationMessagePath": "/dev/x",
           "terminationMessagePolicy": "File"})
}

fn said(errors: Vec<object::FieldError>) -> Vec<String> {
    errors.into_iter().map(|e| format!("{}: {}", e.path, e.message)).collect()
}

fn ephemeral_errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let (old, mut new) = (pod(), pod());
    change(&mut new["spec"]["ephemeralContainers"]);
    said(validation::validate_ephemeral_containers(&new, &old))
}

fn resize_errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let (old, mut new) = (pod(), pod());
    change(&mut new["spec"]["containers"][0]["resources"]);
    said(validation::validate_resize(&new, &old))
}

#[test]
fn ephemeral_containers_are_only_added() {
    assert_eq!(
        ephemeral_errors(|list| list.as_array_mut().expect("a list").push(ephemeral("dbg2"))),
        [""; 0]
    );
    let removed = ephemeral_errors(|list| *list = json!([]));
    assert_eq!(
        removed,
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"dbg\" may not be removed\n"]
    );
    let changed = ephemeral_errors(|list| list[0]["image"] = json!("other"));
    let head =
        "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"dbg\" may not be changed\n";
    assert!(changed.len() == 1 && changed[0].starts_with(head), "{changed:?}");
}

#[test]
fn ephemeral_containers_have_neither_ports_nor_unknown_targets() {
    let add = |field: &str, value: Value| {
        ephemeral_errors(|list| {
            let mut container = ephemeral("dbg2");
            container[field] = value;
            list.as_array_mut().expect("a list").insert(0, container);
        })
    };
    assert_eq!(
        add("ports", json!([{"containerPort": 1, "protocol": "TCP"}])),
        ["spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"]
    );
    assert_eq!(
        add("targetContainerName", json!("zz")),
        ["spec.ephemeralContainers[0].targetContainerName: Not found: \"zz\""]
    );
    assert_eq!(add("name", json!("c")), ["spec.ephemeralContainers[0].name: Duplicate value: \"c\""]);
}

#[test]
fn a_resize_changes_cpu_and_memory_only() {
    assert_eq!(resize_errors(|r| r["requests"]["cpu"] = json!("1500m")), [""; 0]);
    assert_eq!(
        resize_errors(|r| r["requests"]["cpu"] = json!("3")),
        [
            "spec.containers[0].resources.requests: Invalid value: \"3\": must be less than or equal to cpu limit of 2"
        ]
    );
    assert_eq!(
        resize_errors(|r| r["requests"]["ephemeral-storage"] = json!("1Gi")),
        ["spec: Forbidden: only cpu and memory resources are mutable"]
    );
    let remove = |r: &mut Value| {
        r["limits"].as_object_mut().expect("a map").remove("cpu");
    };
    assert_eq!(
        resize_errors(remove),
        ["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"]
    );
}

#[test]
fn metadata_is_judged_twice_on_update() {
    let gvk = GroupVersionKind::new("", "v1", "ConfigMap");
    let old = json!({"metadata": {"name": "c", "namespace": "n", "uid": "u", "resourceVersion": "1"}});
    let mut new = old.clone();
    new["metadata"]["uid"] = json!("x");
    assert_eq!(
        said(validation::validate_update(&gvk, &new, &old)),
        ["metadata.uid: Invalid value: \"x\": field is immutable"; 2]
    );
}
