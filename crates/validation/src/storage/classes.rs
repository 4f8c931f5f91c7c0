//! StorageClasses and VolumeAttributesClasses.

use crate::node::{Errors, IMMUTABLE, Node, check_supported, same};
use crate::selectors::topology_selector_term;
use object::{FieldError, names};
use serde_json::Value;

/// A StorageClass.
pub fn storage_class(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    provisioner(e, &root.get("provisioner"));
    parameters(e, &root.get("parameters"), true);
    let (policy, mode) = (root.get("reclaimPolicy"), root.get("volumeBindingMode"));
    if !policy.is_empty() {
        check_supported(e, &policy, &["Delete", "Retain"]);
    }
    if mode.is_set() {
        check_supported(e, &mode, &["Immediate", "WaitForFirstConsumer"]);
    } else {
        e.push(mode.required(""));
    }
    topologies(e, &root.get("allowedTopologies"));
}

/// A name with an optional prefix, judged in lower case.
fn provisioner(e: &mut Errors, provisioner: &Node<'_>) {
    if provisioner.is_empty() {
        e.push(provisioner.required(""));
        return;
    }
    let lower = provisioner.text().to_lowercase();
    e.extend(names::qualified_name(&lower).iter().map(|m| provisioner.invalid_as(lower.as_str(), m)));
}

fn topologies(e: &mut Errors, topologies: &Node<'_>) {
    // Upstream compares each term with as many empty ones as there are terms, too.
    let mut seen: Vec<&Value> = vec![&Value::Null; topologies.len()];
    for term in topologies.items() {
        topology_selector_term(e, &term);
        let expressions = term.raw("matchLabelExpressions");
        for _ in seen.iter().filter(|other| same(other, expressions)) {
            e.push(FieldError::duplicate(&term.path.field("matchLabelExpressions"), &Value::from("")));
        }
        seen.push(expressions);
    }
}

fn parameters(e: &mut Errors, parameters: &Node<'_>, may_be_empty: bool) {
    if parameters.len() > 512 {
        e.push(parameters.too_long(512));
        return;
    }
    let mut size = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            e.push(parameters.invalid_as(key, "field can not be empty."));
        }
        size += key.len() + value.text().len();
    }
    if size > 256 << 10 {
        e.push(parameters.too_long(256 << 10));
    }
    if !may_be_empty && parameters.is_empty() {
        e.push(parameters.required("must contain at least one key/value pair"));
    }
}

fn fixed(e: &mut Errors, new: &Value, old: &Value, fields: &[&str]) {
    let root = Node::root(new);
    for field in fields {
        if !same(root.raw(field), &old[*field]) {
            e.push(root.get(field).invalid(IMMUTABLE));
        }
    }
}

/// An update of a StorageClass: what it makes volumes from stays.
pub fn storage_class_update(e: &mut Errors, new: &Value, old: &Value) {
    storage_class(e, new);
    fixed(e, new, old, &["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"]);
}

/// A VolumeAttributesClass.
pub fn attributes_class(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    provisioner(e, &root.get("driverName"));
    parameters(e, &root.get("parameters"), false);
}

/// An update of a VolumeAttributesClass.
pub fn attributes_class_update(e: &mut Errors, new: &Value, old: &Value) {
    let root = Node::root(new);
    for field in ["driverName", "parameters"] {
        if !same(root.raw(field), &old[field]) {
            e.push(root.get(field).forbidden(&format!("updates to {field} are forbidden.")));
        }
    }
    attributes_class(e, new);
}
