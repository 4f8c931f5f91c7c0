//! CertificateSigningRequests: who asked is the server's word, and each subresource changes its part only.

use crate::call::Call;
use object::{Value, json};

pub(super) fn prepare_create(call: &Call, object: &mut Value) {
    let user = call.user.to_json();
    for field in ["username", "uid", "groups", "extra"] {
        match user.get(field) {
            Some(value) => object["spec"][field] = value.clone(),
            None => drop(object["spec"].as_object_mut().and_then(|spec| spec.remove(field))),
        }
    }
    // Nobody else can speak for a request that is not stored yet.
    object["status"] = json!({});
}

pub(super) fn prepare_update(call: &Call, subresource: &str, object: &mut Value, old: &Value) {
    super::copy_field(object, old, "spec");
    match subresource {
        "" => super::copy_field(object, old, "status"),
        "approval" => {
            let conditions = object["status"].get("conditions").cloned();
            super::copy_field(object, old, "status");
            set_conditions(object, conditions);
            stamp(call, object, old);
        }
        _ => {
            // The signer does not approve: those conditions stay as they are, and validation refuses more or fewer of them.
            for kind in ["Approved", "Denied"] {
                keep_conditions(kind, object, old);
            }
            stamp(call, object, old);
        }
    }
}

fn list(object: &Value) -> &[Value] {
    object["status"]["conditions"].as_array().map_or(&[], Vec::as_slice)
}

fn keep_conditions(kind: &str, object: &mut Value, old: &Value) {
    let of_kind = |c: &&Value| c["type"] == kind;
    let kept: Vec<Value> = list(old).iter().filter(of_kind).cloned().collect();
    if kept.len() != list(object).iter().filter(of_kind).count() {
        return;
    }
    let given = object["status"]["conditions"].as_array_mut().into_iter().flatten();
    given.filter(|c| c["type"] == kind).zip(kept).for_each(|(given, kept)| *given = kept);
}

fn set_conditions(object: &mut Value, conditions: Option<Value>) {
    match conditions {
        Some(conditions) => object["status"]["conditions"] = conditions,
        None => drop(object["status"].as_object_mut().and_then(|s| s.remove("conditions"))),
    }
}

/// Conditions say when they came and when they were last said.
fn stamp(call: &Call, object: &mut Value, old: &Value) {
    let now = Value::from(object::time::format(call.now));
    let before = list(old).to_vec();
    for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.clone();
        }
        if condition["lastTransitionTime"].is_null() {
            let held = before.iter().find(|c| c["type"] == condition["type"]);
            let since = held.filter(|c| c["status"] == condition["status"]).map(|c| &c["lastTransitionTime"]);
            condition["lastTransitionTime"] = since.filter(|t| !t.is_null()).cloned().unwrap_or(now.clone());
        }
    }
}
