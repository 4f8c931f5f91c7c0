//! The replica sets of a deployment: which is the new one, which revision each has, what a new one looks like.

use crate::common::hash;
use crate::workloads::{int, scaled};
use object::meta;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::sync::Arc;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH_LABEL: &str = "pod-template-hash";
/// The longest revision history kept.
const HISTORY_BYTES: usize = 2000;
/// Annotations of a deployment that its replica sets don't get.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// A replica set, and the size that is wanted of it.
#[derive(Clone)]
pub(super) struct Set {
    pub(super) object: Arc<Value>,
    pub(super) replicas: i64,
}

impl Set {
    pub(super) fn of(object: Arc<Value>) -> Self {
        let replicas = int(&object["spec"]["replicas"]);
        Self { object, replicas }
    }

    pub(super) fn name(&self) -> &str {
        meta::name(&self.object)
    }

    pub(super) fn status(&self, field: &str) -> i64 {
        int(&self.object["status"][field])
    }

    pub(super) fn annotated(&self, key: &str) -> Option<i64> {
        meta::annotation(&self.object, key)?.parse().ok()
    }

    pub(super) fn revision(&self) -> i64 {
        self.annotated(REVISION).unwrap_or(0)
    }

    /// Older first.
    pub(super) fn by_age(a: &Self, b: &Self) -> Ordering {
        let of = |set: &Self| meta::creation_timestamp(&set.object).unwrap_or("").to_owned();
        of(a).cmp(&of(b)).then_with(|| a.name().cmp(b.name()))
    }
}

/// The number of pods wanted.
pub(super) fn replicas(deployment: &Value) -> i64 {
    deployment["spec"]["replicas"].as_i64().unwrap_or(1)
}

pub(super) fn is_rolling(deployment: &Value) -> bool {
    deployment["spec"]["strategy"]["type"] != "Recreate"
}

/// How many pods may be too many, how many may be missing. Never neither.
pub(super) fn fenceposts(deployment: &Value) -> (i64, i64) {
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let total = replicas(deployment);
    let surge = scaled(&rolling["maxSurge"], total, true);
    let unavailable = scaled(&rolling["maxUnavailable"], total, false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

pub(super) fn max_surge(deployment: &Value) -> i64 {
    if is_rolling(deployment) { fenceposts(deployment).0 } else { 0 }
}

pub(super) fn max_unavailable(deployment: &Value) -> i64 {
    let total = replicas(deployment);
    if !is_rolling(deployment) || total == 0 { 0 } else { fenceposts(deployment).1.min(total) }
}

/// Splits the sets into the one of the deployment's template (the oldest, if several) and the others.
pub(super) fn split(deployment: &Value, mut sets: Vec<Set>) -> (Option<Set>, Vec<Set>) {
    sets.sort_by(Set::by_age);
    let new = sets
        .iter()
        .position(|set| same_template(&set.object["spec"]["template"], &deployment["spec"]["template"]));
    let new = new.map(|index| sets.remove(index));
    (new, sets)
}

/// Whether two pod templates are the same but for the hash label.
pub(super) fn same_template(a: &Value, b: &Value) -> bool {
    without_hash(a) == without_hash(b)
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH_LABEL);
        if labels.is_empty() {
            meta::unset(&mut template, "labels");
        }
    }
    meta::unset(&mut template, "creationTimestamp");
    template
}

/// The revision that the new set is to have.
pub(super) fn next_revision(old: &[Set]) -> i64 {
    old.iter().map(Set::revision).max().unwrap_or(0) + 1
}

/// A set for the deployment's template, of no size yet.
pub(super) fn make(deployment: &Value, revision: i64) -> Value {
    let template = &deployment["spec"]["template"];
    let hash = hash::of(&without_hash(template), int(&deployment["status"]["collisionCount"]));
    let mut set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("{}-{hash}", meta::name(deployment)), "namespace": meta::namespace(deployment),
            "ownerReferences": [meta::controller_reference(deployment)]},
        "spec": {"replicas": 0, "selector": deployment["spec"]["selector"], "template": template}});
    let min_ready = int(&deployment["spec"]["minReadySeconds"]);
    if min_ready > 0 {
        set["spec"]["minReadySeconds"] = min_ready.into();
    }
    meta::set_label(&mut set["spec"]["template"], HASH_LABEL, &hash);
    set["metadata"]["labels"] = set["spec"]["template"]["metadata"]["labels"].clone();
    meta::child_mut(&mut set["spec"]["selector"], "matchLabels").insert(HASH_LABEL.into(), hash.into());
    annotate(deployment, &mut set, revision);
    annotate_sizes(deployment, &mut set);
    set
}

/// Gives the new set the deployment's annotations and its revision.
pub(super) fn annotate(deployment: &Value, set: &mut Value, revision: i64) {
    for (key, value) in meta::annotations(deployment) {
        if !NOT_COPIED.contains(&key) {
            meta::set_annotation(set, key, value);
        }
    }
    let before = meta::annotation(set, REVISION).unwrap_or("").to_owned();
    if before.parse::<i64>().unwrap_or(0) >= revision {
        return;
    }
    meta::set_annotation(set, REVISION, &revision.to_string());
    if before.is_empty() {
        return;
    }
    let history = match meta::annotation(set, HISTORY) {
        Some(history) if !history.is_empty() => format!("{history},{before}"),
        _ => before,
    };
    let cut = history.len().saturating_sub(HISTORY_BYTES);
    let start =
        if cut == 0 { 0 } else { history[cut..].find(',').map_or(history.len(), |comma| cut + comma + 1) };
    meta::set_annotation(set, HISTORY, &history[start..]);
}

/// Notes for which size of the deployment the set was sized: what proportional scaling starts from.
pub(super) fn annotate_sizes(deployment: &Value, set: &mut Value) {
    let wanted = replicas(deployment);
    meta::set_annotation(set, DESIRED, &wanted.to_string());
    meta::set_annotation(set, MAX, &(wanted + max_surge(deployment)).to_string());
}
