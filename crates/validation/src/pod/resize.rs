//! The `resize` subresource: CPU and memory of running containers.

use super::annotations::MIRROR;
use crate::node::{Errors, Node, same};
use crate::resources::quantity;
use object::{FieldError, Path};
use serde_json::{Map, Value};

/// Checks a resize, but for the ObjectMeta.
pub fn validate(e: &mut Errors, new: &Value, old: &Value) {
    super::validate(e, new);
    let (new_root, old_root) = (Node::root(new), Node::root(old));
    let (spec, old_spec) = (new_root.get("spec"), old_root.get("spec"));
    let refusal = if old_root.get("metadata").get("annotations").value.get(MIRROR).is_some() {
        Some("static pods cannot be resized")
    } else if old_spec.get("os").get("name").text() == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    };
    if let Some(detail) = refusal {
        e.clear();
        e.push(FieldError::forbidden(&Path::new("[]"), detail));
        return;
    }
    let before = old_root.get("status").get("qosClass").text();
    let after = qos_class(&spec);
    if !before.is_empty() && before != after {
        let shown = new_root.get("status").get("qosClass").moved(spec.path.clone());
        e.push(shown.invalid_text("Pod QOS Class may not change as a result of resizing"));
    }
    for list in ["initContainers", "containers"] {
        for (container, was) in spec.get(list).items().zip(old_spec.get(list).items()) {
            if list == "containers" || was.get("restartPolicy").text() == "Always" {
                removals(e, &container, &was);
            }
        }
    }
    only_cpu_and_memory(e, &spec, &old_spec);
}

/// The quality of service that a pod spec earns.
pub fn qos_class(spec: &Node<'_>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    // Ephemeral containers have no resources of their own.
    let containers = ["initContainers", "containers"].into_iter().flat_map(|list| spec.get(list).items());
    for container in containers {
        let resources = container.get("resources");
        for name in ["cpu", "memory"] {
            let amount = |list: &str| resources.raw(list).get(name).map(quantity).filter(|q| !q.is_zero());
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.as_ref().is_none_or(|r| Some(r) == limit.as_ref());
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn removals(e: &mut Errors, container: &Node<'_>, old: &Node<'_>) {
    let (now, before) = (container.get("resources"), old.get("resources"));
    for (list, detail) in
        [("requests", "resource requests cannot be removed"), ("limits", "resource limits cannot be removed")]
    {
        if before.get(list).entries().any(|(name, _)| now.raw(list).get(name).is_none()) {
            e.push(now.get(list).forbidden(detail));
        }
    }
}

/// With CPU and memory put back, nothing differs.
fn only_cpu_and_memory(e: &mut Errors, spec: &Node<'_>, old: &Node<'_>) {
    let mut munged = spec.value.clone();
    for list in ["containers", "initContainers"] {
        let sidecars_only = list == "initContainers";
        let Some(containers) = munged.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (container, was) in containers.iter_mut().zip(old.get(list).list()) {
            let sidecar = container["restartPolicy"] == "Always";
            if sidecars_only && !sidecar {
                if !same(container, was) {
                    e.push(spec.forbidden("resources for non-sidecar init containers are immutable"));
                }
                continue;
            }
            put_back(container, was);
            if !same(container, was) {
                let of = if sidecars_only { " for sidecar containers" } else { "" };
                e.push(spec.forbidden(&format!("only cpu and memory resources{of} are mutable")));
            }
        }
    }
    put_back(&mut munged, old.value);
    if e.is_empty() && !same(&munged, old.value) {
        e.push(spec.forbidden("only cpu and memory resources are mutable"));
    }
}

fn put_back(container: &mut Value, old: &Value) {
    let mut resources = container["resources"].as_object().cloned().unwrap_or_default();
    for list in ["limits", "requests"] {
        let mut amounts = resources.get(list).and_then(Value::as_object).cloned().unwrap_or_default();
        for name in ["cpu", "memory"] {
            match old["resources"][list].get(name) {
                Some(amount) => amounts.insert(name.into(), amount.clone()),
                None => amounts.remove(name),
            };
        }
        resources.insert(list.into(), Value::Object(amounts));
    }
    resources.retain(|_, value| !same(value, &Value::Object(Map::new())));
    let Some(map) = container.as_object_mut() else { return };
    // No resources at all can be said in two ways; the old one is taken.
    match old.get("resources") {
        None if resources.is_empty() => map.remove("resources"),
        _ => map.insert("resources".into(), Value::Object(resources)),
    };
}
