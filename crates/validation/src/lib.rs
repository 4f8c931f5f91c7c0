//! The rules of every built-in kind of Kubernetes 1.36, with Kubernetes' field paths, order and words.
//!
//! Objects come in decoded (the right JSON types), defaulted and without nulls; what comes out is what a server lists
//! under `details.causes`. Everything is a function of the new and the old object: no clock, no other objects. What needs
//! those (admission, allocation, quota) is not here. A kind is a row of [`table`]: how it is named, and what is checked
//! on creation, on update and on an update of its status.

mod admission;
mod apiservices;
mod autoscaling;
mod certificates;
mod config;
mod coordination;
mod crds;
mod diff;
mod discovery;
mod dra;
mod events;
mod expressions;
mod flowcontrol;
mod go;
mod ip;
mod metadata;
mod namespaces;
mod networking;
mod node;
mod nodes;
mod paths;
mod pod;
mod policy;
mod quotas;
mod rbac;
mod resources;
mod scheduling;
mod selectors;
mod services;
mod storage;
mod table;
mod warnings;
mod workloads;

use object::{FieldError, GroupVersionKind, Path};
use serde_json::Value;

pub use pod::resize::qos_class;
pub use warnings::{custom_warnings, warnings};

/// What is wrong with a new object of kind `gvk`. Kinds that are not built in have no rules here.
pub fn validate_create(gvk: &GroupVersionKind, object: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    if let Some(row) = table::find(gvk) {
        metadata::validate(&mut errors, object, row.name);
        (row.create)(&mut errors, object);
    }
    errors
}

/// What is wrong with replacing `old` by `new`.
pub fn validate_update(gvk: &GroupVersionKind, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    if let Some(row) = table::find(gvk) {
        changed_metadata(&mut errors, new, old, row.name);
        if row.checks_changes {
            metadata::validate_update(&mut errors, new, old, row.name);
        }
        if row.revalidates_metadata {
            metadata::validate(&mut errors, new, row.name);
        }
        (row.update)(&mut errors, new, old);
    }
    errors
}

/// What is wrong with the cluster IPs of a Service and their families, before it is given any.
pub fn service_addresses(service: &Value, old: Option<&Value>) -> Vec<FieldError> {
    services::addresses(service, old)
}

/// What is wrong with replacing the status of `old` by that of `new`.
pub fn validate_status_update(gvk: &GroupVersionKind, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    if let Some(row) = table::find(gvk) {
        update_metadata(&mut errors, new, old, row.name);
        (row.status)(&mut errors, new, old);
    }
    errors
}

/// What is wrong with an update through a Pod's `ephemeralcontainers` subresource.
pub fn validate_ephemeral_containers(new: &Value, old: &Value) -> Vec<FieldError> {
    pod_subresource(new, old, pod::update::validate_ephemeral_containers)
}

/// What is wrong with an update through a Pod's `resize` subresource.
pub fn validate_resize(new: &Value, old: &Value) -> Vec<FieldError> {
    pod_subresource(new, old, pod::resize::validate)
}

/// What is wrong with an update through a Namespace's `finalize` subresource.
pub fn validate_namespace_finalize(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    update_metadata(&mut errors, new, old, table::NAMESPACE_NAME);
    namespaces::finalize(&mut errors, new);
    errors
}

/// What is wrong with an update through a CertificateSigningRequest's `approval` subresource.
pub fn validate_approval(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    update_metadata(&mut errors, new, old, table::CLUSTER);
    certificates::approval(&mut errors, new, old);
    errors
}

/// What is wrong with the metadata of a new object of a custom kind.
pub fn validate_custom_metadata(object: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut errors = vec![];
    metadata::validate(&mut errors, object, table::custom(namespaced));
    errors
}

/// What is wrong with replacing the metadata of `old` by that of `new`, of a custom kind.
pub fn validate_custom_metadata_update(new: &Value, old: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut errors = vec![];
    update_metadata(&mut errors, new, old, table::custom(namespaced));
    errors
}

/// What is wrong with labels, or else with annotations, that a conversion webhook made.
pub fn validate_words(are_labels: bool, words: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    if are_labels {
        metadata::labels(&mut errors, &node::Node::at(words, Path::new("metadata.labels")));
    } else {
        // Upstream's path, without the s.
        metadata::annotations(&mut errors, &node::Node::at(words, Path::new("metadata.annotation")));
    }
    errors
}

fn pod_subresource(
    new: &Value,
    old: &Value,
    rules: fn(&mut Vec<FieldError>, &Value, &Value),
) -> Vec<FieldError> {
    let mut errors = vec![];
    update_metadata(&mut errors, new, old, table::POD);
    rules(&mut errors, new, old);
    errors
}

/// What may become of metadata. Kubernetes looks at it for all kinds and again for each: what is wrong is said twice.
fn update_metadata(errors: &mut Vec<FieldError>, new: &Value, old: &Value, rule: metadata::NameRule) {
    changed_metadata(errors, new, old, rule);
    metadata::validate_update(errors, new, old, rule);
}

/// What holds for the metadata of every kind.
fn changed_metadata(errors: &mut Vec<FieldError>, new: &Value, old: &Value, rule: metadata::NameRule) {
    let any =
        metadata::NameRule { check: object::names::path_segment_name, strict_finalizers: false, ..rule };
    metadata::validate(errors, new, any);
    metadata::validate_update(errors, new, old, any);
}
