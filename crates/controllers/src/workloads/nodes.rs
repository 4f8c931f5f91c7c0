//! Which nodes a daemon pod may run on: node name, selector, required affinity, taints.

use client::Change;
use object::meta;
use serde_json::{Value, json};

/// Taints that every daemon pod tolerates: it runs on nodes that others are kept from.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Whether a node changed in what daemon pods ask of it.
pub(super) fn matters(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    if old.labels != new.labels {
        return true;
    }
    match (old.value(), new.value()) {
        (Some(old), Some(new)) => old["spec"]["taints"] != new["spec"]["taints"],
        _ => true,
    }
}

/// Whether a pod should be made on a node, and whether one there may stay.
pub(super) fn should_run(set: &Value, node: &Value) -> (bool, bool) {
    let spec = &set["spec"]["template"]["spec"];
    let named = spec["nodeName"].as_str().filter(|name| !name.is_empty());
    if named.is_some_and(|name| name != meta::name(node)) || !selects(spec, node) {
        return (false, false);
    }
    let taints = || node["spec"]["taints"].as_array().into_iter().flatten();
    let mut own = tolerations(spec);
    if spec["hostNetwork"] == true {
        own.push(always("node.kubernetes.io/network-unavailable", "NoSchedule"));
    }
    let bears = |taint: &Value| own.iter().any(|toleration| tolerates(toleration, taint));
    let stays = taints().filter(|taint| taint["effect"] == "NoExecute").all(bears);
    let runs = taints().filter(|taint| taint["effect"] == "NoSchedule").all(bears);
    (runs && stays, stays)
}

fn always(key: &str, effect: &str) -> Value {
    json!({"key": key, "operator": "Exists", "effect": effect})
}

/// The template's tolerations and those that every daemon pod has.
fn tolerations(spec: &Value) -> Vec<Value> {
    let mut all = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for (key, effect) in TOLERATED {
        let toleration = always(key, effect);
        if !all.contains(&toleration) {
            all.push(toleration);
        }
    }
    all
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or("").to_owned();
    let (effect, key) = (text(toleration, "effect"), text(toleration, "key"));
    if (!effect.is_empty() && effect != text(taint, "effect"))
        || (!key.is_empty() && key != text(taint, "key"))
    {
        return false;
    }
    text(toleration, "operator") == "Exists" || text(toleration, "value") == text(taint, "value")
}

/// Node selector and required affinity.
fn selects(spec: &Value, node: &Value) -> bool {
    let mut selector = spec["nodeSelector"].as_object().into_iter().flatten();
    if !selector.all(|(key, value)| meta::label(node, key) == value.as_str()) {
        return false;
    }
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    match required["nodeSelectorTerms"].as_array() {
        None => true,
        Some(terms) => terms.iter().any(|term| term_matches(term, node)),
    }
}

fn term_matches(term: &Value, node: &Value) -> bool {
    let list = |field: &str| term[field].as_array().map_or(&[][..], Vec::as_slice);
    let (labels, fields) = (list("matchExpressions"), list("matchFields"));
    if labels.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |requirement: &Value| {
        meets(requirement, requirement["key"].as_str().and_then(|key| meta::label(node, key)))
    };
    let field = |requirement: &Value| {
        meets(requirement, (requirement["key"] == "metadata.name").then(|| meta::name(node)))
    };
    labels.iter().all(label) && fields.iter().all(field)
}

fn meets(requirement: &Value, value: Option<&str>) -> bool {
    let values = requirement["values"].as_array().map_or(&[][..], Vec::as_slice);
    let listed = value.is_some_and(|value| values.iter().any(|known| known == value));
    let number = |value: Option<&str>| value.and_then(|value| value.parse::<i64>().ok());
    let bound = number(values.first().and_then(Value::as_str));
    match requirement["operator"].as_str() {
        Some("In") => listed,
        Some("NotIn") => !listed,
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => number(value).zip(bound).is_some_and(|(value, bound)| value > bound),
        Some("Lt") => number(value).zip(bound).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// Makes a pod for this node only, and gives it what every daemon pod tolerates.
pub(super) fn pin(pod: &mut Value, node: &str) {
    let spec = &mut pod["spec"];
    let mut all = tolerations(spec);
    if spec["hostNetwork"] == true {
        all.push(always("node.kubernetes.io/network-unavailable", "NoSchedule"));
    }
    spec["tolerations"] = all.into();
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    meta::child_mut(spec, "affinity");
    meta::child_mut(&mut spec["affinity"], "nodeAffinity").insert(
        "requiredDuringSchedulingIgnoredDuringExecution".into(),
        json!({"nodeSelectorTerms": [term]}),
    );
}
