//! ResourceSlices: the devices a driver offers.

use crate::node::{Errors, IMMUTABLE, Node, check_text, check_text_if_set};
use crate::pod::volume_sources::csi_driver_name;
use crate::selectors::node_selector;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NODE_FIELDS: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];

/// A ResourceSlice.
pub fn slice(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    csi_driver_name(e, &spec.get("driver"));
    pool(e, &spec.get("pool"));
    where_it_is(e, &spec);
    let devices = spec.get("devices");
    if devices.len() > 128 {
        e.push(FieldError::too_many(&devices.path, devices.len(), 128));
    }
    let mut seen = BTreeSet::new();
    for device in devices.items() {
        check_text(e, &device.get("name"), names::dns1123_label);
        attributes(e, &device);
        let name = device.get("name").text();
        if !seen.insert(name) {
            e.push(FieldError::duplicate(&device.path, &json!(name)));
        }
    }
}

fn pool(e: &mut Errors, pool: &Node<'_>) {
    let name = pool.get("name");
    if name.is_empty() {
        e.push(name.required(""));
    } else {
        if name.len() > 253 {
            e.push(name.too_long(253));
        }
        for part in name.text().split('/') {
            e.extend(names::dns1123_subdomain(part).iter().map(|m| name.invalid_as(part, m)));
        }
    }
    if pool.get("resourceSliceCount").int() <= 0 {
        let count = pool.get("resourceSliceCount");
        e.push(count.invalid_as(count.int(), "must be greater than zero"));
    }
    if pool.get("generation").int() < 0 {
        e.push(pool.get("generation").invalid("must be greater than or equal to zero"));
    }
}

fn where_it_is(e: &mut Errors, spec: &Node<'_>) {
    check_text_if_set(e, &spec.get("nodeName"), names::dns1123_subdomain);
    if spec.get("nodeSelector").is_set() {
        node_selector(e, &spec.get("nodeSelector"));
    }
    let set: Vec<_> = NODE_FIELDS
        .iter()
        .filter(|f| {
            if matches!(**f, "nodeSelector") {
                spec.get(f).is_set()
            } else {
                spec.get(f).is_true() || !spec.get(f).is_empty()
            }
        })
        .collect();
    let all = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 => e.push(spec.required(all)),
        1 => {}
        _ => {
            let fields: Vec<_> = set.iter().map(|f| format!("`{f}`")).collect();
            let shown = format!("{{{}}}", fields.join(", "));
            e.push(spec.invalid_as(shown, &format!("{all}, but multiple fields are set")));
        }
    }
}

fn attributes(e: &mut Errors, device: &Node<'_>) {
    let (attributes, capacity) = (device.get("attributes"), device.get("capacity"));
    let count = attributes.len() + capacity.len();
    if count > 32 {
        let detail = "the total number of attributes and capacities must not exceed 32";
        e.push(device.invalid_as(count, detail));
    }
    for (name, attribute) in attributes.entries() {
        qualified(e, name, &attribute);
        attribute_value(e, &attribute);
    }
    for (name, amount) in capacity.entries() {
        qualified(e, name, &amount);
    }
}

/// A C identifier, of a domain or of the driver's own.
pub fn qualified(e: &mut Errors, name: &str, at: &Node<'_>) {
    let parts: Vec<_> = name.split('/').collect();
    match parts[..] {
        [""] => e.push(at.required("name required")),
        [own] => identifier(e, own, at),
        [domain, own] => {
            if domain.is_empty() {
                e.push(at.required("the domain must not be empty"));
            } else {
                if domain.len() > 63 {
                    e.push(at.too_long(63));
                }
                e.extend(
                    names::dns1123_subdomain(&domain.to_lowercase()).iter().map(|m| at.invalid_as(domain, m)),
                );
            }
            if own.is_empty() {
                e.push(at.required("the name must not be empty"));
            } else {
                identifier(e, own, at);
            }
        }
        _ => {}
    }
}

fn identifier(e: &mut Errors, text: &str, at: &Node<'_>) {
    if text.len() > 32 {
        e.push(at.too_long(32));
    }
    for message in names::c_identifier(text) {
        e.push(FieldError::type_invalid(&at.path, &json!(text), &message));
    }
}

fn attribute_value(e: &mut Errors, attribute: &Node<'_>) {
    const KINDS: [(&str, &str); 8] = [
        ("IntValue", "int"),
        ("BoolValue", "bool"),
        ("StringValue", "string"),
        ("VersionValue", "version"),
        ("IntValues", "ints"),
        ("BoolValues", "bools"),
        ("StringValues", "strings"),
        ("VersionValues", "versions"),
    ];
    let set = KINDS.iter().filter(|(_, field)| attribute.get(field).is_set()).count();
    for field in ["string", "version"] {
        let text = attribute.get(field);
        if text.len() > 64 {
            e.push(FieldError::too_long_characters(&text.path, 64));
        }
    }
    match set {
        0 => e.push(attribute.invalid_as("", "exactly one value must be specified")),
        1 => {}
        _ => {
            // Go shows its own struct.
            let shown: Vec<_> =
                KINDS.iter().map(|(go, field)| format!("\"{go}\":{}", attribute.raw(field))).collect();
            let shown = format!("{{{}}}", shown.join(","));
            e.push(FieldError::invalid_shown(&attribute.path, &shown, "exactly one value must be specified"));
        }
    }
}

/// An update of a ResourceSlice: driver, node and pool stay.
pub fn slice_update(e: &mut Errors, new: &Value, old: &Value) {
    slice(e, new);
    let spec = Node::root(new).get("spec");
    for (field, value) in [("driver", spec.get("driver")), ("nodeName", spec.get("nodeName"))] {
        if value.value != &old["spec"][field] {
            e.push(value.invalid_text(IMMUTABLE));
        }
    }
    let pool = spec.get("pool").get("name");
    if pool.value != &old["spec"]["pool"]["name"] {
        e.push(pool.invalid_text(IMMUTABLE));
    }
}
