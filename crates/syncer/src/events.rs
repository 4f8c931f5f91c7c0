//! Events: what the host says of host objects is told again about the virtual ones; what joey has to say is said there too.

use crate::resources::EVENTS;
use crate::syncer::Shared;
use object::{ApiError, Result, Value, json, meta};
use translate::marks;

/// Brings a host event over.
pub(crate) async fn sync(shared: &Shared, name: &str) -> Result<()> {
    let Some(event) = shared.watched.cache.get(&EVENTS, shared.host_namespace(), name) else { return Ok(()) };
    let Some(involved) = shared.watched.involved(&event) else { return Ok(()) };
    let Some(origin) = marks::origin(&shared.cluster, &involved) else { return Ok(()) };
    let told = translate::event(&origin, meta::name(&involved), shared.host_namespace(), &event);
    match shared.client.create(&EVENTS, &told).await {
        Ok(_) => Ok(()),
        Err(ApiError::AlreadyExists { .. }) => shared.client.update(&EVENTS, &told).await.map(drop),
        // The namespace is on its way out: nobody is left to read it.
        Err(ApiError::NotFound { .. } | ApiError::Forbidden { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Tells the tenant, once in this process, why an object is not carried over.
pub(crate) async fn refused(shared: &Shared, about: &Value, reason: &str, message: &str) -> Result<()> {
    if !shared.told.lock().insert((meta::uid(about).to_owned(), message.to_owned())) {
        return Ok(());
    }
    record(shared, about, "Warning", reason, message).await
}

/// Records an event of the syncer's own about a virtual object.
pub(crate) async fn record(
    shared: &Shared,
    about: &Value,
    kind: &str,
    reason: &str,
    message: &str,
) -> Result<()> {
    let now = object::time::format(object::time::now());
    let suffix = format!("{:x}", object::time::now().as_nanosecond());
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("{}.{suffix}", meta::name(about)), "namespace": meta::namespace(about)},
        "involvedObject": {
            "apiVersion": about["apiVersion"].as_str().unwrap_or("v1"), "kind": about["kind"].as_str().unwrap_or("Pod"),
            "namespace": meta::namespace(about), "name": meta::name(about), "uid": meta::uid(about),
        },
        "type": kind, "reason": reason, "message": message, "count": 1, "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": "joey-syncer"}, "reportingComponent": "joey-syncer", "reportingInstance": "",
    });
    match shared.client.create(&EVENTS, &event).await {
        Ok(_) | Err(ApiError::NotFound { .. } | ApiError::Forbidden { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
