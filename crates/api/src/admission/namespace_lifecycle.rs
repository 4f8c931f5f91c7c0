//! NamespaceLifecycle: nothing is created in a namespace that is absent or going away, and some namespaces stay.

use super::{Operation, is};
use crate::failure;
use crate::pipeline::Write;
use crate::stored;
use object::{ApiError, GroupResource, Result, Value, meta};

const TERMINATING: &str = "Terminating";
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) async fn check(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    let namespace = &write.target.at.namespace;
    if operation != Operation::Create || namespace.is_empty() || is(write, "", "namespaces") {
        return Ok(());
    }
    // Access reviews in a namespace are questions, not objects.
    if write.target.resource.storage.group == "authorization.k8s.io" {
        return Ok(());
    }
    let (entry, _) =
        write.call.api.store.get(&format!("/core/namespaces/{namespace}")).await.map_err(failure::store)?;
    let resource = GroupResource::new("", "namespaces");
    let Some(entry) = entry else { return Err(ApiError::NotFound { resource, name: namespace.clone() }) };
    // Most writes need not know more of their namespace than that the word is not there.
    let terminating = stored::mentions(&entry.value, TERMINATING)
        && stored::decode(&entry).is_some_and(|n| n["status"]["phase"] == TERMINATING);
    if !terminating {
        return Ok(());
    }
    let reason =
        format!("unable to create new content in namespace {namespace} because it is being terminated");
    let name = if meta::name(object).is_empty() { meta::generate_name(object) } else { meta::name(object) };
    let mut status =
        ApiError::Forbidden { resource: write.target.group_resource(), name: name.into(), reason }
            .to_status();
    status["details"]["causes"] = object::json!([{
        "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace",
    }]);
    Err(ApiError::Status(Box::new(status)))
}

pub(super) fn check_delete(write: &Write<'_>) -> Result<()> {
    let name = &write.target.at.name;
    if is(write, "", "namespaces") && IMMORTAL.contains(&name.as_str()) {
        let resource = GroupResource::new("", "namespaces");
        return Err(ApiError::Forbidden {
            resource,
            name: name.clone(),
            reason: "this namespace may not be deleted".into(),
        });
    }
    Ok(())
}
