//! Volumes, claims, classes and drivers.

use super::cells::{age, joined, len, list, quantity, row, text};
use jiff::Timestamp;
use object::{Value, meta};

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn persistent_volume(volume: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &volume["spec"];
    let claim = &spec["claimRef"];
    let claim = if claim.is_object() {
        format!("{}/{}", text(&claim["namespace"]), text(&claim["name"]))
    } else {
        String::new()
    };
    row![
        meta::name(volume),
        quantity(&spec["capacity"]["storage"]),
        access_modes(&spec["accessModes"]),
        text(&spec["persistentVolumeReclaimPolicy"]),
        phase(volume),
        claim,
        class(volume),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>"),
        text(&volume["status"]["reason"]),
        age(volume, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>"),
    ]
}

pub(super) fn persistent_volume_claim(claim: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let volume = text(&spec["volumeName"]);
    let (capacity, modes) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        (quantity(&status["capacity"]["storage"]), access_modes(&status["accessModes"]))
    };
    row![
        meta::name(claim),
        phase(claim),
        volume,
        capacity,
        modes,
        class(claim),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>"),
        age(claim, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>"),
    ]
}

fn phase(object: &Value) -> &str {
    if meta::deletion_timestamp(object).is_some() { "Terminating" } else { text(&object["status"]["phase"]) }
}

fn class(object: &Value) -> &str {
    meta::annotation(object, CLASS_ANNOTATION).unwrap_or_else(|| text(&object["spec"]["storageClassName"]))
}

/// Short names in a fixed order.
fn access_modes(modes: &Value) -> String {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| list(modes).iter().any(|m| m == mode);
    SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn name_of_class(class: &Value, annotations: &[&str]) -> String {
    let default = annotations.iter().any(|a| meta::annotation(class, a) == Some("true"));
    format!("{}{}", meta::name(class), if default { " (default)" } else { "" })
}

pub(super) fn storage_class(class: &Value, now: Timestamp) -> Vec<Value> {
    const DEFAULT: [&str; 2] =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    row![
        name_of_class(class, &DEFAULT),
        text(&class["provisioner"]),
        class["reclaimPolicy"].as_str().unwrap_or("Delete"),
        class["volumeBindingMode"].as_str().unwrap_or("Immediate"),
        class["allowVolumeExpansion"] == true,
        age(class, now),
    ]
}

pub(super) fn volume_attributes_class(class: &Value, now: Timestamp) -> Vec<Value> {
    let name = name_of_class(class, &["volumeattributesclass.alpha.kubernetes.io/is-default-class"]);
    row![name, text(&class["driverName"]), age(class, now)]
}

pub(super) fn volume_attachment(attachment: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &attachment["spec"];
    row![
        meta::name(attachment),
        text(&spec["attacher"]),
        text(&spec["source"]["persistentVolumeName"]),
        text(&spec["nodeName"]),
        attachment["status"]["attached"] == true,
        age(attachment, now),
    ]
}

pub(super) fn csi_driver(driver: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &driver["spec"];
    let tokens = if spec["tokenRequests"].is_array() {
        list(&spec["tokenRequests"]).iter().map(|t| text(&t["audience"])).collect::<Vec<_>>().join(",")
    } else {
        "<unset>".into()
    };
    let modes = joined(&spec["volumeLifecycleModes"], ",");
    row![
        meta::name(driver),
        spec["attachRequired"].as_bool().unwrap_or(true),
        spec["podInfoOnMount"] == true,
        spec["storageCapacity"] == true,
        tokens,
        spec["requiresRepublish"] == true,
        if modes.is_empty() { "<none>".into() } else { modes },
        age(driver, now),
    ]
}

pub(super) fn csi_node(node: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(node), len(&node["spec"]["drivers"]), age(node, now)]
}
