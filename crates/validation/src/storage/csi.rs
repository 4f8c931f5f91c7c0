//! CSIDrivers, CSINodes, CSIStorageCapacities and VolumeAttachments.

use super::volumes;
use crate::node::{
    Errors, IMMUTABLE, Node, check_immutable, check_immutable_struct, check_supported, check_text, same,
};
use crate::pod::volume_sources::csi_driver_name;
use crate::resources::quantity;
use crate::selectors::label_selector;
use object::{FieldError, names};
use serde_json::Value;
use std::collections::BTreeSet;

/// A CSIDriver.
pub fn driver(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    for (field, shown) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if !spec.get(field).is_set() {
            e.push(FieldError::required(&spec.path.field(shown), ""));
        }
    }
    check_supported(e, &spec.get("fsGroupPolicy"), &["File", "None", "ReadWriteOnceWithFSType"]);
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
    let in_secrets = spec.get("serviceAccountTokenInSecrets");
    if in_secrets.is_set() && spec.get("tokenRequests").is_empty() {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        e.push(in_secrets.invalid(detail));
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
        let name = entry.get("name");
        if !seen.insert(name.text()) {
            e.push(FieldError::duplicate(&name.path, &Value::from(name.text())));
        }
        // What is wrong with a topology key is said of the driver.
        let mut keys = BTreeSet::new();
        for key in entry.get("topologyKeys").items().map(|key| key.moved(entry.path.clone())) {
            if key.is_empty() {
                e.push(key.required(""));
            }
            if !keys.insert(key.text()) {
                e.push(FieldError::duplicate(&key.path, &Value::from(key.text())));
            }
            check_text(e, &key, names::qualified_name);
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
            // Go shows its own struct.
            let shown = format!(
                "{{\"Name\":{},\"NodeID\":{},\"TopologyKeys\":{},\"Allocatable\":null}}",
                now.raw("name"),
                now.raw("nodeID"),
                now.raw("topologyKeys")
            );
            e.push(FieldError::invalid_shown(&drivers.path, &shown, IMMUTABLE));
        }
    }
}

/// A CSIStorageCapacity.
pub fn capacity(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    label_selector(e, &root.get("nodeTopology"));
    check_text(e, &root.get("storageClassName"), names::dns1123_subdomain);
    let capacity = root.get("capacity");
    if capacity.is_set() && quantity(capacity.value).signum() < 0 {
        e.push(capacity.invalid("must be greater than or equal to 0"));
    }
}

/// An update of a CSIStorageCapacity.
pub fn capacity_update(e: &mut Errors, new: &Value, old: &Value) {
    capacity(e, new);
    let (root, was) = (Node::root(new), Node::root(old));
    check_immutable_struct(e, &root.get("nodeTopology"), &was.get("nodeTopology"), "*LabelSelector");
    check_immutable(e, &root.get("storageClassName"), &was.get("storageClassName"));
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
        (false, true) => {}
        (true, false) => volumes::spec(e, &inline, "", true),
    }
    check_text(e, &spec.get("nodeName"), names::dns1123_subdomain);
    attachment_state(e, &root.get("status"));
    if name.is_set() {
        check_text(e, &name, names::dns1123_subdomain);
    }
}

fn attachment_state(e: &mut Errors, status: &Node<'_>) {
    let metadata = status.get("attachmentMetadata");
    let size: usize = metadata.entries().map(|(key, value)| key.len() + value.text().len()).sum();
    if size > 256 << 10 {
        e.push(metadata.too_long(256 << 10));
    }
    for error in ["attachError", "detachError"] {
        let (message, code) = (status.get(error).get("message"), status.get(error).get("errorCode"));
        if message.len() > 1024 {
            e.push(message.too_long(256 << 10));
        }
        if code.int() < 0 {
            e.push(code.invalid(&names::range_error(0, i64::from(i32::MAX))));
        }
    }
}

/// An update of a VolumeAttachment: its spec stays.
pub fn attachment_update(e: &mut Errors, new: &Value, old: &Value) {
    attachment(e, new);
    let (spec, was) = (Node::root(new).get("spec"), Node::root(old).get("spec"));
    check_immutable_struct(e, &spec, &was, "VolumeAttachmentSpec");
}
