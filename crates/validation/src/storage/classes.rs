//! StorageClasses and VolumeAttributesClasses.

use crate::node::{Errors, IMMUTABLE, Node, check_required_supported, check_supported, same};
use crate::pod::volume_sources::csi_driver_name;
use crate::selectors::topology_selector_term;
use object::names;
use serde_json::Value;

/// A StorageClass.
pub fn storage_class(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let provisioner = root.get("provisioner");
    if provisioner.is_empty() {
        e.push(provisioner.required(""));
    } else {
        e.extend(
            names::qualified_name(&provisioner.text().to_lowercase()).iter().map(|m| provisioner.invalid(m)),
        );
    }
    parameters(e, &root.get("parameters"), true);
    check_supported(e, &root.get("reclaimPolicy"), &["Delete", "Retain"]);
    check_required_supported(e, &root.get("volumeBindingMode"), &["Immediate", "WaitForFirstConsumer"]);
    let topologies = root.get("allowedTopologies");
    let mut seen: Vec<&Value> = vec![];
    for term in topologies.items() {
        topology_selector_term(e, &term);
        if seen.contains(&term.raw("matchLabelExpressions")) {
            e.push(term.get("matchLabelExpressions").duplicate());
        }
        seen.push(term.raw("matchLabelExpressions"));
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
    fixed(e, new, old, &["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"]);
}

/// A VolumeAttributesClass.
pub fn attributes_class(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    csi_driver_name(e, &root.get("driverName"));
    parameters(e, &root.get("parameters"), false);
}

/// An update of a VolumeAttributesClass.
pub fn attributes_class_update(e: &mut Errors, new: &Value, old: &Value) {
    fixed(e, new, old, &["driverName", "parameters"]);
}
