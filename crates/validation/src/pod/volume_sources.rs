//! Where a volume's content comes from: one check per source, for pods and for PersistentVolumes.

use super::PodContext;
use super::containers::pull_policy;
use super::volumes::{claim_template, downward_file, key_to_path, projected};
use crate::node::{Errors, Node, check_supported, check_text};
use crate::paths::{file_mode, local_descending, no_backsteps};
use crate::resources;
use object::{FieldError, names};

type Check = fn(&mut Errors, &Node<'_>);

/// A source: its field, how refusals of a second source name it, how its own errors name it, its check.
struct Source(&'static str, &'static str, &'static str, Check);

/// In the order they are looked at. Some names differ from the field's, as upstream.
const SOURCES: [Source; 31] = [
    Source("emptyDir", "emptyDir", "emptyDir", empty_dir),
    Source("hostPath", "hostPath", "hostPath", host_path),
    Source("gitRepo", "gitRepo", "gitRepo", git_repo),
    Source("gcePersistentDisk", "gcePersistentDisk", "persistentDisk", gce_disk),
    Source("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore", aws_disk),
    Source("secret", "secret", "secret", secret),
    Source("nfs", "nfs", "nfs", nfs),
    Source("iscsi", "iscsi", "iscsi", iscsi),
    Source("glusterfs", "glusterfs", "glusterfs", glusterfs),
    Source("flocker", "flocker", "flocker", flocker),
    Source("persistentVolumeClaim", "persistentVolumeClaim", "persistentVolumeClaim", claim),
    Source("rbd", "rbd", "rbd", rbd),
    Source("cinder", "cinder", "cinder", cinder),
    Source("cephfs", "cephFS", "cephfs", cephfs),
    Source("quobyte", "quobyte", "quobyte", quobyte),
    Source("downwardAPI", "downwarAPI", "downwardAPI", downward_api),
    Source("fc", "fc", "fc", fibre_channel),
    Source("flexVolume", "flexVolume", "flexVolume", flex_volume),
    Source("configMap", "configMap", "configMap", config_map),
    Source("azureFile", "azureFile", "azureFile", azure_file),
    Source("vsphereVolume", "vsphereVolume", "vsphereVolume", vsphere),
    Source("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk", photon),
    Source("portworxVolume", "portworxVolume", "portworxVolume", portworx),
    Source("azureDisk", "azureDisk", "azureDisk", azure_disk),
    Source("storageos", "storageos", "storageos", storageos),
    Source("projected", "projected", "projected", projected),
    Source("scaleIO", "scaleIO", "scaleIO", scale_io),
    Source("csi", "csi", "csi", csi),
    Source("ephemeral", "ephemeral", "ephemeral", ephemeral),
    Source("image", "image", "image", image),
    Source("local", "local", "local", local),
];

const SECOND: &str = "may not specify more than 1 volume type";

/// The source of a pod's volume.
pub fn validate(e: &mut Errors, volume: &Node<'_>, context: PodContext<'_>) {
    let mut found = false;
    for Source(field, refused, shown, check) in SOURCES.iter().filter(|s| s.0 != "local") {
        let source = volume.get(field);
        if !source.is_set() {
            continue;
        }
        if found {
            e.push(FieldError::forbidden(&volume.path.field(refused), SECOND));
            continue;
        }
        found = true;
        check(e, &source.moved(volume.path.field(shown)));
        match *field {
            "iscsi" => iscsi_initiator_length(e, volume, &source),
            "ephemeral" => ephemeral_claim_name(e, volume, context),
            "image" if context.is_pod && source.get("reference").is_empty() => {
                e.push(source.get("reference").required(""));
            }
            _ => {}
        }
    }
    if !found {
        e.push(volume.required("must specify a volume type"));
    }
}

/// The sources that a PersistentVolume may have, in the order they are looked at.
const PERSISTENT: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
];

/// The source of a PersistentVolume named `name`.
pub fn validate_persistent(e: &mut Errors, spec: &Node<'_>, name: &str) {
    let mut found = false;
    for field in PERSISTENT.into_iter().chain(["csi"]) {
        let source = spec.get(field);
        if !source.is_set() {
            continue;
        }
        let Some(Source(_, refused, shown, check)) = SOURCES.iter().find(|s| s.0 == field) else { continue };
        // Kubernetes does not count what was before a flexVolume.
        if found && field != "flexVolume" {
            e.push(FieldError::forbidden(&spec.path.field(refused), SECOND));
            continue;
        }
        found = true;
        let source = source.moved(spec.path.field(shown));
        match field {
            "csi" => persistent_csi(e, &source),
            "iscsi" => persistent_iscsi(e, &source, name),
            "local" => {
                check(e, &source);
                if !spec.get("nodeAffinity").is_set() {
                    e.push(spec.get("nodeAffinity").required("Local volume requires node affinity"));
                }
            }
            _ => check(e, &source),
        }
        persistent_references(e, field, &source);
    }
    if !found {
        e.push(spec.required("must specify a volume type"));
    }
}

/// PersistentVolumes name secrets with their namespace.
fn persistent_references(e: &mut Errors, field: &str, source: &Node<'_>) {
    let secret = source.get("secretRef");
    match field {
        "cinder" | "storageos" if secret.is_set() && secret.get("namespace").is_empty() => {
            e.push(secret.get("namespace").required(""));
        }
        "azureFile" => {
            let namespace = source.get("secretNamespace");
            if namespace.is_set() && namespace.is_empty() {
                e.push(namespace.required(""));
            }
        }
        "glusterfs" => {
            let namespace = source.get("endpointsNamespace");
            if namespace.is_set() && namespace.is_empty() {
                e.push(
                    namespace.invalid("if the endpointnamespace is set, it must be a valid namespace name"),
                );
            } else if namespace.is_set() {
                check_text(e, &namespace, names::dns1123_label);
            }
        }
        _ => {}
    }
}

const ISCSI_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                              iscsi.initiatorName is specified.";

fn iscsi_initiator_length(e: &mut Errors, volume: &Node<'_>, source: &Node<'_>) {
    let length = volume.get("name").len() + 1 + source.get("targetPortal").len();
    if source.get("initiatorName").is_set() && length > 64 {
        e.push(volume.get("name").invalid_text(ISCSI_TOO_LONG));
    }
}

fn ephemeral_claim_name(e: &mut Errors, volume: &Node<'_>, context: PodContext<'_>) {
    let name = volume.get("name");
    if context.name.is_empty() || name.is_empty() {
        return;
    }
    let claim = format!("{}-{}", context.name, name.text());
    for message in names::dns1123_subdomain(&claim) {
        e.push(name.invalid(&format!("PVC name {}: {message}", object::error::quote(&claim))));
    }
}

/// All of these must be set.
fn demand(e: &mut Errors, source: &Node<'_>, fields: &[&str]) {
    for field in fields {
        if source.get(field).is_empty() {
            e.push(source.get(field).required(""));
        }
    }
}

fn secret_name(e: &mut Errors, source: &Node<'_>) {
    let secret = source.get("secretRef");
    if secret.is_set() && secret.get("name").is_empty() {
        e.push(secret.get("name").required(""));
    }
}

fn partition(e: &mut Errors, source: &Node<'_>) {
    let partition = source.get("partition");
    if !(0..=255).contains(&partition.int()) {
        e.push(partition.invalid(&names::range_error(1, 255)));
    }
}

fn empty_dir(e: &mut Errors, source: &Node<'_>) {
    let limit = source.get("sizeLimit");
    if limit.is_set() && resources::quantity(limit.value).signum() < 0 {
        e.push(limit.forbidden("SizeLimit field must be a valid resource quantity"));
    }
}

fn host_path(e: &mut Errors, source: &Node<'_>) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    if source.get("path").is_empty() {
        e.push(source.get("path").required(""));
        return;
    }
    no_backsteps(e, &source.get("path"));
    check_supported(e, &source.get("type"), &TYPES);
}

fn git_repo(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["repository"]);
    local_descending(e, &source.get("directory"));
}

fn gce_disk(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["pdName"]);
    partition(e, source);
}

fn aws_disk(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["volumeID"]);
    partition(e, source);
}

fn secret(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["secretName"]);
    file_mode(e, &source.get("defaultMode"));
    source.get("items").items().for_each(|item| key_to_path(e, &item));
}

fn config_map(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["name"]);
    file_mode(e, &source.get("defaultMode"));
    source.get("items").items().for_each(|item| key_to_path(e, &item));
}

fn downward_api(e: &mut Errors, source: &Node<'_>) {
    file_mode(e, &source.get("defaultMode"));
    source.get("items").items().for_each(|item| downward_file(e, &item.moved(source.path.clone())));
}

fn nfs(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["server", "path"]);
    if !source.get("path").text().starts_with('/') {
        e.push(source.get("path").invalid_text("must be an absolute path"));
    }
}

/// A qualified iSCSI name: `None` for an unknown kind, otherwise whether its shape is right.
fn iscsi_shape(name: &str) -> Option<bool> {
    let exactly = |prefix: &str, count: usize| {
        name.len() == prefix.len() + 1 + count
            && name[prefix.len() + 1..].bytes().all(|b| b.is_ascii_alphanumeric())
    };
    match name.get(..3) {
        Some("iqn") => Some(is_iqn(name)),
        Some("eui") => Some(name.is_ascii() && exactly("eui", 16)),
        Some("naa") => Some(name.is_ascii() && exactly("naa", 32)),
        _ => None,
    }
}

/// `iqn.yyyy-mm.domain:anything` without `,;*&$|` and spaces.
fn is_iqn(name: &str) -> bool {
    let Some((head, tail)) = name.strip_prefix("iqn.").and_then(|n| n.split_once(':')) else { return false };
    let date = head.as_bytes();
    date.len() > 8
        && date[..7].iter().enumerate().all(|(i, b)| if i == 4 { *b == b'-' } else { b.is_ascii_digit() })
        && date[7] == b'.'
        && date[8..].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && !tail.is_empty()
        && !tail.contains(|c: char| ",;*&$|".contains(c) || c.is_whitespace())
}

/// What pods are told of a name that is of no kind. PersistentVolumes are told [`MISSHAPEN`] of it.
const UNKNOWN_KIND: &str = "must be valid format starting with iqn, eui, or naa";
const MISSHAPEN: &str = "must be valid format";

fn iscsi_name(e: &mut Errors, name: &Node<'_>, unknown: &str) {
    match iscsi_shape(name.text()) {
        None => e.push(name.invalid(unknown)),
        Some(false) => e.push(name.invalid(MISSHAPEN)),
        Some(true) => {}
    }
}

fn iscsi(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["targetPortal"]);
    iscsi_target(e, source, UNKNOWN_KIND);
    iscsi_initiator(e, source, UNKNOWN_KIND);
}

/// The same for a PersistentVolume named `name`.
fn persistent_iscsi(e: &mut Errors, source: &Node<'_>, name: &str) {
    demand(e, source, &["targetPortal"]);
    let portal = source.get("targetPortal");
    if source.get("initiatorName").is_set() && name.len() + 1 + portal.len() > 64 {
        e.push(portal.moved(source.path.field("targetportal")).invalid_text(ISCSI_TOO_LONG));
    }
    iscsi_target(e, source, MISSHAPEN);
    let secret = source.get("secretRef");
    if secret.is_set() {
        demand(e, &secret, &["name"]);
    }
    iscsi_initiator(e, source, MISSHAPEN);
}

fn iscsi_target(e: &mut Errors, source: &Node<'_>, unknown: &str) {
    demand(e, source, &["iqn"]);
    let iqn = source.get("iqn");
    if !iqn.is_empty() {
        iscsi_name(e, &iqn, unknown);
    }
    let lun = source.get("lun");
    if !(0..=255).contains(&lun.int()) {
        e.push(lun.invalid(&names::range_error(0, 255)));
    }
    let chap = source.get("chapAuthDiscovery").is_true() || source.get("chapAuthSession").is_true();
    if chap && !source.get("secretRef").is_set() {
        e.push(source.get("secretRef").required(""));
    }
}

fn iscsi_initiator(e: &mut Errors, source: &Node<'_>, unknown: &str) {
    let initiator = source.get("initiatorName").moved(source.path.field("initiatorname"));
    if initiator.is_set() {
        iscsi_name(e, &initiator, unknown);
    }
}

fn glusterfs(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["endpoints", "path"]);
}

fn flocker(e: &mut Errors, source: &Node<'_>) {
    let (name, uuid) = (source.get("datasetName"), source.get("datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        e.push(source.required("one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        e.push(
            source.invalid_as("resource", "datasetName and datasetUUID can not be specified simultaneously"),
        );
    }
    if name.text().contains('/') {
        e.push(name.invalid("must not contain '/'"));
    }
}

fn claim(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["claimName"]);
}

fn rbd(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["monitors", "image"]);
}

fn cinder(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["volumeID"]);
    secret_name(e, source);
}

fn cephfs(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["monitors"]);
}

fn quobyte(e: &mut Errors, source: &Node<'_>) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.get("registry");
    if registry.is_empty() {
        e.push(registry.required(PAIRS));
    } else if source.get("tenant").len() >= 65 {
        e.push(source.get("tenant").required("must be a UUID and may not exceed a length of 64 characters"));
    } else {
        let bad = registry.text().split(',').filter(|pair| pair.rsplit_once(':').is_none());
        e.extend(bad.map(|_| registry.invalid(PAIRS)));
    }
    demand(e, source, &["volume"]);
}

fn fibre_channel(e: &mut Errors, source: &Node<'_>) {
    let (names_, ids, lun) = (source.get("targetWWNs"), source.get("wwids"), source.get("lun"));
    if names_.is_empty() && ids.is_empty() {
        e.push(names_.required("must specify either targetWWNs or wwids, but not both"));
    }
    if !names_.is_empty() && !ids.is_empty() {
        e.push(names_.invalid("targetWWNs and wwids can not be specified simultaneously"));
    }
    if !names_.is_empty() {
        match lun.number() {
            None => e.push(lun.required("lun is required if targetWWNs is specified")),
            Some(0..=255) => {}
            Some(_) => e.push(lun.invalid(&names::range_error(0, 255))),
        }
    }
}

fn flex_volume(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["driver"]);
    for (key, option) in source.get("options").entries() {
        let domain = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            e.push(option.invalid_as(key, "kubernetes.io and k8s.io namespaces are reserved"));
        }
    }
}

fn azure_file(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["secretName", "shareName"]);
}

fn azure_disk(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["diskName", "diskURI"]);
    let (kind, uri) = (source.get("kind"), source.get("diskURI"));
    check_supported(e, &source.get("cachingMode"), &["None", "ReadOnly", "ReadWrite"]);
    check_supported(e, &kind, &["Dedicated", "Managed", "Shared"]);
    if kind.text() == "Managed" && !uri.text().starts_with("/subscriptions/") {
        let form =
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
        e.push(uri.not_supported(&[form]));
    }
    if kind.is_set() && kind.text() != "Managed" && !uri.text().starts_with("https://") {
        e.push(uri.not_supported(&[
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
        ]));
    }
}

fn vsphere(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["volumePath"]);
}

fn photon(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["pdID"]);
}

fn portworx(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["volumeID"]);
}

fn scale_io(e: &mut Errors, source: &Node<'_>) {
    demand(e, source, &["gateway", "system", "volumeName"]);
}

fn storageos(e: &mut Errors, source: &Node<'_>) {
    let name = source.get("volumeName");
    if name.is_empty() {
        e.push(name.required(""));
    } else {
        check_text(e, &name, names::dns1123_label);
    }
    crate::node::check_text_if_set(e, &source.get("volumeNamespace"), names::dns1123_label);
    secret_name(e, source);
}

fn local(e: &mut Errors, source: &Node<'_>) {
    if source.get("path").is_empty() {
        e.push(source.get("path").required(""));
    } else {
        no_backsteps(e, &source.get("path"));
    }
}

/// The name of a CSI driver, judged in lower case.
pub fn csi_driver_name(e: &mut Errors, driver: &Node<'_>) {
    if driver.is_empty() {
        e.push(driver.required(""));
        return;
    }
    if driver.len() > 63 {
        e.push(driver.too_long(63));
    }
    e.extend(names::dns1123_subdomain(&driver.text().to_lowercase()).iter().map(|m| driver.invalid_text(m)));
}

fn csi(e: &mut Errors, source: &Node<'_>) {
    csi_driver_name(e, &source.get("driver"));
    let secret = source.get("nodePublishSecretRef");
    if secret.is_set() {
        let name = secret.get("name");
        if name.is_empty() {
            e.push(name.required(""));
        } else {
            check_text(e, &name.moved(source.path.field("name")), names::dns1123_subdomain);
        }
    }
}

fn persistent_csi(e: &mut Errors, source: &Node<'_>) {
    csi_driver_name(e, &source.get("driver"));
    demand(e, source, &["volumeHandle"]);
    for field in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let secret = source.get(field);
        if secret.is_set() {
            crate::node::check_required_text(e, &secret.get("name"), names::dns1123_subdomain);
            crate::node::check_required_text(e, &secret.get("namespace"), names::dns1123_label);
        }
    }
}

fn ephemeral(e: &mut Errors, source: &Node<'_>) {
    let template = source.get("volumeClaimTemplate");
    if template.is_set() {
        claim_template(e, &template);
    } else {
        e.push(template.required(""));
    }
}

fn image(e: &mut Errors, source: &Node<'_>) {
    pull_policy(e, &source.get("pullPolicy"));
}
