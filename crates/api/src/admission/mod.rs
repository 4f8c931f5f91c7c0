//! Admission: what changes or refuses a write after it was authorized. Built-in plugins first, in Kubernetes' order.

mod certificates;
pub(crate) mod defaults;
mod json_patch;
mod limit_ranger;
mod namespace_lifecycle;
pub(crate) mod node_restriction;
mod pod_security;
mod policies;
mod resource_quota;
mod service_account;
mod webhooks;

use crate::call::{Call, Target};
use crate::pipeline::Write;
use object::{ApiError, Result, Value, meta};

pub(crate) use policies::Policies;
pub(crate) use webhooks::Hooks;

/// What is being done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// Plugins that may change the object.
pub(crate) async fn mutate(write: &Write<'_>, operation: Operation, object: &mut Value) -> Result<()> {
    namespace_lifecycle::check(write, operation, object).await?;
    node_restriction::admit(write, operation, object).await?;
    if operation == Operation::Create && write.target.at.subresource.is_empty() {
        limit_ranger::mutate(write, object).await?;
        service_account::admit(write, object).await?;
        defaults::node_taint(write, object);
        defaults::priority(write, object).await?;
        defaults::tolerations(write, object);
        defaults::storage_class(write, object).await?;
        defaults::protection_finalizers(write, object);
        defaults::runtime_class(write, object).await?;
        defaults::ingress_class(write, object).await?;
    }
    if is(write, "", "pods") && write.target.at.subresource.is_empty() {
        let node = object["spec"]["nodeName"].as_str().unwrap_or("").to_owned();
        defaults::topology_labels(write.call, &node, object).await?;
    }
    if operation == Operation::Update && write.target.at.subresource.is_empty() {
        defaults::keep_priority(write, object);
        defaults::tolerations(write, object);
    }
    policies::mutate(write, operation, object).await?;
    webhooks::mutate(write, operation, object).await
}

/// Plugins that may only refuse.
pub(crate) async fn validate(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    if operation == Operation::Delete {
        namespace_lifecycle::check_delete(write)?;
        node_restriction::admit(write, operation, object).await?;
        policies::validate(write, operation, object).await?;
        return webhooks::validate(write, operation, object).await;
    }
    limit_ranger::validate(write, operation, object).await?;
    pod_security::validate(write, operation, object).await?;
    defaults::one_default_priority_class(write, object).await?;
    defaults::overhead(write, object).await?;
    certificates::validate(write, operation, object).await?;
    defaults::claim_resize(write, object).await?;
    policies::validate(write, operation, object).await?;
    webhooks::validate(write, operation, object).await?;
    resource_quota::charge(write, operation, object).await
}

/// Plugins that may refuse a connection to what runs. `options` are what is asked of it.
///
/// # Errors
/// When one refuses. What a mutating webhook would change in the options is not taken up.
pub(crate) async fn connect(call: &Call, target: &Target, options: &Value) -> Result<()> {
    let write = Write { call, target, old: None };
    webhooks::mutate(&write, Operation::Connect, &mut options.clone()).await?;
    policies::validate(&write, Operation::Connect, options).await?;
    webhooks::validate(&write, Operation::Connect, options).await
}

/// Whether the write is about this core or grouped resource.
pub(crate) fn is(write: &Write<'_>, group: &str, resource: &str) -> bool {
    write.target.resource.storage.group == group && write.target.resource.storage.resource == resource
}

/// A plugin's refusal of an object, for `reason`.
pub(crate) fn refused(write: &Write<'_>, object: &Value, reason: &str) -> ApiError {
    let names = [write.target.at.name.as_str(), meta::name(object), meta::generate_name(object)];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or("");
    ApiError::Forbidden { resource: write.target.group_resource(), name: name.into(), reason: reason.into() }
}
