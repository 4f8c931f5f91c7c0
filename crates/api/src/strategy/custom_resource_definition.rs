//! CustomResourceDefinitions: their status is the API server's own work.

use crate::call::Call;
use object::{Value, json, meta};

/// The finalizer that keeps a definition until its objects are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(super) fn prepare_create(_: &Call, object: &mut Value) {
    let stored = match storage_version(object) {
        Value::Null => Value::Null,
        version => json!([version]),
    };
    object["status"] = json!({
        "conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored,
    });
}

pub(super) fn prepare_update(_: &Call, subresource: &str, object: &mut Value, _: &Value) {
    if subresource.is_empty() {
        let stored = storage_version(object);
        let versions = &mut object["status"]["storedVersions"];
        let known = versions.as_array().is_some_and(|v| v.contains(&stored));
        if !known {
            let mut all = versions.as_array().cloned().unwrap_or_default();
            all.push(stored);
            *versions = all.into();
        }
    }
}

/// The definition stays until its objects are gone.
pub(super) fn begin_deletion(call: &Call, object: &mut Value) {
    let mut finalizers: Vec<Value> = meta::finalizers(object).map(Value::from).collect();
    if !finalizers.iter().any(|f| f == FINALIZER) {
        finalizers.push(FINALIZER.into());
        meta::set(object, "finalizers", finalizers);
    }
    let condition = json!({
        "type": "Terminating", "status": "True", "lastTransitionTime": object::time::format(call.now),
        "reason": "InstanceDeletionPending", "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    });
    let conditions = &mut object["status"]["conditions"];
    match conditions.as_array_mut() {
        Some(list) => list.push(condition),
        None => *conditions = json!([condition]),
    }
}

fn storage_version(object: &Value) -> Value {
    let versions = object["spec"]["versions"].as_array();
    let storage = versions.into_iter().flatten().find(|v| v["storage"] == true);
    storage.map_or(Value::Null, |v| v["name"].clone())
}
