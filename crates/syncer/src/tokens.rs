//! Service-account tokens of pods: short-lived, bound to the pod, in a host Secret that the pod mounts, renewed in time.

use crate::queue::{Key, Kind};
use crate::resources::{SECRETS, SERVICE_ACCOUNTS};
use crate::syncer::Shared;
use client::{DeleteOptions, Patch};
use object::{ApiError, Map, Result, Value, json, meta};
use std::time::Duration;
use tokio::time::Instant;
use translate::marks;

/// The host Secret of a pod's tokens. Its form cannot be that of a translated name.
pub(crate) fn secret_name(pod: &Value) -> String {
    format!("joey-token-{}", meta::uid(pod))
}

/// The pod's projected token sources, in order.
fn sources(pod: &Value) -> Vec<Value> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let projected = volumes.flat_map(|v| v["projected"]["sources"].as_array().into_iter().flatten());
    projected.filter_map(|s| s.get("serviceAccountToken").cloned()).collect()
}

/// Makes the Secret with the pod's tokens.
pub(crate) async fn ensure(shared: &Shared, pod: &Value) -> Result<()> {
    let sources = sources(pod);
    if sources.is_empty() {
        return Ok(());
    }
    let (data, seconds) = request(shared, pod, &sources).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": data,
        "metadata": {
            "name": secret_name(pod), "namespace": shared.host_namespace(),
            "labels": {marks::CLUSTER: shared.cluster.name, marks::NAMESPACE: meta::namespace(pod)},
        },
    });
    match shared.host.client.create(&SECRETS, &secret).await {
        Ok(_) => {}
        Err(ApiError::AlreadyExists { .. }) => write(shared, pod, data).await?,
        Err(error) => return Err(error),
    }
    schedule(shared, pod, seconds);
    Ok(())
}

/// Tokens by key, and the seconds until the first of them ends.
async fn request(shared: &Shared, pod: &Value, sources: &[Value]) -> Result<(Map<String, Value>, u64)> {
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
    let mut data = Map::new();
    let mut shortest = u64::MAX;
    for (i, source) in sources.iter().enumerate() {
        let seconds = source["expirationSeconds"].as_i64().unwrap_or(3600).max(600);
        let mut spec = json!({
            "expirationSeconds": seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta::name(pod), "uid": meta::uid(pod)},
        });
        if let Some(audience) = source["audience"].as_str() {
            spec["audiences"] = json!([audience]);
        }
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let granted = shared
            .client
            .create_subresource(&SERVICE_ACCOUNTS, meta::namespace(pod), account, "token", &body)
            .await?;
        data.insert(format!("token-{i}"), granted["status"]["token"].clone());
        shortest = shortest.min(seconds.unsigned_abs());
    }
    Ok((data, shortest))
}

async fn write(shared: &Shared, pod: &Value, data: Map<String, Value>) -> Result<()> {
    let patch = Patch::Merge(json!({"stringData": data}));
    shared.host.client.patch(&SECRETS, shared.host_namespace(), &secret_name(pod), "", &patch).await.map(drop)
}

/// Renewal is due at four fifths of a token's life, as kubelets do it.
fn schedule(shared: &Shared, pod: &Value, seconds: u64) {
    let delay = Duration::from_secs(seconds / 5 * 4);
    shared.tokens.lock().insert(meta::uid(pod).to_owned(), Instant::now() + delay);
    shared.queue.add_later(Key::new(Kind::Pod, meta::namespace(pod), meta::name(pod)), delay);
}

/// The host pod owns the Secret: it goes with it.
pub(crate) async fn adopt(shared: &Shared, pod: &Value, host: &Value) -> Result<()> {
    if sources(pod).is_empty() {
        return Ok(());
    }
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": meta::name(host), "uid": meta::uid(host)});
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": [owner]}}));
    match shared.host.client.patch(&SECRETS, shared.host_namespace(), &secret_name(pod), "", &patch).await {
        Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Renews the tokens of a pod if that is due, and takes up the schedule after a restart.
pub(crate) async fn renew(shared: &Shared, pod: &Value) -> Result<()> {
    let sources = sources(pod);
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if sources.is_empty() || ended || meta::deletion_timestamp(pod).is_some() {
        return Ok(());
    }
    let due = shared.tokens.lock().get(meta::uid(pod)).is_none_or(|at| *at <= Instant::now());
    if !due {
        return Ok(());
    }
    let (data, seconds) = request(shared, pod, &sources).await?;
    match write(shared, pod, data).await {
        Ok(()) => schedule(shared, pod, seconds),
        Err(ApiError::NotFound { .. }) => ensure(shared, pod).await?,
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The pod is gone. Its Secret goes with the host pod; one whose pod was never made is removed here.
pub(crate) async fn forget(shared: &Shared, pod: &Value) -> Result<()> {
    shared.tokens.lock().remove(meta::uid(pod));
    if sources(pod).is_empty() {
        return Ok(());
    }
    let options = DeleteOptions::default();
    match shared.host.client.delete(&SECRETS, shared.host_namespace(), &secret_name(pod), &options).await {
        Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
