//! `status.conditions`, as lists of objects by type.

use jiff::Timestamp;
use object::time;
use serde_json::{Value, json};

/// The condition of this type.
pub(crate) fn find<'a>(conditions: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions.as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Whether the condition of this type is `True`.
pub(crate) fn is_true(conditions: &Value, kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition["status"] == "True")
}

/// A condition that starts now.
pub(crate) fn new(kind: &str, status: bool, reason: &str, message: &str, now: Timestamp) -> Value {
    let now = time::format(now);
    json!({"type": kind, "status": if status { "True" } else { "False" }, "reason": reason, "message": message,
        "lastTransitionTime": now})
}

/// Puts a condition in place of the one of its type (or at the end); the transition time stays while the status does.
pub(crate) fn set(conditions: &mut Value, mut condition: Value) {
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    match list.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => {
            if known["status"] == condition["status"] {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => list.push(condition),
    }
}

/// Takes the condition of this type out.
pub(crate) fn remove(conditions: &mut Value, kind: &str) {
    if let Some(list) = conditions.as_array_mut() {
        list.retain(|condition| condition["type"] != kind);
    }
}
