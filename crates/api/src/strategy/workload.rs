//! Small preparations of workload, node and volume objects.

use crate::call::Call;
use object::{Value, json, meta};

/// Leases are coordinated by their holders alone.
pub(super) fn lease_create(_: &Call, object: &mut Value) {
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("strategy");
        spec.remove("preferredHolder");
    }
}

pub(super) fn volume_create(call: &Call, object: &mut Value) {
    object["status"] = json!({"phase": "Pending", "lastPhaseTransitionTime": object::time::format(call.now)});
}

pub(super) fn claim_create(_: &Call, object: &mut Value) {
    object["status"] = json!({"phase": "Pending"});
    let Some(spec) = object["spec"].as_object_mut() else { return };
    if spec.get("dataSource").is_some_and(|source| !is_volume_source(source)) {
        spec.remove("dataSource");
    }
    // The one field says what the other does, as long as it can.
    match (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned()) {
        (Some(source), None) => drop(spec.insert("dataSourceRef".into(), source)),
        (None, Some(source)) if source["namespace"].is_null() => {
            drop(spec.insert("dataSource".into(), source))
        }
        _ => {}
    }
}

/// Claims and snapshots: what `dataSource` took before there was `dataSourceRef`.
fn is_volume_source(source: &Value) -> bool {
    let text = |key: &str| source[key].as_str().unwrap_or("");
    matches!(
        (text("apiGroup"), text("kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// A `dataSourceRef` that the client did not send.
pub(super) fn hide_derived_source(call: &Call, object: &mut Value) {
    let sent: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let copied = sent["spec"]["dataSource"].is_object() && sent["spec"]["dataSourceRef"].is_null();
    if let Some(spec) = object["spec"].as_object_mut().filter(|_| copied) {
        spec.remove("dataSourceRef");
    }
}

/// A node's status changes through its subresource only.
pub(super) fn node_update(_: &Call, subresource: &str, object: &mut Value, old: &Value) {
    if subresource.is_empty() {
        super::copy_field(object, old, "status");
    }
}

/// A job without a selector of its own gets one by its uid, and pods that carry it.
pub(super) fn job_create(call: &Call, object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (meta::name(object).to_owned(), meta::uid(object).to_owned());
    let pairs = [
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
    ];
    for (key, value) in pairs {
        let labels = meta::child_mut(&mut object["spec"]["template"], "metadata");
        let labels = labels.entry("labels").or_insert_with(|| json!({}));
        if labels.get(key).is_none() {
            labels[key] = value.clone().into();
        }
    }
    object["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid.into();
    // A job that is sent without labels has those of its pods, also the ones that pods get here.
    let sent: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let unlabelled = sent.is_object() && meta::labels(&sent).next().is_none();
    if unlabelled || meta::labels(object).next().is_none() {
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        meta::set(object, "labels", labels);
    }
}

/// A deployment's controller also acts on its annotations, so a change of those counts like one of the spec.
pub(super) fn deployment_update(_: &Call, subresource: &str, object: &mut Value, old: &Value) {
    let annotations = |o: &Value| o["metadata"]["annotations"].clone();
    if subresource.is_empty() && object["spec"] == old["spec"] && annotations(object) != annotations(old) {
        meta::set(object, "generation", meta::generation(old) + 1);
    }
}

/// The annotation that counted a daemon set's templates before generations did; old clients still read it.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn daemon_set_create(_: &Call, object: &mut Value) {
    let generation = meta::annotation(object, TEMPLATE_GENERATION).and_then(|g| g.parse::<i64>().ok());
    meta::set_annotation(object, TEMPLATE_GENERATION, &generation.unwrap_or(0).max(1).to_string());
}

pub(super) fn daemon_set_update(_: &Call, subresource: &str, object: &mut Value, old: &Value) {
    if !subresource.is_empty() {
        return;
    }
    let held = meta::annotation(old, TEMPLATE_GENERATION).and_then(|g| g.parse::<i64>().ok()).unwrap_or(0);
    let changed = object["spec"]["template"] != old["spec"]["template"];
    let generation = if changed { held + 1 } else { held };
    if generation > 0 {
        meta::set_annotation(object, TEMPLATE_GENERATION, &generation.to_string());
    }
}

/// It is a number, and 0 where a client says nothing.
pub(super) fn show_template_generation(object: &mut Value) {
    if meta::annotation(object, TEMPLATE_GENERATION).is_none() {
        meta::set_annotation(object, TEMPLATE_GENERATION, "0");
    }
}

pub(super) fn hide_template_generation(object: &mut Value) {
    let Some(annotations) = object["metadata"].get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    annotations.remove(TEMPLATE_GENERATION);
    if annotations.is_empty() {
        meta::unset(object, "annotations");
    }
}
