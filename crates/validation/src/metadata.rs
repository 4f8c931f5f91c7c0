//! ObjectMeta: names per kind, labels, annotations, owners, finalizers, managed fields, and what an update may change.

use crate::node::{Errors, IMMUTABLE, Node, check_non_negative, check_text, same};
use object::{FieldError, Path, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is wrong with a name.
pub type NameCheck = fn(&str) -> Vec<String>;

const ANNOTATIONS_MAX: usize = 256 << 10;
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// How a kind's objects are named and placed.
#[derive(Clone, Copy)]
pub struct NameRule {
    /// Judges `metadata.name`.
    pub check: NameCheck,
    /// Whether the kind lives in a namespace.
    pub namespaced: bool,
    /// Whether finalizers without a prefix must be one of Kubernetes' own (the rule of the core API groups).
    pub strict_finalizers: bool,
}

/// ObjectMeta on creation and, for most kinds, on update too.
pub fn validate(e: &mut Errors, object: &Value, rule: NameRule) {
    let meta = Node::root(object).get("metadata");
    let generate_name = meta.get("generateName");
    if !generate_name.text().is_empty() {
        for message in (rule.check)(&names::mask_trailing_dash(generate_name.text())) {
            e.push(generate_name.invalid(&message));
        }
    }
    let name = meta.get("name");
    if name.text().is_empty() {
        e.push(name.required("name or generateName is required"));
    } else {
        check_text(e, &name, rule.check);
    }
    namespace(e, &meta, rule.namespaced);
    check_non_negative(e, &meta.get("generation"));
    labels(e, &meta.get("labels"));
    annotations(e, &meta.get("annotations"));
    owner_references(e, &meta.get("ownerReferences"));
    finalizers(e, &meta.get("finalizers"));
    managed_fields(e, &meta.get("managedFields"));
    if rule.strict_finalizers {
        standard_finalizers(e, &meta.get("finalizers"));
    }
}

fn namespace(e: &mut Errors, meta: &Node<'_>, namespaced: bool) {
    let namespace = meta.get("namespace");
    match (namespaced, namespace.text().is_empty()) {
        (true, true) => e.push(namespace.required("")),
        (true, false) => check_text(e, &namespace, names::dns1123_label),
        (false, false) => e.push(namespace.forbidden("not allowed on this type")),
        (false, true) => {}
    }
}

/// Label keys and values. Errors name the map, not the key, as upstream.
pub fn labels(e: &mut Errors, labels: &Node<'_>) {
    for (key, value) in labels.entries() {
        label_name(e, key, &labels.path);
        for message in names::label_value(value.text()) {
            e.push(FieldError::invalid(&labels.path, value.value, &message));
        }
    }
}

/// A label key, with errors at `path`.
pub fn label_name(e: &mut Errors, key: &str, path: &Path) {
    for message in names::qualified_name(key) {
        e.push(FieldError::invalid(path, &json!(key), &message));
    }
}

/// Annotation keys and their total size.
pub fn annotations(e: &mut Errors, annotations: &Node<'_>) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        for message in names::qualified_name(&key.to_lowercase()) {
            e.push(annotations.invalid_as(key, &message));
        }
        size += key.len() + value.text().len();
    }
    if size > ANNOTATIONS_MAX {
        e.push(annotations.too_long(ANNOTATIONS_MAX));
    }
}

fn owner_references(e: &mut Errors, references: &Node<'_>) {
    let mut first_controller = String::new();
    for reference in references.items() {
        // Kubernetes does not say which one.
        owner_reference(e, &reference.moved(references.path.clone()));
        if !reference.get("controller").is_true() {
            continue;
        }
        let controller = format!("{}/{}", reference.get("kind").text(), reference.get("name").text());
        if first_controller.is_empty() {
            first_controller = controller;
        } else {
            let detail = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first_controller} and {controller}"
            );
            e.push(references.invalid(&detail));
        }
    }
}

fn owner_reference(e: &mut Errors, reference: &Node<'_>) {
    let api_version = reference.get("apiVersion");
    let parsed = object::GroupVersion::parse(api_version.text()).filter(|gv| !gv.version.is_empty());
    if api_version.text().is_empty() {
        e.push(api_version.invalid_text("version must not be empty"));
    } else if parsed.is_none() {
        e.push(api_version.invalid("must be <group>/<version> or <version>"));
    }
    for field in ["kind", "name", "uid"] {
        let node = reference.get(field);
        if node.text().is_empty() {
            e.push(node.invalid_text("must not be empty"));
        }
    }
    if api_version.text() == "v1" && reference.get("kind").text() == "Event" {
        e.push(reference.invalid("/v1, Kind=Event is disallowed from being an owner"));
    }
}

fn finalizers(e: &mut Errors, finalizers: &Node<'_>) {
    let listed = finalizers.texts();
    for finalizer in &listed {
        for message in names::qualified_name(finalizer) {
            e.push(finalizers.invalid_as(*finalizer, &message));
        }
    }
    if listed.contains(&"orphan") && listed.contains(&"foregroundDeletion") {
        e.push(finalizers.invalid("finalizer orphan and foregroundDeletion cannot be both set"));
    }
}

/// Finalizers without a prefix must be Kubernetes' own.
pub fn standard_finalizers(e: &mut Errors, finalizers: &Node<'_>) {
    for finalizer in finalizers.items() {
        kube_finalizer(e, &finalizer);
    }
}

/// One finalizer without a prefix must be Kubernetes' own.
pub fn kube_finalizer(e: &mut Errors, finalizer: &Node<'_>) {
    if !finalizer.text().contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.text()) {
        e.push(finalizer.invalid("name is neither a standard finalizer name nor is it fully qualified"));
    }
}

fn managed_fields(e: &mut Errors, entries: &Node<'_>) {
    for entry in entries.items() {
        let operation = entry.get("operation");
        match operation.text() {
            "" => e.push(operation.required("must not be empty")),
            "Apply" | "Update" => {}
            _ => e.push(operation.not_supported(&["Apply", "Update"])),
        }
        let fields_type = entry.get("fieldsType");
        if !matches!(fields_type.text(), "" | "FieldsV1") {
            e.push(fields_type.invalid("must be `FieldsV1`"));
        }
        field_manager(e, &entry.get("manager"));
        if entry.get("subresource").len() > 256 {
            e.push(entry.get("subresource").too_long(256));
        }
    }
}

fn field_manager(e: &mut Errors, manager: &Node<'_>) {
    if manager.len() > 128 {
        e.push(manager.too_long(128));
    }
    for (i, c) in manager.text().char_indices().filter(|(_, c)| c.is_control()) {
        e.push(manager.invalid(&format!("invalid character U+{:04X} (at position {i})", c as u32)));
    }
}

/// What an update may do to ObjectMeta.
pub fn validate_update(e: &mut Errors, new: &Value, old: &Value, rule: NameRule) {
    let meta = Node::root(new).get("metadata");
    let old_meta = Node::root(old).get("metadata");
    if old_meta.get("deletionTimestamp").is_set() {
        no_new_finalizers(e, &meta.get("finalizers"), &old_meta.get("finalizers"));
    }
    let resource_version = meta.get("resourceVersion");
    if resource_version.text().is_empty() {
        e.push(resource_version.invalid_text("must be specified for an update"));
    }
    let generation = meta.get("generation");
    if generation.int() < old_meta.get("generation").int() {
        e.push(generation.invalid_as(generation.int(), "must not be decremented"));
    }
    for field in ["name", "namespace", "uid"] {
        if meta.get(field).text() != old_meta.get(field).text() {
            e.push(meta.get(field).invalid_text(IMMUTABLE));
        }
    }
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if !same(meta.raw(field), old_meta.raw(field)) {
            e.push(meta.get(field).invalid(IMMUTABLE));
        }
    }
    labels(e, &meta.get("labels"));
    annotations(e, &meta.get("annotations"));
    owner_references(e, &meta.get("ownerReferences"));
    managed_fields(e, &meta.get("managedFields"));
    if rule.strict_finalizers {
        standard_finalizers(e, &meta.get("finalizers"));
    }
}

fn no_new_finalizers(e: &mut Errors, new: &Node<'_>, old: &Node<'_>) {
    let old: BTreeSet<_> = old.texts().into_iter().collect();
    let extra: BTreeSet<_> = new.texts().into_iter().filter(|f| !old.contains(f)).collect();
    if !extra.is_empty() {
        let extra: Vec<_> = extra.into_iter().map(object::error::quote).collect();
        e.push(new.forbidden(&format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            extra.join(", ")
        )));
    }
}

/// The metadata of a pod template: labels and annotations only are judged.
pub fn template(e: &mut Errors, template: &Node<'_>) {
    let meta = template.get("metadata");
    labels(e, &meta.get("labels").moved(template.path.field("labels")));
    annotations(e, &meta.get("annotations").moved(template.path.field("annotations")));
}
