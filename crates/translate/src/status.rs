//! A host pod's status, as the tenant sees it.

use object::Value;

/// The status the virtual pod gets, given what it has now: readiness gates that the tenant's own controllers set are kept.
pub fn pod_status(virtual_pod: &Value, host: &Value) -> Value {
    let mut status = host["status"].clone();
    let gates: Vec<&Value> = virtual_pod["spec"]["readinessGates"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|g| &g["conditionType"])
        .collect();
    let own = virtual_pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.retain(|c| !gates.contains(&&c["type"]));
        conditions.extend(own.into_iter().filter(|c| gates.contains(&&c["type"])));
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
