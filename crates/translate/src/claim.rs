//! PersistentVolumeClaims: the host binds them; the tenant sees the volume they got.

use crate::{Cluster, marks, names};
use object::{Value, json, meta};

/// The host claim of a virtual one.
pub fn claim(cluster: &Cluster, claim: &Value) -> Value {
    let namespace = meta::namespace(claim);
    let mut spec = json!({});
    for field in ["accessModes", "resources", "storageClassName", "volumeMode", "volumeAttributesClassName"] {
        if let Some(value) = claim["spec"].get(field).filter(|v| !v.is_null()) {
            spec[field] = value.clone();
        }
    }
    for field in ["dataSource", "dataSourceRef"] {
        // Only claims of the same virtual namespace: anything else would name host objects.
        let source = &claim["spec"][field];
        if source["kind"] == "PersistentVolumeClaim" && source["namespace"].is_null() {
            spec[field] = json!({"kind": "PersistentVolumeClaim", "name": names::host(cluster, namespace, source["name"].as_str().unwrap_or(""))});
        }
    }
    let mut metadata = marks::metadata(cluster, claim);
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.retain(|key, _| {
            !key.starts_with("pv.kubernetes.io/") && !key.starts_with("volume.kubernetes.io/")
        });
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
}

/// What the virtual claim's status becomes.
pub fn claim_status(host: &Value) -> Value {
    host["status"].clone()
}

/// The virtual PersistentVolume that stands for the host volume a claim is bound to: enough for people and tools to see
/// what they got, nothing of how the host made it.
pub fn volume(claim: &Value, host_claim: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": host_claim["spec"]["volumeName"], "annotations": {"pv.kubernetes.io/provisioned-by": "joey.dev/host"}},
        "spec": {
            "capacity": host_claim["status"]["capacity"], "accessModes": host_claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": claim["spec"]["storageClassName"],
            "volumeMode": host_claim["spec"]["volumeMode"],
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta::namespace(claim), "name": meta::name(claim),
                "uid": meta::uid(claim),
            },
            "csi": {"driver": "host.joey.dev", "volumeHandle": host_claim["spec"]["volumeName"]},
        },
        "status": {"phase": "Bound"},
    })
}
