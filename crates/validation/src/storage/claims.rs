//! PersistentVolumeClaims.

use super::volumes::access_modes;
use crate::node::{Errors, IMMUTABLE, Node, check_supported, check_text, check_text_if_set, same};
use crate::resources;
use crate::selectors::label_selector;
use object::{FieldError, Path, names};
use serde_json::{Value, json};

const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// A PersistentVolumeClaim.
pub fn claim(e: &mut Errors, object: &Value) {
    spec(e, &Node::root(object).get("spec"));
}

/// A PersistentVolumeClaimSpec.
pub fn spec(e: &mut Errors, spec: &Node<'_>) {
    let selector = spec.get("selector");
    let modes = spec.get("accessModes");
    access_modes(e, &modes, |e| label_selector(e, &selector), "at least 1 access mode is required");
    let storage = spec.get("resources").get("requests").get("storage");
    let storage = storage.moved(spec.path.field("resources").key("storage"));
    if !storage.is_set() {
        e.push(storage.required(""));
    } else {
        resources::positive(e, &storage);
    }
    check_text_if_set(e, &spec.get("storageClassName"), names::dns1123_subdomain);
    check_supported(e, &spec.get("volumeMode"), &["Block", "Filesystem"]);
    data_source(e, &spec.get("dataSource"));
    data_source(e, &spec.get("dataSourceRef"));
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    if !reference.get("namespace").is_empty() {
        if source.is_set() {
            let detail = "may not be specified when dataSourceRef.namespace is specified";
            e.push(FieldError::invalid_shown(&spec.path, "{}", detail));
        }
    } else if source.is_set() && reference.is_set() {
        let equal = ["apiGroup", "kind", "name"].iter().all(|f| source.raw(f) == reference.raw(f));
        if !equal {
            e.push(FieldError::invalid_shown(&spec.path, "{}", "must match dataSourceRef"));
        }
    }
    check_text_if_set(e, &spec.get("volumeAttributesClassName"), names::dns1123_subdomain);
}

fn data_source(e: &mut Errors, source: &Node<'_>) {
    if !source.is_set() {
        return;
    }
    for field in ["name", "kind"] {
        if source.get(field).is_empty() {
            e.push(source.get(field).required(""));
        }
    }
    let (group, kind) = (source.get("apiGroup"), source.get("kind").text());
    if group.is_empty() {
        if kind != "PersistentVolumeClaim" {
            e.push(
                source.invalid_as(
                    kind,
                    "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
                ),
            );
        }
    } else {
        check_text(e, &group, names::dns1123_subdomain);
    }
    check_text_if_set(e, &source.get("namespace"), names::dns1123_label);
}

/// An update of a claim: once made, only its size (when bound) and its class of attributes change.
pub fn claim_update(e: &mut Errors, new: &Value, old: &Value) {
    claim(e, new);
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (spec, was) = (root.get("spec"), old_root.get("spec"));
    let (mut now, mut before) = (spec.value.clone(), was.value.clone());
    if was.get("volumeName").is_empty() {
        set(&mut before, "volumeName", spec.raw("volumeName"));
    }
    storage_class(e, new, old, &mut now);
    if new["status"]["phase"] == "Bound" {
        if let Some(requests) = now.get_mut("resources").and_then(|r| r.get_mut("requests")) {
            set(requests, "storage", &was.raw("resources")["requests"]["storage"]);
        }
        if spec.get("volumeAttributesClassName").is_set() {
            set(&mut now, "volumeAttributesClassName", was.raw("volumeAttributesClassName"));
        }
    }
    if !same(&now, &before) {
        let changes = crate::diff::structs("PersistentVolumeClaimSpec", &before, &now);
        e.push(spec.forbidden(&format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{changes}"
        )));
    }
    let size = |spec: &Node<'_>| resources::quantity(&spec.raw("resources")["requests"]["storage"]);
    if size(&spec) < size(&was) && size(&spec) <= resources::quantity(&old["status"]["capacity"]["storage"]) {
        let path = Path::new("spec.resources.requests.storage");
        e.push(FieldError::forbidden(&path, "field can not be less than status.capacity"));
    }
    let mode = spec.get("volumeMode").moved(Path::new("volumeMode"));
    if mode.text() != was.get("volumeMode").text() {
        e.push(mode.invalid(IMMUTABLE));
    }
    let class = spec.get("volumeAttributesClassName");
    if !old["status"]["currentVolumeAttributesClassName"].is_null()
        && class.value != was.raw("volumeAttributesClassName")
        && class.is_empty()
    {
        let what = if class.is_set() { "empty string" } else { "nil" };
        e.push(class.forbidden(&format!(
            "update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        )));
    }
}

/// A class given by the old annotation, or not at all, may move into the field.
fn storage_class(e: &mut Errors, new: &Value, old: &Value, now: &mut Value) {
    let annotation =
        |object: &Value| object["metadata"]["annotations"][BETA_CLASS].as_str().map(str::to_owned);
    let (class, was) = (&new["spec"]["storageClassName"], &old["spec"]["storageClassName"]);
    let (annotated, was_annotated) = (annotation(new), annotation(old));
    let upgrades = was_annotated.is_some()
        && was.is_null()
        && class.as_str() == was_annotated.as_deref()
        && (annotated.is_none() || annotated == was_annotated);
    if upgrades {
        set(now, "storageClassName", &Value::Null);
        return;
    }
    if annotated.clone().unwrap_or_default() != was_annotated.clone().unwrap_or_default() {
        let path = Path::new("metadata.annotations").field(BETA_CLASS);
        e.push(FieldError::invalid(&path, &json!(annotated.unwrap_or_default()), IMMUTABLE));
    }
    if !class.is_null() && was.is_null() && was_annotated.is_none_or(|a| class == &Value::from(a)) {
        set(now, "storageClassName", &Value::Null);
    }
}

fn set(target: &mut Value, field: &str, value: &Value) {
    if let Some(map) = target.as_object_mut() {
        if value.is_null() {
            map.remove(field);
        } else {
            map.insert(field.into(), value.clone());
        }
    }
}

/// An update of a claim's status.
pub fn claim_status(e: &mut Errors, new: &Value, _old: &Value) {
    const STATES: [&str; 5] = [
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
        "NodeResizePending",
    ];
    let root = Node::root(new);
    let status = root.get("status");
    if root.get("spec").get("accessModes").is_empty() {
        e.push(FieldError::required(&Path::new("Spec.accessModes"), ""));
    }
    for (_, amount) in status.get("capacity").entries() {
        resources::basic(e, &amount);
    }
    let states = status.path.field("allocatedResourceStatus");
    for (name, state) in status.get("allocatedResourceStatuses").entries() {
        resource_key(e, name, &states);
        if !STATES.contains(&state.text()) {
            e.push(FieldError::not_supported(&states, &json!(name), &STATES));
        }
    }
    for (name, amount) in status.get("allocatedResources").entries() {
        let before = e.len();
        resource_key(e, name, &status.path.field("allocatedResources"));
        if e.len() == before {
            resources::basic(e, &amount);
        }
    }
}

fn resource_key(e: &mut Errors, name: &str, path: &Path) {
    let errors = names::qualified_name(name);
    if errors.is_empty() && resources::is_native(name) && name != "storage" {
        e.push(FieldError::not_supported(path, &json!(name), &["storage"]));
    }
    e.extend(errors.iter().map(|m| FieldError::invalid(path, &json!(name), m)));
}
