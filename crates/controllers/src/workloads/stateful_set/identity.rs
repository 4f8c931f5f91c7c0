//! What the pod and the claims of an ordinal look like.

use crate::common::pods;
use object::meta;
use serde_json::{Value, json};

use crate::workloads::revisions::HASH_LABEL;

const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The ordinal in the name of a set's pod.
pub(super) fn ordinal(set: &str, pod: &str) -> Option<i64> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    digits.parse().ok().filter(|ordinal| *ordinal >= 0 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The pod of an ordinal, of this template.
pub(super) fn pod(set: &Value, template: &Value, revision: &str, ordinal: i64) -> Value {
    let mut pod = pods::from_template(template, set);
    let name = format!("{}-{ordinal}", meta::name(set));
    meta::set(&mut pod, "name", name.as_str());
    meta::set_label(&mut pod, HASH_LABEL, revision);
    identify(set, &mut pod, ordinal);
    pod["spec"]["hostname"] = name.into();
    if let Some(service) = set["spec"]["serviceName"].as_str().filter(|name| !name.is_empty()) {
        pod["spec"]["subdomain"] = service.into();
    }
    pod
}

/// Puts names, labels and claims right.
pub(super) fn identify(set: &Value, pod: &mut Value, ordinal: i64) {
    let name = format!("{}-{ordinal}", meta::name(set));
    meta::set_label(pod, POD_NAME_LABEL, &name);
    meta::set_label(pod, POD_INDEX_LABEL, &ordinal.to_string());
    let mut volumes: Vec<Value> = claim_templates(set)
        .map(|template| {
            json!({"name": meta::name(template), "persistentVolumeClaim": {"claimName": claim_name(set, template, ordinal)}})
        })
        .collect();
    let claimed: Vec<_> = volumes.iter().map(|volume| volume["name"].clone()).collect();
    if claimed.is_empty() {
        return;
    }
    let others = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.extend(others.filter(|volume| !claimed.contains(&volume["name"])).cloned());
    pod["spec"]["volumes"] = volumes.into();
}

/// Whether a pod is named, labelled and furnished as its ordinal demands.
pub(super) fn matches(set: &Value, pod: &Value, ordinal: i64) -> bool {
    let name = format!("{}-{ordinal}", meta::name(set));
    let labelled =
        meta::label(pod, POD_NAME_LABEL) == Some(&*name) && meta::label(pod, POD_INDEX_LABEL).is_some();
    let volumes = pod["spec"]["volumes"].as_array();
    let furnished = claim_templates(set).all(|template| {
        let claim = claim_name(set, template, ordinal);
        volumes.into_iter().flatten().any(|volume| {
            volume["name"] == template["metadata"]["name"]
                && volume["persistentVolumeClaim"]["claimName"] == *claim
        })
    });
    labelled && furnished
}

pub(super) fn claim_templates(set: &Value) -> impl Iterator<Item = &Value> {
    set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten()
}

pub(super) fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", meta::name(template), meta::name(set))
}

/// The claim of an ordinal.
pub(super) fn claim(set: &Value, template: &Value, ordinal: i64) -> Value {
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": template["spec"],
        "metadata": {"name": claim_name(set, template, ordinal), "namespace": meta::namespace(set)}});
    if template["metadata"]["annotations"].is_object() {
        claim["metadata"]["annotations"] = template["metadata"]["annotations"].clone();
    }
    for (key, value) in meta::labels(template) {
        meta::set_label(&mut claim, key, value);
    }
    for (key, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
        meta::set_label(&mut claim, key, value.as_str().unwrap_or(""));
    }
    claim
}

/// Whether claims go with the set, and with pods that are scaled away.
pub(super) fn retention(set: &Value) -> (bool, bool) {
    let policy = &set["spec"]["persistentVolumeClaimRetentionPolicy"];
    (policy["whenDeleted"] == "Delete", policy["whenScaled"] == "Delete")
}
