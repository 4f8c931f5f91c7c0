//! Host objects that stand for virtual ones and that nobody else writes to: made, kept alike, removed.

use crate::syncer::Shared;
use client::DeleteOptions;
use object::{ApiError, GroupVersionResource, Result, Value, meta};
use translate::marks;

/// Makes the host object as `wanted` in these fields; what is there of the same name must be this virtual cluster's.
pub(crate) async fn put(
    shared: &Shared,
    gvr: &GroupVersionResource,
    wanted: &Value,
    fields: &[&str],
) -> Result<()> {
    let client = &shared.host.client;
    let Some(held) = client.find(gvr, shared.host_namespace(), meta::name(wanted)).await? else {
        return match client.create(gvr, wanted).await {
            Ok(_) | Err(ApiError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        };
    };
    let Some(origin) = marks::origin(&shared.cluster, &held) else {
        return Err(foreign(&held));
    };
    let same = meta::annotation(wanted, marks::UID_ANNOTATION) == Some(&origin.uid);
    if same && fields.iter().all(|field| held.get(*field) == wanted.get(*field)) {
        return Ok(());
    }
    client.update(gvr, wanted).await.map(drop)
}

/// Removes the host object of this name, if it is this virtual cluster's.
pub(crate) async fn delete(shared: &Shared, gvr: &GroupVersionResource, host_name: &str) -> Result<()> {
    let client = &shared.host.client;
    let Some(held) = client.find(gvr, shared.host_namespace(), host_name).await? else { return Ok(()) };
    if marks::origin(&shared.cluster, &held).is_none() {
        return Ok(());
    }
    let options = DeleteOptions::uid(meta::uid(&held));
    match client.delete(gvr, shared.host_namespace(), host_name, &options).await {
        Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What is said of a host object that has the name of one of ours.
pub(crate) fn foreign(held: &Value) -> ApiError {
    ApiError::Internal(format!("host object {} belongs to somebody else", meta::name(held)))
}
