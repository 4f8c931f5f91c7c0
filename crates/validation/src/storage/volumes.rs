//! PersistentVolumes.

use crate::node::{Errors, IMMUTABLE, Node, check_supported, check_text, check_text_if_set, same};
use crate::pod::volume_sources;
use crate::resources;
use crate::selectors::node_selector;
use object::{FieldError, Path, names};
use serde_json::{Map, Value};

/// The access modes there are.
const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// `accessModes` of a volume or a claim; `missing` is what to say when there is none.
pub fn access_modes(e: &mut Errors, modes: &Node<'_>, selector: impl FnOnce(&mut Errors), missing: &str) {
    if modes.is_empty() {
        e.push(modes.required(missing));
    }
    selector(e);
    for mode in modes.texts() {
        if !ACCESS_MODES.contains(&mode) {
            e.push(FieldError::not_supported(&modes.path, &Value::from(mode), &ACCESS_MODES));
        }
    }
    let listed = modes.texts();
    let other = listed.iter().any(|m| *m != "ReadWriteOncePod" && ACCESS_MODES.contains(m));
    if listed.contains(&"ReadWriteOncePod") && other {
        e.push(modes.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
}

/// A PersistentVolume.
pub fn volume(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let name = root.get("metadata").get("name").text();
    spec(e, &root.get("spec"), name, false);
}

/// A PersistentVolumeSpec, of a volume named `name`, or inline in a VolumeAttachment.
pub fn spec(e: &mut Errors, spec: &Node<'_>, name: &str, inline: bool) {
    if inline {
        inline_only(e, spec);
    }
    access_modes(e, &spec.get("accessModes"), |_| {}, "");
    if !inline {
        capacity(e, &spec.get("capacity"));
    }
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if inline && !matches!(policy.text(), "" | "Retain") {
        e.push(policy.forbidden("may only be Retain in the context of inline volumes"));
    } else if !inline && !policy.is_empty() {
        check_supported(e, &policy, &["Delete", "Recycle", "Retain"]);
    }
    let affinity = spec.get("nodeAffinity");
    if affinity.is_set() && inline {
        e.push(affinity.forbidden("may not be specified in the context of inline volumes"));
    } else if affinity.is_set() {
        if affinity.get("required").is_set() {
            node_selector(e, &affinity.get("required"));
        } else {
            e.push(affinity.get("required").required("must specify required node constraints"));
        }
    }
    volume_sources::validate_persistent(e, spec, name);
    let host_path = spec.get("hostPath").get("path").text();
    if host_path.starts_with('/')
        && host_path.trim_matches(['/', '.']).is_empty()
        && policy.text() == "Recycle"
    {
        e.push(policy.forbidden("may not be 'recycle' for a hostPath mount of '/'"));
    }
    let class = spec.get("storageClassName");
    if inline && !class.is_empty() {
        e.push(class.forbidden("may not be specified in the context of inline volumes"));
    } else {
        check_text_if_set(e, &class, names::dns1123_subdomain);
    }
    let mode = spec.get("volumeMode");
    if inline && mode.is_set() && mode.text() != "Filesystem" {
        e.push(
            mode.forbidden(
                "may not specify volumeMode other than Filesystem in the context of inline volumes",
            ),
        );
    } else {
        check_supported(e, &mode, &["Block", "Filesystem"]);
    }
    if !inline {
        attributes_class(e, spec);
    }
}

fn inline_only(e: &mut Errors, spec: &Node<'_>) {
    for field in ["claimRef", "capacity"] {
        if !spec.get(field).is_empty() {
            e.push(spec.get(field).forbidden("may not be specified in the context of inline volumes"));
        }
    }
    if !spec.get("csi").is_set() {
        e.push(spec.get("csi").required("has to be specified in the context of inline volumes"));
    }
}

fn capacity(e: &mut Errors, capacity: &Node<'_>) {
    if capacity.is_empty() {
        e.push(capacity.required(""));
    }
    if capacity.value.get("storage").is_none() || capacity.len() > 1 {
        e.push(FieldError::not_supported(&capacity.path, capacity.value, &["storage"]));
    }
    for (_, amount) in capacity.entries() {
        resources::basic(e, &amount);
        resources::positive(e, &amount);
    }
}

fn attributes_class(e: &mut Errors, spec: &Node<'_>) {
    let class = spec.get("volumeAttributesClassName");
    if !class.is_set() {
        return;
    }
    if class.is_empty() {
        e.push(class.required("an empty string is disallowed"));
    } else {
        check_text(e, &class, names::dns1123_subdomain);
    }
    if !spec.get("csi").is_set() {
        e.push(spec.get("csi").required("has to be specified when using volumeAttributesClassName"));
    }
}

/// The fields of a PersistentVolumeSpec that are not its source.
const NOT_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn source(spec: &Node<'_>) -> Map<String, Value> {
    let fields = spec.value.as_object().cloned().unwrap_or_default();
    fields.into_iter().filter(|(key, _)| !NOT_SOURCE.contains(&key.as_str())).collect()
}

/// An update of a PersistentVolume: its source stays.
pub fn volume_update(e: &mut Errors, new: &Value, old: &Value) {
    // Kubernetes does so, too; each cause counts.
    volume(e, new);
    volume(e, new);
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (spec, was) = (root.get("spec"), old_root.get("spec"));
    let (mut now, before) = (source(&spec), source(&was));
    let secret = "controllerExpandSecretRef";
    if before.get("csi").is_some_and(|csi| csi.get(secret).is_none())
        && let Some(csi) = now.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.remove(secret);
    }
    let (now, before) = (Value::Object(now), Value::Object(before));
    if !same(&now, &before) {
        let path = spec.path.field("persistentvolumesource");
        let changes = crate::diff::structs("PersistentVolumeSource", &before, &now);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{changes}");
        e.push(FieldError::forbidden(&path, &detail));
    }
    let mode = spec.get("volumeMode").moved(Path::new("volumeMode"));
    if mode.text() != was.get("volumeMode").text() {
        e.push(mode.invalid(IMMUTABLE));
    }
    let affinity = spec.get("nodeAffinity").moved(Path::new("nodeAffinity"));
    if was.get("nodeAffinity").is_set() && !same(affinity.value, was.raw("nodeAffinity")) {
        let detail = "field is immutable, except for updating from beta label to GA";
        e.push(affinity.invalid_struct("*VolumeNodeAffinity", detail));
    }
    let class = spec.get("volumeAttributesClassName");
    if was.get("volumeAttributesClassName").is_set() && !class.is_set() {
        e.push(class.forbidden("update from non-nil value to nil is forbidden"));
    }
}
