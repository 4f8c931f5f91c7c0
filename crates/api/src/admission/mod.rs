//! Admission: what changes or refuses a write after it was authorized. Built-in plugins first, in Kubernetes' order.

mod certificates;
mod defaults;
mod limit_ranger;
mod namespace_lifecycle;
pub(crate) mod node_restriction;
mod pod_security;
mod policies;
mod resource_quota;
mod service_account;
mod webhooks;

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
    certificates::validate(write, operation, object).await?;
    defaults::claim_resize(write, object).await?;
    policies::validate(write, operation, object).await?;
    webhooks::validate(write, operation, object).await?;
    resource_quota::charge(write, operation, object).await
}

/// Whether the write is about this core or grouped resource.
pub(crate) fn is(write: &Write<'_>, group: &str, resource: &str) -> bool {
    write.target.resource.storage.group == group && write.target.resource.storage.resource == resource
}

/// A plugin's refusal of an object, for `reason`.
pub(crate) fn refused(write: &Write<'_>, object: &Value, reason: &str) -> ApiError {
    let name = if meta::name(object).is_empty() { meta::generate_name(object) } else { meta::name(object) };
    ApiError::Forbidden { resource: write.target.group_resource(), name: name.into(), reason: reason.into() }
}
