//! Nodes, leases and the storage class: made at start, or brought up to date.

use super::{Shared, now};
use crate::{nodes, storage};
use client::Patch;
use object::{Result, Value, json, meta};

/// Makes sure that every node is there and ready.
pub(super) async fn nodes(shared: &Shared) -> Result<()> {
    for index in 0..shared.options.nodes {
        node(shared, index).await?;
    }
    Ok(())
}

async fn node(shared: &Shared, index: u16) -> Result<()> {
    let (client, gvr, options) = (&shared.client, &shared.resources.nodes, &shared.options);
    let name = options.node_name(index);
    let known = match client.find(gvr, "", &name).await? {
        Some(known) => known,
        None => client.create(gvr, &nodes::node(options, index)).await?,
    };
    let status = nodes::status(options, index, now());
    let known = client
        .patch(gvr, "", &name, "status", &Patch::Strategic(json!({"status": status})))
        .await
        .map(|mut new| {
            if meta::uid(&new).is_empty() {
                new = known.clone();
            }
            new
        })?;
    // A ready node has no business with the taint of one that is not; no other controller may be there to say so.
    if let Some(taints) = known["spec"]["taints"].as_array() {
        let left: Vec<&Value> =
            taints.iter().filter(|t| t["key"] != "node.kubernetes.io/not-ready").collect();
        if left.len() < taints.len() {
            client.patch(gvr, "", &name, "", &Patch::Merge(json!({"spec": {"taints": left}}))).await?;
        }
    }
    if let Err(error) = lease(shared, index, meta::uid(&known)).await {
        tracing::warn!(node = name, error = %error.message(), "the node's lease could not be written");
    }
    Ok(())
}

/// Renews all leases.
pub(super) async fn renew_leases(shared: &Shared) {
    for index in 0..shared.options.nodes {
        let name = shared.options.node_name(index);
        let Some(node) = shared.cache.entry(&shared.resources.nodes, "", &name) else { continue };
        if let Err(error) = lease(shared, index, &node.uid).await {
            tracing::warn!(node = name, error = %error.message(), "the node's lease could not be renewed");
        }
    }
}

async fn lease(shared: &Shared, index: u16, uid: &str) -> Result<()> {
    let lease = nodes::lease(&shared.options, index, uid, now());
    let (gvr, name) = (&shared.resources.leases, meta::name(&lease));
    let patch = Patch::Merge(json!({"spec": lease["spec"]}));
    match shared.client.patch(gvr, meta::namespace(&lease), name, "", &patch).await {
        Err(error) if error.is_not_found() => shared.client.create(gvr, &lease).await.map(drop),
        other => other.map(drop),
    }
}

/// Makes sure that the API of what is measured is listed, as a metrics server would see to. One that leads to a real
/// metrics server stays.
pub(super) async fn metrics_service(shared: &Shared) -> Result<()> {
    let service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io", "labels": {"k8s-app": "metrics-server"}},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100},
    });
    match shared.client.create(&shared.resources.api_services, &service).await {
        Err(error) if error.code() == 409 => Ok(()),
        other => other.map(drop),
    }
}

/// Makes sure that there is a storage class. One that people changed stays as it is.
pub(super) async fn storage_class(shared: &Shared) -> Result<()> {
    match shared.client.create(&shared.resources.classes, &storage::class()).await {
        Err(error) if error.code() == 409 => Ok(()),
        other => other.map(drop),
    }
}
