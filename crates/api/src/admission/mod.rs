//! Admission: what changes or refuses a write after it was authorized. Built-in plugins first, in Kubernetes' order.

mod defaults;
mod namespace_lifecycle;
mod service_account;

use crate::pipeline::Write;
use object::{Result, Value};

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
    if operation == Operation::Create && write.target.at.subresource.is_empty() {
        service_account::admit(write, object).await?;
        defaults::tolerations(write, object);
        defaults::priority(write, object).await?;
        defaults::storage_class(write, object).await?;
        defaults::protection_finalizers(write, object);
        defaults::ingress_class(write, object).await?;
    }
    Ok(())
}

/// Plugins that may only refuse.
pub(crate) async fn validate(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    if operation == Operation::Delete {
        namespace_lifecycle::check_delete(write)?;
    }
    let _ = object;
    Ok(())
}

/// Whether the write is about this core or grouped resource.
pub(crate) fn is(write: &Write<'_>, group: &str, resource: &str) -> bool {
    write.target.resource.storage.group == group && write.target.resource.storage.resource == resource
}
