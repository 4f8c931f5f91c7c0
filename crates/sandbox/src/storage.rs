//! The storage class `standard` and the volumes made for it: in name only, nothing is stored.

use object::meta;
use serde_json::{Value, json};

/// The provisioner's name.
pub const PROVISIONER: &str = "sandbox.joey.dev/hostpath";

const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// The default storage class.
pub fn class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true,
    })
}

/// Whether a claim waits for its first pod.
pub fn waits_for_consumer(class: &Value) -> bool {
    class["volumeBindingMode"] == "WaitForFirstConsumer"
}

/// The annotation by which the scheduler tells where the first pod will be.
pub fn select_node(node: &str) -> Value {
    json!({"metadata": {"annotations": {SELECTED_NODE: node}}})
}

/// Where the first pod will be, if that is known.
pub fn selected_node(claim: &Value) -> Option<&str> {
    meta::annotation(claim, SELECTED_NODE)
}

/// The patch by which the scheduler gives a volume that is there to a claim.
pub fn claimed(volume: &Value, claim: &Value) -> Value {
    json!({
        "metadata": {
            "resourceVersion": meta::resource_version(volume),
            "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
        },
        "spec": {"claimRef": claim_reference(claim)},
    })
}

fn claim_reference(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta::namespace(claim),
        "name": meta::name(claim), "uid": meta::uid(claim),
    })
}

/// The volume for `claim`, when it is ours to make and its time has come.
pub fn volume(claim: &Value, class: &Value) -> Option<Value> {
    let bound = claim["spec"]["volumeName"].as_str().is_some_and(|v| !v.is_empty());
    let node = selected_node(claim);
    if bound || class["provisioner"] != PROVISIONER || meta::deletion_timestamp(claim).is_some() {
        return None;
    }
    if waits_for_consumer(class) && node.is_none() {
        return None;
    }
    let name = format!("pvc-{}", meta::uid(claim));
    let path = format!("/var/lib/sandbox/{}_{}_{name}", meta::namespace(claim), meta::name(claim));
    Some(json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
            "storageClassName": meta::name(class),
            "volumeMode": claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem"),
            "hostPath": {"path": path, "type": "DirectoryOrCreate"},
            "claimRef": claim_reference(claim),
        },
    }))
}

/// The patch that binds a claim to its volume.
pub fn bind(volume: &str) -> Value {
    json!({
        "metadata": {"annotations": {
            "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
            "volume.kubernetes.io/storage-provisioner": PROVISIONER,
        }},
        "spec": {"volumeName": volume},
    })
}

/// The status patch of a bound claim.
pub fn bound(volume: &Value) -> Value {
    json!({"status": {
        "phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"],
    }})
}

/// Whether the volume is ours and the claim it was made for is gone for good.
pub fn may_go(volume: &Value, claim: Option<&Value>) -> bool {
    let ours = meta::annotation(volume, "pv.kubernetes.io/provisioned-by") == Some(PROVISIONER);
    let same = claim.is_some_and(|c| volume["spec"]["claimRef"]["uid"] == *meta::uid(c));
    ours && !same
        && volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        && meta::deletion_timestamp(volume).is_none()
}
