//! ConfigMaps and Secrets: only those that pods refer to go to the host, for as long as they do.

use crate::queue::{Key, Kind};
use crate::resources::{CONFIG_MAPS, SECRETS};
use crate::syncer::Shared;
use crate::{ingresses, objects, pods};
use object::{GroupVersionResource, Result, Value, meta};
use std::collections::BTreeSet;

/// The ConfigMaps and Secrets that a pod refers to: kind and name.
pub(crate) fn references(pod: &Value) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    let spec = &pod["spec"];
    let mut add = |kind: &'static str, name: &Value| {
        if let Some(name) = name.as_str().filter(|n| !n.is_empty()) {
            found.insert((kind, name.to_owned()));
        }
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for volume in list(&spec["volumes"]) {
        add("ConfigMap", &volume["configMap"]["name"]);
        add("Secret", &volume["secret"]["secretName"]);
        add("Secret", &volume["csi"]["nodePublishSecretRef"]["name"]);
        for source in list(&volume["projected"]["sources"]) {
            add("ConfigMap", &source["configMap"]["name"]);
            add("Secret", &source["secret"]["name"]);
        }
    }
    for container in list(&spec["initContainers"]).iter().chain(&list(&spec["containers"])) {
        for variable in list(&container["env"]) {
            add("ConfigMap", &variable["valueFrom"]["configMapKeyRef"]["name"]);
            add("Secret", &variable["valueFrom"]["secretKeyRef"]["name"]);
        }
        for source in list(&container["envFrom"]) {
            add("ConfigMap", &source["configMapRef"]["name"]);
            add("Secret", &source["secretRef"]["name"]);
        }
    }
    for secret in list(&spec["imagePullSecrets"]) {
        add("Secret", &secret["name"]);
    }
    found
}

/// Before a pod goes to the host, what it refers to does.
pub(crate) async fn ensure_references(shared: &Shared, pod: &Value) -> Result<()> {
    for (kind, name) in references(pod) {
        let (gvr, kind) = match kind {
            "ConfigMap" => (&CONFIG_MAPS, Kind::ConfigMap),
            _ => (&SECRETS, Kind::Secret),
        };
        carry(shared, gvr, &Key::new(kind, meta::namespace(pod), &name)).await?;
    }
    Ok(())
}

/// Makes the host object of one that is there.
pub(crate) async fn carry(shared: &Shared, gvr: &GroupVersionResource, key: &Key) -> Result<()> {
    // Only metadata is kept of them: most stay in the virtual cluster, and they may be large.
    if shared.cache.entry(gvr, &key.namespace, &key.name).is_none() {
        return Ok(());
    }
    if let Some(object) = shared.client.find(gvr, &key.namespace, &key.name).await? {
        let wanted = translate::config(&shared.cluster, &object);
        objects::put(shared, gvr, &wanted, &["data", "binaryData"]).await?;
        shared.carried.add(key.clone());
    }
    Ok(())
}

/// Whether something of its namespace that is on the host refers to it.
fn is_used(shared: &Shared, key: &Key) -> bool {
    let (namespace, name) = (&*key.namespace, &*key.name);
    pods::is_used(shared, namespace, key.kind.name(), name)
        || (key.kind == Kind::Secret && ingresses::use_secret(shared, namespace, name))
}

pub(crate) async fn sync(shared: &Shared, gvr: &GroupVersionResource, key: &Key) -> Result<()> {
    let (namespace, name) = (&*key.namespace, &*key.name);
    let carried = shared.carried.holds(key);
    match shared.cache.entry(gvr, namespace, name) {
        Some(_) if carried || is_used(shared, key) => carry(shared, gvr, key).await,
        None if carried => {
            objects::delete(shared, gvr, &shared.host_name(namespace, name)).await?;
            shared.carried.remove(key);
            Ok(())
        }
        _ => Ok(()),
    }
}
