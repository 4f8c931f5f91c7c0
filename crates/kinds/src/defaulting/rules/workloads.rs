//! Controllers of pods.

use super::{Object, absent, child, existing, is_absent, is_zero, items, text, zero};
use object::{Value, json};

pub(super) fn deployment_strategy(spec: &mut Object) {
    rolling_update(spec, "strategy", "25%".into(), "25%".into());
}

pub(super) fn daemon_set_strategy(spec: &mut Object) {
    rolling_update(spec, "updateStrategy", 1.into(), 0.into());
}

fn rolling_update(spec: &mut Object, field: &str, max_unavailable: Value, max_surge: Value) {
    let Some(strategy) = child(spec, field) else { return };
    zero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = child(strategy, "rollingUpdate")
    {
        absent(rolling, "maxUnavailable", max_unavailable);
        absent(rolling, "maxSurge", max_surge);
    }
}

pub(super) fn stateful_set_spec(spec: &mut Object) {
    if let Some(strategy) = child(spec, "updateStrategy") {
        if is_zero(strategy.get("type")) {
            strategy.insert("type".into(), "RollingUpdate".into());
            absent(strategy, "rollingUpdate", json!({}));
        }
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = existing(strategy, "rollingUpdate")
        {
            absent(rolling, "partition", 0);
        }
    }
    if let Some(retention) = child(spec, "persistentVolumeClaimRetentionPolicy") {
        zero(retention, "whenDeleted", "Retain");
        zero(retention, "whenScaled", "Retain");
    }
    // Kubernetes shows the kind of claim templates, so that appliers find it.
    for claim in items(spec, "volumeClaimTemplates") {
        claim.insert("apiVersion".into(), "v1".into());
        claim.insert("kind".into(), "PersistentVolumeClaim".into());
    }
}

/// Labels of the pod template stand in for labels and selector that are left out.
pub(super) fn replication_controller(controller: &mut Object) {
    let Some(labels) = template_labels(controller) else { return };
    if let Some(spec) = existing(controller, "spec") {
        zero(spec, "selector", labels.clone());
    }
    own_labels(controller, labels);
}

pub(super) fn job(job: &mut Object) {
    if let Some(spec) = existing(job, "spec") {
        if is_absent(spec.get("completions")) && is_absent(spec.get("parallelism")) {
            spec.insert("completions".into(), 1.into());
        }
        absent(spec, "parallelism", 1);
        let per_index = !is_absent(spec.get("backoffLimitPerIndex"));
        absent(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
        absent(spec, "completionMode", "NonIndexed");
        absent(spec, "suspend", false);
        absent(spec, "manualSelector", false);
        let fails = !is_absent(spec.get("podFailurePolicy"));
        absent(spec, "podReplacementPolicy", if fails { "Failed" } else { "TerminatingOrFailed" });
        if let Some(policy) = existing(spec, "podFailurePolicy") {
            for condition in items(policy, "rules").flat_map(|rule| items(rule, "onPodConditions")) {
                zero(condition, "status", "True");
            }
        }
    }
    if let Some(labels) = template_labels(job) {
        own_labels(job, labels);
    }
}

fn template_labels(controller: &Object) -> Option<Value> {
    let labels = controller.get("spec")?.pointer("/template/metadata/labels")?;
    labels.as_object().filter(|l| !l.is_empty()).map(|_| labels.clone())
}

fn own_labels(controller: &mut Object, labels: Value) {
    if let Some(metadata) = child(controller, "metadata") {
        zero(metadata, "labels", labels);
    }
}
