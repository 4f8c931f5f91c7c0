//! What kinds do differently on their way to the store. [`of`] is the table; a kind whose behaviour does not fit a column has
//! a small file of its own, named after it.

mod certificate_signing_request;
mod custom_resource_definition;
mod namespace;
mod pod;
mod rules;
mod service;
mod service_families;
mod small;
mod workload;

use crate::call::{Call, Target};
use crate::pipeline::Write;
use crate::respond::Outgoing;
use crate::{definitions, settle};
use object::{Result, Value, meta};

pub(crate) use rules::{Dependents, Rules, of};
pub(crate) use service::{Allocation, needs_health_port};

/// Fills in and takes away what clients do not decide, before validation of a new object.
pub(crate) fn prepare_create(write: &Write<'_>, object: &mut Value) {
    let rules = of(&write.target.resource);
    if !write.target.resource.custom {
        kinds::drop_disabled(object, None);
    }
    if let Some(initial) = rules.generation.initial() {
        meta::set(object, "generation", initial);
    }
    if rules.resets_status && write.target.resource.subresource("status").is_some() {
        reset_status(write, object);
    }
    if let Some(prepare) = rules.prepare_create {
        prepare(write.call, object);
    }
}

/// As [`prepare_create`], for a change of the object itself or of one of its subresources.
pub(crate) fn prepare_update(write: &Write<'_>, object: &mut Value, old: &Value) {
    let target = write.target;
    let rules = of(&target.resource);
    if !target.resource.custom {
        kinds::drop_disabled(object, Some(old));
    }
    match target.at.subresource.as_str() {
        // The scheduler's word changes the pod in place.
        "binding" => return,
        "status" => keep_all_but_status(object, old, rules),
        "approval" => {}
        _ => {
            if target.resource.subresource("status").is_some() && rules.resets_status {
                copy_field(object, old, "status");
            }
        }
    }
    meta::set(object, "generation", meta::generation(old));
    if rules.generation.changed(object, old) {
        meta::set(object, "generation", meta::generation(old) + 1);
    } else if meta::generation(old) == 0 {
        meta::unset(object, "generation");
    }
    if let Some(prepare) = rules.prepare_update {
        prepare(write.call, &target.at.subresource, object, old);
    }
}

/// A status update changes the status; of the metadata only what the kind's row lets through.
fn keep_all_but_status(object: &mut Value, old: &Value, rules: &Rules) {
    let status = object["status"].take();
    let metadata = object["metadata"].take();
    let mut kept = old.clone();
    if status.is_null() {
        if let Some(map) = kept.as_object_mut() {
            map.remove("status");
        }
    } else {
        kept["status"] = status;
    }
    kept["metadata"] = metadata;
    for field in rules.status_keeps {
        match old["metadata"].get(*field) {
            Some(value) => meta::set(&mut kept, field, value.clone()),
            None => meta::unset(&mut kept, field),
        }
    }
    *object = kept;
}

pub(crate) fn copy_field(object: &mut Value, from: &Value, field: &str) {
    let Some(map) = object.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => map.insert(field.to_owned(), value.clone()),
        None => map.remove(field),
    };
}

fn reset_status(write: &Write<'_>, object: &mut Value) {
    let zero = write.target.resource.schema.get().field("status").map(schema::decode::zero);
    if let Some(map) = object.as_object_mut() {
        match zero.filter(|_| !write.target.resource.custom) {
            Some(zero) => map.insert("status".into(), zero),
            None => map.remove("status"),
        };
    }
}

/// Adds what Kubernetes derives when it converts an object from a request.
pub(crate) fn derive(object: &mut Value) {
    if object["kind"] == "DaemonSet" {
        workload::show_template_generation(object);
    }
}

/// Takes away from a new object what Kubernetes derives only after it was told who owns which field.
pub(crate) fn underive_new(call: &Call, object: &mut Value) {
    if object["kind"] == "PersistentVolumeClaim" {
        workload::hide_derived_source(call, object);
    }
}

/// Takes away metadata that Kubernetes derives when it shows a whole object, and so does not show alone.
pub(crate) fn hide_derived_metadata(object: &mut Value) {
    if object["kind"] == "DaemonSet" {
        workload::hide_template_generation(object);
    }
}

/// Takes addresses and ports for an object about to be stored.
pub(crate) async fn allocate(write: &Write<'_>, object: &mut Value) -> Result<Allocation> {
    service::allocate(write, object).await
}

/// What follows from a write that is stored.
///
/// # Errors
/// When the store fails.
pub(crate) async fn after_write(call: &Call, target: &Target) -> Result<()> {
    Box::pin(settle::after(call, target)).await
}

/// Gives back what an updated object no longer holds.
pub(crate) async fn after_update(
    call: &Call,
    target: &Target,
    old: &Value,
    outcome: &Result<Option<Outgoing>>,
) {
    if let Ok(Some(Outgoing::Value(new) | Outgoing::Written(new, _))) = outcome {
        service::release_dropped(call, target, new, old).await;
    }
}

/// Gives back what an object held that is gone.
pub(crate) async fn after_delete(call: &Call, target: &Target, object: &Value) {
    service::release(call, target, object).await;
    definitions::object_removed(call, target).await;
    if let Err(error) = Box::pin(settle::after(call, target)).await {
        tracing::warn!(%error, "a status was not brought up to date");
    }
}

pub(crate) use custom_resource_definition::FINALIZER as DEFINITION_FINALIZER;
pub(crate) use pod::qos_class;
