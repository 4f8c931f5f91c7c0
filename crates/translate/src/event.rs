//! Events about host objects, told again about the virtual ones.

use crate::marks::Origin;
use object::{Value, json, meta};

/// The virtual event for a host event about the object that `origin` names. Host names in the text become the tenant's.
pub fn event(origin: &Origin, host_object: &str, host_namespace: &str, host_event: &Value) -> Value {
    let mut event = json!({"apiVersion": "v1", "kind": "Event"});
    for field in [
        "count",
        "eventTime",
        "firstTimestamp",
        "lastTimestamp",
        "reason",
        "reportingComponent",
        "reportingInstance",
        "series",
        "source",
        "type",
        "action",
    ] {
        if let Some(value) = host_event.get(field).filter(|v| !v.is_null()) {
            event[field] = value.clone();
        }
    }
    let message = host_event["message"].as_str().unwrap_or("");
    let message = message
        .replace(&format!("{host_namespace}/{host_object}"), &format!("{}/{}", origin.namespace, origin.name))
        .replace(host_object, &origin.name);
    event["message"] = message.into();
    let suffix = meta::name(host_event).rsplit('.').next().unwrap_or("0");
    event["metadata"] = json!({"name": format!("{}.{suffix}", origin.name), "namespace": origin.namespace});
    let involved = &host_event["involvedObject"];
    event["involvedObject"] = json!({
        "apiVersion": involved["apiVersion"], "kind": involved["kind"], "namespace": origin.namespace, "name": origin.name,
        "uid": origin.uid,
    });
    if let Some(path) = involved.get("fieldPath") {
        event["involvedObject"]["fieldPath"] = path.clone();
    }
    event
}
