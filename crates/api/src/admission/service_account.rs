//! ServiceAccount: pods run as one, and find its token, the CA and their namespace in a projected volume.

use super::{is, refused};
use crate::failure;
use crate::pipeline::{Write, generate_name};
use crate::stored;
use object::{ApiError, Result, Value, json, meta};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) async fn admit(write: &Write<'_>, pod: &mut Value) -> Result<()> {
    if !is(write, "", "pods") {
        return Ok(());
    }
    if meta::annotation(pod, MIRROR).is_some() {
        return check_mirror(write, pod);
    }
    if pod["spec"]["serviceAccountName"].as_str().unwrap_or("").is_empty() {
        pod["spec"]["serviceAccountName"] = "default".into();
    }
    let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned();
    pod["spec"]["serviceAccount"] = name.clone().into();
    let account = account(write, pod, &name).await?;
    if should_mount(pod, &account) {
        mount_token(pod);
    }
    let secrets = &account["imagePullSecrets"];
    if pod["spec"]["imagePullSecrets"].is_null() {
        match secrets.as_array().filter(|s| !s.is_empty()) {
            Some(secrets) => pod["spec"]["imagePullSecrets"] = secrets.clone().into(),
            None => drop(pod["spec"].as_object_mut().and_then(|s| s.remove("imagePullSecrets"))),
        }
    }
    Ok(())
}

/// The image of a node's static pod knows no account and no secret: the node could not fetch them for it.
fn check_mirror(write: &Write<'_>, pod: &Value) -> Result<()> {
    if pod["spec"]["serviceAccountName"].as_str().is_some_and(|n| !n.is_empty()) {
        return Err(refused(write, pod, "a mirror pod may not reference service accounts"));
    }
    let projected = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut sources = projected.flat_map(|v| v["projected"]["sources"].as_array().into_iter().flatten());
    if sources.any(|s| s["serviceAccountToken"].is_object()) {
        return Err(refused(write, pod, "a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

async fn account(write: &Write<'_>, pod: &Value, name: &str) -> Result<Value> {
    let namespace = &write.target.at.namespace;
    let key = format!("/core/serviceaccounts/{namespace}/{name}");
    let (entry, _) = write.call.api.store.get(&key).await.map_err(failure::store)?;
    entry.as_ref().and_then(stored::decode).ok_or_else(|| {
        let reason = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
        );
        let pod_name = if meta::name(pod).is_empty() { meta::generate_name(pod) } else { meta::name(pod) };
        ApiError::Forbidden { resource: write.target.group_resource(), name: pod_name.into(), reason }
    })
}

fn should_mount(pod: &Value, account: &Value) -> bool {
    let wish = pod["spec"]["automountServiceAccountToken"].as_bool();
    wish.or(account["automountServiceAccountToken"].as_bool()).unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let name = generate_name("kube-api-access-");
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            if mounts.iter().any(|m| m["mountPath"] == MOUNT_PATH) {
                continue;
            }
            let mut mounts = mounts;
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            container["volumeMounts"] = mounts.into();
            used = true;
        }
    }
    if !used {
        return;
    }
    let mut volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    volumes.push(json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}}));
    pod["spec"]["volumes"] = volumes.into();
}
