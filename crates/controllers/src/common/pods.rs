//! What controllers ask about pods.

use super::conditions;
use client::Entry;
use jiff::Timestamp;
use object::{meta, time};
use serde_json::Value;
use std::cmp::Ordering;

/// Neither finished nor going away.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && meta::deletion_timestamp(pod).is_none()
}

/// Succeeded or failed.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// As [`is_finished`], without reading the rest of the pod.
pub(crate) fn has_finished(pod: &Entry) -> bool {
    matches!(pod.at(&["status", "phase"]), Some(Value::String(phase)) if phase == "Succeeded" || phase == "Failed")
}

/// The node that it was given to, read without the rest of the pod.
pub(crate) fn node_of(pod: &Entry) -> Option<String> {
    match pod.at(&["spec", "nodeName"])? {
        Value::String(node) => Some(node).filter(|node| !node.is_empty()),
        _ => None,
    }
}

/// Whether its condition `Ready` is true.
pub(crate) fn is_ready(pod: &Value) -> bool {
    conditions::is_true(&pod["status"]["conditions"], "Ready")
}

/// When it became ready, if it is.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    let ready = conditions::find(&pod["status"]["conditions"], "Ready").filter(|c| c["status"] == "True")?;
    time::parse(ready["lastTransitionTime"].as_str()?).ok()
}

/// Whether it has been ready for so many seconds.
pub(crate) fn is_available(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> bool {
    is_ready(pod) && (min_ready_seconds == 0 || available_in(pod, min_ready_seconds, now) == Some(0))
}

/// Seconds until a ready pod is available.
pub(crate) fn available_in(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> Option<i64> {
    let since = ready_since(pod)?;
    Some((since.as_second() + min_ready_seconds - now.as_second()).max(0))
}

/// The number of times its containers were restarted, the most of any container.
pub(crate) fn restarts(pod: &Value) -> i64 {
    let counts = |list: &str| {
        pod["status"][list]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|c| c["restartCount"].as_i64())
            .max()
            .unwrap_or(0)
    };
    counts("containerStatuses")
}

/// What `controller.kubernetes.io/pod-deletion-cost` says, 0 if nothing sensible.
fn deletion_cost(pod: &Value) -> i32 {
    meta::annotation(pod, "controller.kubernetes.io/pod-deletion-cost")
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0)
}

/// Which pod goes first: unassigned, then pending, not ready, cheap, crowded (`rank`), fresh, restarted, young.
pub(crate) fn goes_first(a: &(i64, &Value), b: &(i64, &Value), now: Timestamp) -> Ordering {
    let (rank_a, a) = a;
    let (rank_b, b) = b;
    let unassigned = |pod: &Value| pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
    let phase = |pod: &Value| match pod["status"]["phase"].as_str() {
        Some("Running") => 2,
        Some("Unknown") => 1,
        _ => 0,
    };
    // Ages are compared by their logarithm, so that of pods of about the same age any may go.
    let age = |time: Option<Timestamp>| time.map_or(0, |time| bucket(now.as_second() - time.as_second()));
    let made = |pod: &Value| meta::creation_timestamp(pod).and_then(|text| time::parse(text).ok());
    unassigned(b)
        .cmp(&unassigned(a))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| is_ready(a).cmp(&is_ready(b)))
        .then_with(|| deletion_cost(a).cmp(&deletion_cost(b)))
        .then_with(|| rank_b.cmp(rank_a))
        .then_with(|| match (is_ready(a), is_ready(b)) {
            (true, true) => age(ready_since(a)).cmp(&age(ready_since(b))),
            _ => Ordering::Equal,
        })
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| age(made(a)).cmp(&age(made(b))))
        .then_with(|| meta::uid(a).cmp(meta::uid(b)))
}

fn bucket(seconds: i64) -> u32 {
    u64::try_from(seconds.max(0)).map_or(0, |seconds| 64 - seconds.leading_zeros())
}

/// A pod of this template, controlled by `owner`; named `<owner>-xxxxx` by the server.
pub(crate) fn from_template(template: &Value, owner: &Value) -> Value {
    let mut pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {"generateName": prefix(meta::name(owner)), "namespace": meta::namespace(owner),
            "ownerReferences": [meta::controller_reference(owner)]}});
    for field in ["labels", "annotations", "finalizers"] {
        let value = &template["metadata"][field];
        let empty = value.as_object().is_none_or(serde_json::Map::is_empty)
            && value.as_array().is_none_or(Vec::is_empty);
        if !empty {
            pod["metadata"][field] = value.clone();
        }
    }
    pod
}

/// `<name>-`, or nothing of a name too long to be followed by more.
fn prefix(name: &str) -> String {
    let prefix = format!("{name}-");
    if prefix.len() > 253 { name.to_owned() } else { prefix }
}
