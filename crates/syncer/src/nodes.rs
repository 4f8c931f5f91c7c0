//! Nodes and storage classes: the host's, shown read-only.

use crate::resources::{NODES, STORAGE_CLASSES};
use crate::syncer::Shared;
use client::DeleteOptions;
use object::{ApiError, Result, Value, json, meta};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) async fn sync(shared: &Shared, name: &str) -> Result<()> {
    if !shared.nodes {
        return Ok(());
    }
    let usable = |host: &Arc<Value>| translate::may_use(&shared.cluster.policy, host);
    let Some(host) = shared.host.nodes.get(&NODES, "", name).filter(usable) else {
        return gone(shared.client.delete(&NODES, "", name, &DeleteOptions::default()).await);
    };
    let wanted = translate::node(&host);
    let held = match shared.client.find(&NODES, "", name).await? {
        None => shared.client.create(&NODES, &wanted).await?,
        Some(held) => held,
    };
    // What the tenant labels is the tenant's; what the host says comes on top. Taints are the host's alone: a node starts out
    // tainted until somebody says that it is ready, and the host has said so.
    let mut changed = held.clone();
    for (key, value) in meta::labels(&wanted) {
        meta::set_label(&mut changed, key, value);
    }
    for field in ["taints", "unschedulable"] {
        match wanted["spec"].get(field).filter(|v| !v.is_null()) {
            Some(value) => changed["spec"][field] = value.clone(),
            None => drop(changed["spec"].as_object_mut().and_then(|s| s.remove(field))),
        }
    }
    let node = if changed == held { held } else { shared.client.update(&NODES, &changed).await? };
    if node["status"]["conditions"] != wanted["status"]["conditions"]
        || node["status"]["capacity"] != wanted["status"]["capacity"]
    {
        let mut node = node;
        node["status"] = wanted["status"].clone();
        shared.client.update_status(&NODES, &node).await?;
    }
    Ok(())
}

impl Shared {
    /// The keys of the taints of the nodes that this virtual cluster's pods may be on.
    pub fn taints(&self) -> BTreeSet<String> {
        let nodes = self.host.nodes.values(&NODES, "");
        let usable = nodes.iter().filter(|node| translate::may_use(&self.cluster.policy, node));
        usable.flat_map(|node| translate::taint_keys(node)).map(str::to_owned).collect()
    }
}

pub(crate) async fn sync_storage_class(shared: &Shared, name: &str) -> Result<()> {
    if !shared.nodes {
        return Ok(());
    }
    let usable = |_: &Arc<Value>| shared.cluster.policy.has_storage_class(name);
    let Some(host) = shared.host.nodes.get(&STORAGE_CLASSES, "", name).filter(usable) else {
        return gone(shared.client.delete(&STORAGE_CLASSES, "", name, &DeleteOptions::default()).await);
    };
    if shared.client.find(&STORAGE_CLASSES, "", name).await?.is_some() {
        return Ok(());
    }
    let mut class: Value = (*host).clone();
    class["metadata"] = json!({"name": name, "annotations": host["metadata"]["annotations"], "labels": host["metadata"]["labels"]});
    class["parameters"] = Value::Null;
    match shared.client.create(&STORAGE_CLASSES, &class).await {
        Ok(_) | Err(ApiError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn gone(outcome: Result<Value>) -> Result<()> {
    match outcome {
        Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
