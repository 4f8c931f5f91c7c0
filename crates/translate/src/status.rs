//! A host pod's status, as the tenant sees it.

use object::Value;

/// The conditions that only a kubelet writes.
const KUBELETS: [&str; 8] = [
    "AllContainersRestarting",
    "ContainersReady",
    "Initialized",
    "PodReadyToStartContainers",
    "PodResizeInProgress",
    "PodResizePending",
    "PodScheduled",
    "Ready",
];

/// The status the virtual pod gets, given what it has now. Conditions that no kubelet writes (the tenant's readiness gates,
/// an eviction's `DisruptionTarget`) are kept.
pub fn pod_status(virtual_pod: &Value, host: &Value) -> Value {
    let mut status = host["status"].clone();
    let gates = virtual_pod["spec"]["readinessGates"].as_array().map_or(&[][..], Vec::as_slice);
    let is_gate = |c: &Value| gates.iter().any(|gate| gate["conditionType"] == c["type"]);
    let own = virtual_pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.retain(|c| !is_gate(c));
        for kept in own.iter().filter(|c| c["type"].as_str().is_some_and(|t| !KUBELETS.contains(&t))) {
            if !conditions.iter().any(|c| c["type"] == kept["type"]) {
                conditions.push(kept.clone());
            }
        }
        for condition in conditions {
            restore_generation(virtual_pod, host, condition);
        }
    }
    if let Some(map) = status.as_object_mut() {
        map.remove("nominatedNodeName");
        map.remove("resourceClaimStatuses");
    }
    restore_generation(virtual_pod, host, &mut status);
    status
}

/// Generations are counted apart on both sides: caught up there means caught up here.
fn restore_generation(virtual_pod: &Value, host: &Value, holder: &mut Value) {
    let Some(observed) = holder.get("observedGeneration").and_then(Value::as_i64) else { return };
    let wanted = host["metadata"]["generation"].as_i64().unwrap_or(observed);
    let own = virtual_pod["metadata"]["generation"].as_i64().unwrap_or(1);
    let behind = (wanted - observed).max(0);
    holder["observedGeneration"] = (own - behind).max(0).into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn conditions_of_kubelets_come_from_the_host_and_others_stay() {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
        let own = json!({
            "spec": {"readinessGates": [{"conditionType": "gate"}]},
            "status": {"conditions": [
                condition("Ready", "False"), condition("DisruptionTarget", "True"), condition("gate", "True"),
                condition("PodResizePending", "True"),
            ]},
        });
        let host =
            json!({"status": {"conditions": [condition("Ready", "True"), condition("gate", "False")]}});
        let expected = json!([
            condition("Ready", "True"),
            condition("DisruptionTarget", "True"),
            condition("gate", "True")
        ]);
        assert_eq!(pod_status(&own, &host)["conditions"], expected);
        // What the host says of the same wins, but for the tenant's gates.
        let host = json!({"status": {"conditions": [condition("DisruptionTarget", "False")]}});
        assert_eq!(pod_status(&own, &host)["conditions"][0], condition("DisruptionTarget", "False"));
    }

    #[test]
    fn a_host_that_is_behind_is_behind_here_too() {
        let own = json!({"metadata": {"generation": 5}});
        let host = |observed: i64| json!({"metadata": {"generation": 3}, "status": {"observedGeneration": observed}});
        let observed = |host| pod_status(&own, &host)["observedGeneration"].clone();
        assert_eq!([observed(host(3)), observed(host(2))], [5, 4]);
    }
}
