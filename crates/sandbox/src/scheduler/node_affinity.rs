//! `nodeSelector` and `nodeAffinity`.

use super::Refusal;
use object::meta;
use serde_json::Value;
use std::collections::BTreeSet;

/// Whether the pod wants other nodes.
pub(super) fn refused(pod: &Value, node: &Value) -> Option<Refusal> {
    (!matches(pod, node)).then(|| Refusal::of_node("node(s) didn't match Pod's node affinity/selector"))
}

/// Whether the pod demands anything of nodes.
pub(super) fn demands(pod: &Value) -> bool {
    !pod["spec"]["nodeSelector"].is_null() || !required(pod).is_null()
}

/// Whether the pod would rather be on some nodes than on others.
pub(super) fn prefers(pod: &Value) -> bool {
    !preferred(pod).is_null()
}

/// Whether the node has what the pod demands of nodes.
pub(super) fn matches(pod: &Value, node: &Value) -> bool {
    let mut selector = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    if !selector.all(|(key, value)| meta::label(node, key) == value.as_str()) {
        return false;
    }
    let required = required(pod);
    required.is_null() || selects(required, node)
}

fn required(pod: &Value) -> &Value {
    &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
}

fn preferred(pod: &Value) -> &Value {
    &pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
}

/// Whether a node selector selects the node.
pub(super) fn selects(selector: &Value, node: &Value) -> bool {
    selector["nodeSelectorTerms"].as_array().into_iter().flatten().any(|term| satisfies(term, node))
}

/// The only nodes that the pod can go to because it names them; `None` if it names none.
pub(super) fn named(pod: &Value) -> Option<BTreeSet<&str>> {
    let mut named = BTreeSet::new();
    for term in required(pod)["nodeSelectorTerms"].as_array()? {
        let fields = term["matchFields"].as_array().into_iter().flatten();
        let by_name = fields.filter(|f| f["key"] == "metadata.name" && f["operator"] == "In");
        let names =
            by_name.map(|f| f["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect());
        let all: Option<BTreeSet<&str>> = names.reduce(|a: BTreeSet<&str>, b: BTreeSet<&str>| &a & &b);
        named.extend(all?);
    }
    Some(named)
}

/// The weights of the preferences that the node meets.
pub(super) fn preference(pod: &Value, node: &Value) -> i64 {
    let met = preferred(pod).as_array().into_iter().flatten().filter(|p| satisfies(&p["preference"], node));
    met.map(|p| p["weight"].as_i64().unwrap_or(0)).sum()
}

/// Whether the node satisfies a node selector term; an empty one selects nothing.
fn satisfies(term: &Value, node: &Value) -> bool {
    let expressions = term["matchExpressions"].as_array().map_or(&[][..], Vec::as_slice);
    let fields = term["matchFields"].as_array().map_or(&[][..], Vec::as_slice);
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |e: &Value| holds(e, meta::label(node, e["key"].as_str().unwrap_or("")));
    let field = |e: &Value| holds(e, (e["key"] == "metadata.name").then(|| meta::name(node)));
    expressions.iter().all(label) && fields.iter().all(field)
}

fn holds(expression: &Value, value: Option<&str>) -> bool {
    let values = expression["values"].as_array().map_or(&[][..], Vec::as_slice);
    let listed = value.is_some_and(|value| values.iter().any(|v| v == value));
    let compare = |ordered: fn(i64, i64) -> bool| {
        let right = values.first().and_then(Value::as_str).and_then(|v| v.parse().ok());
        let left = value.and_then(|v| v.parse().ok());
        left.zip(right).is_some_and(|(left, right)| ordered(left, right))
    };
    match expression["operator"].as_str() {
        Some("In") => listed,
        Some("NotIn") => !listed,
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => compare(|left, right| left > right),
        Some("Lt") => compare(|left, right| left < right),
        _ => false,
    }
}
