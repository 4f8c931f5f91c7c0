//! CSIDrivers, CSINodes, CSIStorageCapacities and VolumeAttachments.

use super::volumes;
use crate::node::{Errors, IMMUTABLE, Node, check_required_supported, check_text, check_text_if_set, same};
use crate::pod::volume_sources::csi_driver_name;
use crate::resources::quantity;
use crate::selectors::label_selector;
use object::{FieldError, Path, names};
use serde_json::Value;
use std::collections::BTreeSet;

/// A CSIDriver.
pub fn driver(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    for field in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if !spec.get(field).is_set() {
            e.push(spec.get(field).required(""));
        }
    }
    check_required_supported(e, &spec.get("fsGroupPolicy"), &["File", "None", "ReadWriteOnceWithFSType"]);
    let mut audiences = BTreeSet::new();
    for request in spec.get("tokenRequests").items() {
        let (audience, seconds) = (request.get("audience"), request.get("expirationSeconds"));
        if !audiences.insert(audience.text()) {
            e.push(FieldError::duplicate(&audience.path, &Value::from(audience.text())));
            continue;
        }
        match seconds.number() {
            Some(s) if s < 600 => e.push(seconds.invalid("may not specify a duration less than 10 minutes")),
            Some(s) if s > 1 << 32 => {
                e.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
            }
            _ => {}
        }
    }
    let modes = spec.get("volumeLifecycleModes");
    for mode in modes.texts().into_iter().filter(|m| !matches!(*m, "Persistent" | "Ephemeral")) {
        e.push(FieldError::not_supported(&modes.path, &Value::from(mode), &["Persistent", "Ephemeral"]));
    }
    if !spec.get("seLinuxMount").is_set() {
        e.push(spec.get("seLinuxMount").required(""));
    }
    let period = spec.get("nodeAllocatableUpdatePeriodSeconds");
    if period.number().is_some_and(|s| s < 10) {
        e.push(period.invalid("must be greater than or equal to 10 seconds"));
    }
}

/// An update of a CSIDriver.
pub fn driver_update(e: &mut Errors, new: &Value, old: &Value) {
    driver(e, new);
    let spec = Node::root(new).get("spec");
    for (field, shown) in
        [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")]
    {
        if !same(spec.raw(field), &old["spec"][field]) {
            e.push(spec.get(field).moved(spec.path.field(shown)).invalid(IMMUTABLE));
        }
    }
}

/// A CSINode.
pub fn node(e: &mut Errors, object: &Value) {
    let drivers = Node::root(object).get("spec").get("drivers");
    let mut seen = BTreeSet::new();
    for entry in drivers.items() {
        csi_driver_name(e, &entry.get("name"));
        let id = entry.get("nodeID");
        if id.is_empty() {
            e.push(id.required(""));
        } else if id.len() > 256 {
            e.push(id.invalid("must be 256 characters or less"));
        }
        let count = entry.get("allocatable").get("count").moved(entry.path.field("allocatable.count"));
        if count.int() < 0 {
            e.push(count.invalid("must be greater than or equal to 0"));
        }
        let mut keys = BTreeSet::new();
        for key in entry.get("topologyKeys").items() {
            if !keys.insert(key.text()) {
                e.push(key.duplicate());
            }
            check_text(e, &key, names::qualified_name);
        }
        if !seen.insert(entry.get("name").text()) {
            e.push(entry.get("name").duplicate());
        }
    }
}

/// An update of a CSINode: a driver's entry stays as it is while it is there.
pub fn node_update(e: &mut Errors, new: &Value, old: &Value) {
    node(e, new);
    let drivers = Node::root(new).get("spec").get("drivers");
    for before in old["spec"]["drivers"].as_array().into_iter().flatten() {
        let now = drivers.items().find(|d| d.raw("name") == &before["name"]);
        let changed = |n: &Node<'_>| ["nodeID", "topologyKeys"].iter().any(|f| !same(n.raw(f), &before[*f]));
        if let Some(now) = now.filter(changed) {
            e.push(now.invalid(IMMUTABLE));
        }
    }
}

/// A CSIStorageCapacity.
pub fn capacity(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    label_selector(e, &root.get("nodeTopology"));
    check_text(e, &root.get("storageClassName"), names::dns1123_subdomain);
    for field in ["capacity", "maximumVolumeSize"] {
        let node = root.get(field);
        if node.is_set() && quantity(node.value).signum() < 0 {
            e.push(node.invalid("must be greater than or equal to 0"));
        }
    }
}

/// An update of a CSIStorageCapacity.
pub fn capacity_update(e: &mut Errors, new: &Value, old: &Value) {
    capacity(e, new);
    let root = Node::root(new);
    for field in ["nodeTopology", "storageClassName"] {
        if !same(root.raw(field), &old[field]) {
            e.push(root.get(field).invalid(IMMUTABLE));
        }
    }
}

/// A VolumeAttachment.
pub fn attachment(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let spec = root.get("spec");
    csi_driver_name(e, &spec.get("attacher"));
    let source = spec.get("source");
    let (inline, name) = (source.get("inlineVolumeSpec"), source.get("persistentVolumeName"));
    let exactly = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline.is_set(), name.is_set()) {
        (false, false) => e.push(source.required(exactly)),
        (true, true) => e.push(source.forbidden(exactly)),
        (false, true) if name.is_empty() => {
            e.push(name.required("must specify non empty persistentVolumeName"))
        }
        (false, true) => check_text(e, &name, names::dns1123_subdomain),
        (true, false) => volumes::spec(e, &inline, "", true),
    }
    check_text(e, &spec.get("nodeName"), names::dns1123_subdomain);
    attachment_state(e, &root.get("status"));
}

fn attachment_state(e: &mut Errors, status: &Node<'_>) {
    for error in ["attachError", "detachError"] {
        let message = status.get(error).get("message");
        if message.len() > 262_144 {
            e.push(message.too_long(262_144));
        }
    }
    let metadata = status.get("attachmentMetadata");
    let size: usize = metadata.entries().map(|(key, value)| key.len() + value.text().len()).sum();
    if size > 256 << 10 {
        e.push(metadata.too_long(256 << 10));
    }
}

/// An update of a VolumeAttachment: its spec stays.
pub fn attachment_update(e: &mut Errors, new: &Value, old: &Value) {
    attachment(e, new);
    let spec = Node::root(new).get("spec");
    if !same(spec.value, &old["spec"]) {
        e.push(FieldError::invalid(&Path::new("spec"), spec.value, IMMUTABLE));
    }
    check_text_if_set(e, &spec.get("source").get("persistentVolumeName"), names::dns1123_subdomain);
}
