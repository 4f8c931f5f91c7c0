//! Statuses that are the API server's own work: written right after the write they follow from, so that no controller runs
//! for them. What is decided here is small and looks at few objects.

use crate::call::{Call, Target};
use crate::managed::{self, Status};
use crate::{aggregation, definitions, failure, keys, stored};
use kinds::Resource;
use object::{Result, Value, json, meta};
use std::sync::Arc;
use store::{Expect, ListRequest, StoreError};

const ATTEMPTS: usize = 16;

/// What follows from a write of `target`, or from its deletion.
///
/// # Errors
/// When the store fails.
pub(crate) async fn after(call: &Call, target: &Target) -> Result<()> {
    let storage = &target.resource.storage;
    match (storage.group.as_str(), storage.resource.as_str()) {
        ("apiextensions.k8s.io", _) => definitions::settle(call, &target.at.name).await,
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => {
            flow_schema(call, &target.resource, &target.at.name).await
        }
        ("flowcontrol.apiserver.k8s.io", _) => flow_schemas(call).await,
        ("apiregistration.k8s.io", _) => aggregation::written(call, &target.at.name).await,
        _ => Ok(()),
    }
}

/// A stored object.
pub(crate) async fn get(call: &Call, key: &str) -> Result<Option<Value>> {
    let (entry, _) = call.api.store.get(key).await.map_err(failure::store)?;
    Ok(entry.as_ref().and_then(stored::decode))
}

/// Sets a condition, unless it says the same already.
pub(crate) async fn set(
    call: &Call,
    resource: &Arc<Resource>,
    name: &str,
    owner: Status,
    condition: Value,
) -> Result<()> {
    let key = keys::key(resource, "", name);
    for _ in 0..ATTEMPTS {
        let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
        let Some(entry) = entry else { return Ok(()) };
        let Some(old) = stored::decode(&entry) else { return Ok(()) };
        if meta::deletion_timestamp(&old).is_some() {
            return Ok(());
        }
        let held = old["status"]["conditions"].as_array().into_iter().flatten();
        let held = held.into_iter().find(|c| c["type"] == condition["type"]);
        let same = |field: &str| held.is_some_and(|h| h[field] == condition[field]);
        if ["status", "reason", "message"].iter().all(|f| same(f)) {
            return Ok(());
        }
        let mut condition = condition.clone();
        let since = held.filter(|_| same("status")).map(|h| h["lastTransitionTime"].clone());
        condition["lastTransitionTime"] = since.unwrap_or_else(|| object::time::format(call.now).into());
        let new = managed::with_condition(call, resource, &old, owner, condition)?;
        let write = store::Write {
            key: entry.key,
            expect: Expect::At(entry.mod_revision),
            value: Some(stored::encode(&new)),
            ttl: None,
        };
        match call.api.store.write(write).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(failure::store(error)),
        }
    }
    Ok(())
}

/// A condition without its time.
pub(crate) fn condition(kind: &str, status: bool, reason: &str, message: String) -> Value {
    json!({"type": kind, "status": if status { "True" } else { "False" }, "reason": reason, "message": message})
}

/// A flow schema dangles when its priority level does not exist.
async fn flow_schema(call: &Call, resource: &Arc<Resource>, name: &str) -> Result<()> {
    let Some(schema) = get(call, &keys::key(resource, "", name)).await? else { return Ok(()) };
    let level = schema["spec"]["priorityLevelConfiguration"]["name"].as_str().unwrap_or("");
    let key = format!("/flowcontrol.apiserver.k8s.io/prioritylevelconfigurations/{level}");
    let refers =
        format!("This FlowSchema references the PriorityLevelConfiguration object named \"{level}\"");
    let condition = match get(call, &key).await? {
        Some(_) => condition("Dangling", false, "Found", format!("{refers} and it exists")),
        None => condition("Dangling", true, "NotFound", format!("{refers} but there is no such object")),
    };
    set(call, resource, name, Status::Applied("api-priority-and-fairness-config-consumer-v1"), condition)
        .await
}

async fn flow_schemas(call: &Call) -> Result<()> {
    let registry = call.api.registry().await?;
    let Some(resource) = registry.get("flowcontrol.apiserver.k8s.io", "v1", "flowschemas") else {
        return Ok(());
    };
    let request = ListRequest { prefix: keys::prefix(resource, ""), ..Default::default() };
    let listing = call.api.store.list(request).await.map_err(failure::store)?;
    for entry in listing.entries {
        if let Some(name) = entry.key.rsplit('/').next() {
            flow_schema(call, resource, name).await?;
        }
    }
    Ok(())
}
