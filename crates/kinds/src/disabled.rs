//! Fields of features that Kubernetes 1.36 has off unless somebody turns them on. What a client puts there is dropped before
//! validation, unless the stored object holds such a field already.

use serde_json::Value;

/// A kind, and paths in its objects; `*` stands for every item of a list or value of a map.
const FIELDS: &[(&str, &[&str])] = &[
    ("CSIDriver", &["spec/preventPodSchedulingIfMissing"]),
    ("EndpointSlice", &["endpoints/*/deprecatedTopology"]),
    ("Lease", &["spec/preferredHolder", "spec/strategy"]),
    ("Node", &["spec/configSource"]),
    (
        "ResourceSlice",
        &[
            "spec/devices/*/attributes/*/bools",
            "spec/devices/*/attributes/*/ints",
            "spec/devices/*/attributes/*/strings",
            "spec/devices/*/attributes/*/versions",
            "spec/devices/*/nodeAllocatableResourceMappings",
        ],
    ),
    ("StatefulSet", &["spec/updateStrategy/rollingUpdate/maxUnavailable"]),
];

/// Paths in a pod's spec.
const IN_PODS: &[&str] = &[
    "containers/*/lifecycle/stopSignal",
    "ephemeralContainers/*/lifecycle/stopSignal",
    "initContainers/*/lifecycle/stopSignal",
    "schedulingGroup",
    "volumes/*/projected/sources/*/clusterTrustBundle",
];

/// Where the spec of a pod is in an object of a kind.
fn pod_spec(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("/spec"),
        "PodTemplate" => Some("/template/spec"),
        "DaemonSet" | "Deployment" | "Job" | "ReplicaSet" | "ReplicationController" | "StatefulSet" => {
            Some("/spec/template/spec")
        }
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

/// Drops fields of disabled features from a built-in `object` that is to replace `old`.
pub fn drop_disabled(object: &mut Value, old: Option<&Value>) {
    let Some(kind) = object["kind"].as_str() else { return };
    let fields = FIELDS.iter().find(|(k, _)| *k == kind).map_or(&[][..], |(_, fields)| fields);
    let pod = pod_spec(kind);
    fields.iter().for_each(|path| drop_unless_used(object, old, path));
    if let Some(spec) = pod.and_then(|at| object.pointer_mut(at)) {
        let old = pod.and_then(|at| old?.pointer(at));
        IN_PODS.iter().for_each(|path| drop_unless_used(spec, old, path));
    }
}

fn drop_unless_used(object: &mut Value, old: Option<&Value>, path: &str) {
    let steps: Vec<&str> = path.split('/').collect();
    if !old.is_some_and(|old| holds(old, &steps)) {
        remove(object, &steps);
    }
}

fn holds(value: &Value, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return !value.is_null() };
    match (*step, value) {
        ("*", Value::Array(items)) => items.iter().any(|item| holds(item, rest)),
        ("*", Value::Object(map)) => map.values().any(|item| holds(item, rest)),
        (field, Value::Object(map)) => map.get(field).is_some_and(|inner| holds(inner, rest)),
        _ => false,
    }
}

fn remove(value: &mut Value, steps: &[&str]) {
    match (steps, value) {
        (["*", rest @ ..], Value::Array(items)) => items.iter_mut().for_each(|item| remove(item, rest)),
        (["*", rest @ ..], Value::Object(map)) => map.values_mut().for_each(|item| remove(item, rest)),
        ([field], Value::Object(map)) => {
            map.remove(*field);
        }
        ([field, rest @ ..], Value::Object(map)) => {
            if let Some(inner) = map.get_mut(*field) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_disabled_field_is_dropped_unless_it_was_there() {
        let set = |max: i64| json!({"kind": "StatefulSet", "spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": max, "partition": 1}}}});
        let mut new = set(2);
        drop_disabled(&mut new, None);
        assert_eq!(new["spec"]["updateStrategy"]["rollingUpdate"], json!({"partition": 1}));
        let mut changed = set(3);
        drop_disabled(&mut changed, Some(&set(2)));
        assert_eq!(changed, set(3));
    }

    #[test]
    fn pods_lose_them_wherever_they_are() {
        let spec = json!({"volumes": [{"projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}}], "schedulingGroup": {}});
        let mut cron =
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
        drop_disabled(&mut cron, None);
        let left = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(*left, json!({"volumes": [{"projected": {"sources": [{}]}}]}));
    }
}
