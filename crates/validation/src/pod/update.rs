//! What an update may change in a Pod: images, deadlines, tolerations (more of them), gates (fewer of them), and while
//! it is gated also node selectors and node affinity (narrower).

use super::annotations;
use super::scheduling;
use crate::diff;
use crate::node::{Errors, Node, same};
use object::names;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 \
    if it was previously negative)";
const AFFINITY_REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Checks an update of a Pod, but for its ObjectMeta.
pub fn validate(e: &mut Errors, new: &Value, old: &Value) {
    super::validate(e, new);
    annotations::validate_update(e, new, old);
    let (new_root, old_root) = (Node::root(new), Node::root(old));
    let (spec, old_spec) = (new_root.get("spec"), old_root.get("spec"));
    for list in ["containers", "initContainers"] {
        if spec.get(list).len() != old_spec.get(list).len() {
            e.push(spec.get(list).forbidden("pod updates may not add or remove containers"));
            return;
        }
        for container in spec.get(list).items() {
            if container.get("image").is_empty() {
                e.push(container.get("image").required(""));
            }
            super::containers::image_without_padding(e, &container);
        }
    }
    if !deadline(e, &spec.get("activeDeadlineSeconds"), &old_spec.get("activeDeadlineSeconds")) {
        return;
    }
    tolerations(e, &spec.get("tolerations"), &old_spec.get("tolerations"));
    gates(e, &spec.get("schedulingGates"), &old_spec.get("schedulingGates"));
    if same(spec.value, old_spec.value) {
        return;
    }
    let mut munged = munge(spec.value, old_spec.value);
    if !old_spec.get("schedulingGates").is_empty() {
        gated(e, &spec, &old_spec, &mut munged);
    }
    let munged = Value::Object(munged);
    if !same(&munged, old_spec.value) {
        let changes = diff::structs("PodSpec", old_spec.value, &munged);
        e.push(
            spec.forbidden(&format!("pod updates may not change fields other than {UPDATABLE}\n{changes}")),
        );
    }
}

/// Answers false when nothing further should be looked at.
fn deadline(e: &mut Errors, new: &Node<'_>, old: &Node<'_>) -> bool {
    match (new.number(), old.number()) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            e.push(new.invalid(&names::range_error(0, i32::MAX.into())));
            false
        }
        (Some(now), Some(before)) if before < now => {
            e.push(new.invalid("must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            e.push(new.invalid("must not update from a positive integer to nil value"));
            true
        }
        _ => true,
    }
}

fn tolerations(e: &mut Errors, new: &Node<'_>, old: &Node<'_>) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(map) = toleration.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        toleration
    };
    let kept: Vec<_> = new.list().iter().map(without_seconds).collect();
    if old.list().iter().any(|toleration| !kept.contains(&without_seconds(toleration))) {
        e.push(new.forbidden("existing toleration can not be modified except its tolerationSeconds"));
        return;
    }
    scheduling::tolerations(e, new);
}

fn gates(e: &mut Errors, new: &Node<'_>, old: &Node<'_>) {
    let before: Vec<_> = old.list().iter().map(|gate| &gate["name"]).collect();
    let mut added = BTreeMap::new();
    for gate in new.items().filter(|gate| !before.contains(&gate.raw("name"))) {
        added.insert(gate.get("name").text(), gate.get("name"));
    }
    for (name, gate) in added {
        e.push(gate.forbidden(&format!("only deletion is allowed, but found new scheduling gate '{name}'")));
    }
}

/// The new spec with all that may change put back to what it was.
fn munge(new: &Value, old: &Value) -> Map<String, Value> {
    let mut munged = new.as_object().cloned().unwrap_or_default();
    for list in ["containers", "initContainers"] {
        let Some(containers) = munged.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (i, container) in containers.iter_mut().enumerate() {
            restore(container, &old[list][i], "image");
        }
    }
    let mut spec = Value::Object(munged);
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(&mut spec, old, field);
    }
    let was_negative = old["terminationGracePeriodSeconds"].as_i64().is_some_and(|s| s < 0);
    if was_negative && spec["terminationGracePeriodSeconds"] == json!(1) {
        restore(&mut spec, old, "terminationGracePeriodSeconds");
    }
    match spec {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn restore(target: &mut Value, old: &Value, field: &str) {
    if let Some(map) = target.as_object_mut() {
        match old.get(field) {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
}

fn gated(e: &mut Errors, spec: &Node<'_>, old: &Node<'_>, munged: &mut Map<String, Value>) {
    let (selector, old_selector) = (spec.get("nodeSelector"), old.get("nodeSelector"));
    if !same(selector.value, old_selector.value) {
        if old_selector.entries().any(|(key, value)| selector.value.get(key) != Some(value.value)) {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            e.push(selector.invalid(detail));
        }
        munged.remove("nodeSelector");
        if old_selector.is_set() {
            munged.insert("nodeSelector".into(), old_selector.value.clone());
        }
    }
    let (node, old_node) =
        (spec.get("affinity").get("nodeAffinity"), old.get("affinity").get("nodeAffinity"));
    if same(node.value, old_node.value) {
        return;
    }
    node_affinity(e, &node.get(AFFINITY_REQUIRED), &old_node.get(AFFINITY_REQUIRED));
    let mut affinity = munged.get("affinity").and_then(Value::as_object).cloned().unwrap_or_default();
    affinity.remove("nodeAffinity");
    if old_node.is_set() {
        affinity.insert("nodeAffinity".into(), old_node.value.clone());
    }
    munged.remove("affinity");
    if !affinity.is_empty() || old.get("affinity").is_set() {
        munged.insert("affinity".into(), Value::Object(affinity));
    }
}

fn node_affinity(e: &mut Errors, new: &Node<'_>, old: &Node<'_>) {
    let (terms, old_terms) = (new.get("nodeSelectorTerms"), old.get("nodeSelectorTerms"));
    if !old_terms.is_empty() && terms.len() != old_terms.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        e.push(terms.invalid_struct("[]NodeSelectorTerm", detail));
        return;
    }
    for (term, before) in terms.items().zip(old_terms.items()) {
        if !only_adds(&term, &before) {
            let detail = "only additions are allowed (no mutations or deletions)";
            e.push(term.invalid_struct("NodeSelectorTerm", detail));
        }
    }
}

fn only_adds(new: &Node<'_>, old: &Node<'_>) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    if lists.iter().all(|list| old.get(list).is_empty()) {
        return lists.iter().all(|list| new.get(list).is_empty());
    }
    lists.iter().all(|list| new.get(list).list().starts_with(old.get(list).list()))
}

/// The `ephemeralcontainers` subresource: more of them, none changed or removed.
pub fn validate_ephemeral_containers(e: &mut Errors, new: &Value, old: &Value) {
    super::validate(e, new);
    annotations::validate_update(e, new, old);
    let (new_root, old_root) = (Node::root(new), Node::root(old));
    if old_root.get("metadata").get("annotations").value.get(annotations::MIRROR).is_some() {
        e.clear();
        e.push(
            Node::at(new, object::Path::new("[]"))
                .forbidden("static pods do not support ephemeral containers"),
        );
        return;
    }
    let containers = new_root.get("spec").get("ephemeralContainers");
    for container in old_root.get("spec").get("ephemeralContainers").items() {
        let name = container.get("name");
        let quoted = object::error::quote(name.text());
        match containers.list().iter().find(|c| &c["name"] == name.value) {
            None => e.push(
                containers.forbidden(&format!("existing ephemeral containers {quoted} may not be removed\n")),
            ),
            Some(now) if !same(now, container.value) => {
                let changes = diff::structs("EphemeralContainer", container.value, now);
                let detail = format!("existing ephemeral containers {quoted} may not be changed\n{changes}");
                e.push(containers.forbidden(&detail));
            }
            Some(_) => {}
        }
    }
}
