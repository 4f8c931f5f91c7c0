//! The taints that stand for a node's conditions.

use jiff::Timestamp;
use object::time;
use serde_json::{Value, json};

pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, its status, and the taint for it.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// The node's taints.
pub(super) fn of(node: &Value) -> Vec<Value> {
    node["spec"]["taints"].as_array().cloned().unwrap_or_default()
}

pub(super) fn has(taints: &[Value], key: &str, effect: &str) -> bool {
    taints.iter().any(|taint| taint["key"] == key && taint["effect"] == effect)
}

pub(super) fn add(taints: &mut Vec<Value>, key: &str, effect: &str, now: Timestamp) {
    if !has(taints, key, effect) {
        taints.push(json!({"key": key, "effect": effect, "timeAdded": time::format(now)}));
    }
}

pub(super) fn remove(taints: &mut Vec<Value>, key: &str, effect: &str) {
    taints.retain(|taint| taint["key"] != key || taint["effect"] != effect);
}

/// Nothing new is to be scheduled on a node that is cordoned or not well.
pub(super) fn no_schedule(node: &Value, taints: &mut Vec<Value>, now: Timestamp) {
    let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut wanted: Vec<&str> = vec![];
    for condition in conditions {
        let known = BY_CONDITION
            .iter()
            .find(|(kind, status, _)| condition["type"] == *kind && condition["status"] == *status);
        wanted.extend(known.map(|(_, _, key)| *key));
    }
    if node["spec"]["unschedulable"] == true {
        wanted.push(UNSCHEDULABLE);
    }
    let ours = |key: &str| key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, known)| *known == key);
    taints.retain(|taint| {
        let key = taint["key"].as_str().unwrap_or("");
        taint["effect"] != "NoSchedule" || !ours(key) || wanted.contains(&key)
    });
    for key in wanted {
        add(taints, key, "NoSchedule", now);
    }
}
