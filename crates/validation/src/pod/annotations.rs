//! Annotations that mean something to pods: mirror pods, deletion cost, and the old spelling of seccomp and AppArmor.

use super::all_containers;
use crate::node::{Errors, Node, same};
use crate::paths::local_descending;
use object::{FieldError, Path};
use serde_json::{Value, json};

/// Marks a pod that mirrors a node's static pod.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Annotations of a pod or a pod template.
pub fn validate(e: &mut Errors, annotations: &Node<'_>, spec: &Node<'_>) {
    if let Some(mirror) = annotations.value.get(MIRROR)
        && spec.get("nodeName").is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        e.push(FieldError::invalid(&annotations.path.key(MIRROR), mirror, detail));
    }
    if let Some(cost) = annotations.value.get(DELETION_COST)
        && !is_deletion_cost(cost.as_str().unwrap_or(""))
    {
        e.push(FieldError::invalid(&annotations.path.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
    if let Some(profile) = annotations.value.get(SECCOMP_POD) {
        seccomp(e, profile, annotations.path.field(SECCOMP_POD));
    }
    for (key, profile) in annotations.entries().filter(|(key, _)| key.starts_with(SECCOMP_CONTAINER)) {
        seccomp(e, profile.value, annotations.path.field(key));
    }
    for (key, profile) in annotations.entries() {
        if let Some(container) = key.strip_prefix(APP_ARMOR) {
            app_armor(e, &profile, container, spec);
        }
    }
}

fn is_deletion_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    text.parse::<i32>().is_ok() && canonical
}

fn seccomp(e: &mut Errors, profile: &Value, path: Path) {
    let text = profile.as_str().unwrap_or("");
    if matches!(text, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match text.strip_prefix("localhost/") {
        Some(local) => local_descending(e, &Node::at(&json!(local), path)),
        None => e.push(FieldError::invalid(&path, profile, "must be a valid seccomp profile")),
    }
}

fn app_armor(e: &mut Errors, profile: &Node<'_>, container: &str, spec: &Node<'_>) {
    if !all_containers(spec).iter().any(|c| c.get("name").text() == container) {
        e.push(profile.invalid_as(container, "container not found"));
    }
    let text = profile.text();
    if !matches!(text, "" | "runtime/default" | "unconfined") && !text.starts_with("localhost/") {
        let detail = format!("invalid AppArmor profile name: {}", object::error::quote(text));
        e.push(profile.invalid(&detail));
    }
}

/// Where both an annotation and a field name a profile, they agree.
pub fn profiles_match_fields(e: &mut Errors, meta: &Node<'_>, spec: &Node<'_>) {
    let annotations = meta.get("annotations");
    let annotation = |key: &str| annotations.value.get(key).and_then(Value::as_str);
    let pod = spec.get("securityContext").get("seccompProfile");
    agrees(e, annotation(SECCOMP_POD), &pod, "seccomp");
    for container in all_containers(spec) {
        let profile = container.get("securityContext").get("seccompProfile");
        agrees(
            e,
            annotation(&format!("{SECCOMP_CONTAINER}{}", container.get("name").text())),
            &profile,
            "seccomp",
        );
    }
    if spec.get("os").get("name").text() == "windows" {
        return;
    }
    let pod = spec.get("securityContext").get("appArmorProfile");
    for container in all_containers(spec) {
        let own = container.get("securityContext").get("appArmorProfile");
        let profile = if own.is_set() { own } else { pod.moved(own.path) };
        agrees(e, annotation(&format!("{APP_ARMOR}{}", container.get("name").text())), &profile, "apparmor");
    }
}

fn agrees(e: &mut Errors, annotation: Option<&str>, profile: &Node<'_>, what: &str) {
    let Some(annotation) = annotation.filter(|_| profile.is_set()) else { return };
    let same_type = match profile.get("type").text() {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => {
            annotation == "runtime/default" || what == "seccomp" && annotation == "docker/default"
        }
        "Localhost" => annotation.starts_with("localhost/"),
        _ => true,
    };
    if !same_type {
        let detail = format!("{what} type in annotation and field must match");
        e.push(profile.get("type").forbidden(&detail));
    } else if profile.get("type").text() == "Localhost"
        && annotation.strip_prefix("localhost/") != profile.raw("localhostProfile").as_str()
    {
        let detail = format!("{what} profile in annotation and field must match");
        e.push(profile.get("localhostProfile").forbidden(&detail));
    }
}

/// AppArmor and mirror annotations may not change.
pub fn validate_update(e: &mut Errors, new: &Value, old: &Value) {
    let (root, old_root) = (Node::root(new), Node::root(old));
    let annotations = root.get("metadata").get("annotations");
    let old_annotations = old_root.get("metadata").get("annotations");
    for (key, value) in old_annotations.entries() {
        if annotations.value.get(key).is_some_and(|now| same(now, value.value)) {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            e.push(value.forbidden("may not remove or update AppArmor annotations"));
        }
        if key == MIRROR {
            e.push(value.forbidden("may not remove or update mirror pod annotation"));
        }
    }
    for (key, value) in annotations.entries().filter(|(key, _)| old_annotations.value.get(key).is_none()) {
        if key.starts_with(APP_ARMOR) {
            e.push(value.forbidden("may not add AppArmor annotations"));
        }
        if key == MIRROR {
            e.push(value.forbidden("may not add mirror pod annotation"));
        }
    }
    validate(e, &annotations, &root.get("spec"));
}
