//! Volumes of a pod: names, one source each, and projected sources.

use super::env::{VOLUME_FIELDS, object_field, resource_field};
use super::{PodContext, volume_sources};
use crate::node::{Errors, Node, check_text};
use crate::paths::{file_mode, local_non_reserved};
use crate::selectors::label_selector;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Checks `spec.volumes`; answers the valid ones by name, which is what mounts may refer to.
pub fn validate<'a>(
    e: &mut Errors,
    volumes: &Node<'a>,
    context: PodContext<'_>,
) -> BTreeMap<&'a str, &'a Value> {
    let mut valid: BTreeMap<&str, &Value> = BTreeMap::new();
    let claim_of = |volume: &Node<'_>| format!("{}-{}", context.name, volume.get("name").text());
    let created: BTreeSet<String> = volumes
        .items()
        .filter(|v| !context.name.is_empty() && v.get("ephemeral").is_set())
        .map(|v| claim_of(&v))
        .collect();
    for volume in volumes.items() {
        let before = e.len();
        volume_sources::validate(e, &volume, context);
        let name = volume.get("name");
        if name.is_empty() {
            e.push(name.required(""));
        } else {
            check_text(e, &name, names::dns1123_label);
        }
        if valid.contains_key(name.text()) {
            e.push(name.duplicate());
        }
        if e.len() == before {
            valid.insert(name.text(), volume.value);
        }
        let claim = volume.get("persistentVolumeClaim").get("claimName");
        if claim.is_set() && created.contains(claim.text()) {
            e.push(claim.invalid("must not reference a PVC that gets created for an ephemeral volume"));
        }
    }
    valid
}

/// A `KeyToPath`.
pub fn key_to_path(e: &mut Errors, item: &Node<'_>) {
    for field in ["key", "path"] {
        if item.get(field).is_empty() {
            e.push(item.get(field).required(""));
        }
    }
    local_non_reserved(e, &item.get("path"));
    file_mode(e, &item.get("mode"));
}

/// A file of a downward API volume; errors name the volume, not the file, as upstream.
pub fn downward_file(e: &mut Errors, file: &Node<'_>) {
    if file.get("path").is_empty() {
        e.push(file.get("path").required(""));
    }
    local_non_reserved(e, &file.get("path"));
    let (field, resource) = (file.get("fieldRef"), file.get("resourceFieldRef"));
    if field.is_set() {
        object_field(e, &field, &VOLUME_FIELDS);
        if resource.is_set() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            e.push(file.invalid_as("resource", detail));
        }
    } else if resource.is_set() {
        resource_field(e, &resource, true);
    } else {
        e.push(file.required("one of fieldRef and resourceFieldRef is required"));
    }
    file_mode(e, &file.get("mode"));
}

/// A `projected` volume.
pub fn projected(e: &mut Errors, projected: &Node<'_>) {
    file_mode(e, &projected.get("defaultMode"));
    let mut paths = BTreeSet::new();
    for source in projected.get("sources").items() {
        let mut count = 0;
        for kind in ["secret", "configMap"] {
            let node = source.get(kind);
            if node.is_set() {
                count += 1;
                keys(e, &node, projected, &mut paths);
            }
        }
        let downward = source.get("downwardAPI");
        if downward.is_set() {
            count += 1;
            for item in downward.get("items").items() {
                downward_file(e, &item.moved(downward.path.clone()));
                conflict(e, item.get("path").text(), item.get("path").text(), projected, &mut paths);
            }
        }
        let token = source.get("serviceAccountToken");
        if token.is_set() {
            count += 1;
            service_account_token(e, &token, projected);
        }
        let bundle = source.get("clusterTrustBundle");
        if bundle.is_set() {
            count += 1;
            trust_bundle(e, &bundle, projected, &mut paths);
        }
        let certificate = source.get("podCertificate");
        if certificate.is_set() {
            count += 1;
            pod_certificate(e, &certificate, projected, &mut paths);
        }
        if count > 1 {
            e.push(source.forbidden("may not specify more than 1 volume type per source"));
        }
    }
}

fn keys<'a>(e: &mut Errors, source: &Node<'a>, projected: &Node<'_>, paths: &mut BTreeSet<&'a str>) {
    if source.get("name").is_empty() {
        e.push(source.get("name").required(""));
    }
    for item in source.get("items").items() {
        key_to_path(e, &item);
        conflict(e, item.get("path").text(), source.get("name").text(), projected, paths);
    }
}

fn conflict<'a>(
    e: &mut Errors,
    path: &'a str,
    shown: &str,
    projected: &Node<'_>,
    paths: &mut BTreeSet<&'a str>,
) {
    if !path.is_empty() && !paths.insert(path) {
        e.push(projected.invalid_as(shown, "conflicting duplicate paths"));
    }
}

fn service_account_token(e: &mut Errors, token: &Node<'_>, projected: &Node<'_>) {
    let seconds = token.get("expirationSeconds");
    if seconds.int() < 600 {
        e.push(seconds.invalid_as(seconds.int(), "may not specify a duration less than 10 minutes"));
    }
    if seconds.int() > 1 << 32 {
        e.push(seconds.invalid_as(seconds.int(), "may not specify a duration larger than 2^32 seconds"));
    }
    let path = token.get("path").moved(projected.path.field("path"));
    if path.is_empty() {
        e.push(path.required(""));
    } else {
        local_non_reserved(e, &path);
    }
}

fn trust_bundle<'a>(e: &mut Errors, bundle: &Node<'a>, projected: &Node<'_>, paths: &mut BTreeSet<&'a str>) {
    let (name, signer, selector) =
        (bundle.get("name"), bundle.get("signerName"), bundle.get("labelSelector"));
    match (name.is_set(), signer.is_set()) {
        (true, true) => e.push(bundle.invalid("only one of name and signerName may be used")),
        (true, false) => {
            if name.is_empty() {
                e.push(name.required("must be a valid object name"));
            }
            for message in names::dns1123_subdomain(name.text().rsplit(':').next().unwrap_or("")) {
                e.push(name.invalid_text(&format!("not a valid clustertrustbundlename: {message}")));
            }
            if selector.is_set() {
                e.push(
                    selector
                        .invalid_struct("*LabelSelector", "labelSelector must be unset if name is specified"),
                );
            }
        }
        (false, true) => {
            if signer.is_empty() {
                e.push(signer.required("must be a valid signer name"));
            }
            crate::certificates::signer_name(e, &signer);
            label_selector(e, &selector);
        }
        (false, false) => e.push(bundle.required("either name or signerName must be specified")),
    }
    if bundle.get("path").is_empty() {
        e.push(bundle.get("path").required(""));
    }
    local_non_reserved(e, &bundle.get("path"));
    conflict(e, bundle.get("path").text(), bundle.get("path").text(), projected, paths);
}

fn pod_certificate<'a>(e: &mut Errors, node: &Node<'a>, projected: &Node<'_>, paths: &mut BTreeSet<&'a str>) {
    crate::certificates::signer_name(e, &node.get("signerName"));
    const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
    if !KEY_TYPES.contains(&node.get("keyType").text()) {
        e.push(node.get("keyType").not_supported(&KEY_TYPES));
    }
    let seconds = node.get("maxExpirationSeconds");
    if seconds.number().is_some_and(|s| !(3600..=7_862_400).contains(&s)) {
        e.push(seconds.invalid("must be between 3600 and 7862400, inclusive"));
    }
    let mut any = false;
    for field in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let path = node.get(field);
        if !path.is_empty() {
            any = true;
            local_non_reserved(e, &path);
            conflict(e, path.text(), path.text(), projected, paths);
        }
    }
    if !any {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        e.push(FieldError::required(&node.path, detail));
    }
}

/// A claim template of an ephemeral volume.
pub fn claim_template(e: &mut Errors, template: &Node<'_>) {
    let meta = template.get("metadata");
    crate::metadata::annotations(e, &meta.get("annotations"));
    crate::metadata::labels(e, &meta.get("labels"));
    const OTHERS: [(&str, &str); 13] = [
        ("name", "name"),
        ("generateName", "generateName"),
        ("namespace", "namespace"),
        ("selfLink", "selfLink"),
        ("uid", "uID"),
        ("resourceVersion", "resourceVersion"),
        ("generation", "generation"),
        ("creationTimestamp", "creationTimestamp"),
        ("deletionTimestamp", "deletionTimestamp"),
        ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
        ("ownerReferences", "ownerReferences"),
        ("finalizers", "finalizers"),
        ("managedFields", "managedFields"),
    ];
    for (field, shown) in OTHERS {
        if meta.get(field).is_set() && meta.raw(field) != &json!("") && meta.raw(field) != &json!([]) {
            e.push(FieldError::forbidden(&meta.path.field(shown), "cannot be set"));
        }
    }
    crate::storage::claims::spec(e, &template.get("spec"));
}
