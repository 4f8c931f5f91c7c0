//! A stateful set's status.

use super::{identity, replicas, selector};
use crate::common::{owners, pods};
use crate::plan::{Action, Finish, Key};
use crate::resources::{PODS, STATEFUL_SETS};
use crate::workloads::int;
use crate::workloads::revisions::HASH_LABEL;
use client::Cache;
use jiff::Timestamp;
use object::meta;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Writes the status at the end; `revisions` are the names of the current and the update revision.
pub(super) fn finish(key: Key, revisions: (String, String), now: Timestamp) -> Finish {
    Box::new(move |cache, _| {
        let Some(set) = cache.get(&STATEFUL_SETS, &key.namespace, &key.name) else { return vec![] };
        let status = count(&set, &members(cache, &set), &revisions, now);
        if status == set["status"] {
            return vec![];
        }
        let mut next = (*set).clone();
        next["status"] = status;
        vec![Action::update_status(&STATEFUL_SETS, next)]
    })
}

fn members(cache: &Cache, set: &Value) -> Vec<Arc<Value>> {
    let selector = selector(set);
    let owned = cache.owned_by(&PODS, meta::uid(set));
    let member = |pod: &&Arc<client::Entry>| {
        owners::matches(&selector, pod) && identity::ordinal(meta::name(set), &pod.name).is_some()
    };
    owned.iter().filter(member).filter_map(|pod| pod.value()).collect()
}

fn count(set: &Value, members: &[Arc<Value>], (current, update): &(String, String), now: Timestamp) -> Value {
    let min_ready = int(&set["spec"]["minReadySeconds"]);
    let runs = |pod: &Value| pod["status"]["phase"] == "Running" && pods::is_ready(pod);
    let of = |pod: &Value, revision: &str| {
        meta::deletion_timestamp(pod).is_none() && meta::label(pod, HASH_LABEL) == Some(revision)
    };
    let number = |test: &dyn Fn(&Value) -> bool| members.iter().filter(|pod| test(pod)).count();
    let ready = number(&runs);
    let updated = number(&|pod| of(pod, update));
    let done = set["spec"]["updateStrategy"]["type"] != "OnDelete"
        && updated == members.len()
        && ready == members.len()
        && members.len() as i64 == replicas(set);
    let current = if done { update } else { current };
    let mut status = Map::new();
    status.insert("observedGeneration".into(), meta::generation(set).into());
    status.insert("replicas".into(), members.len().into());
    status.insert(
        "availableReplicas".into(),
        number(&|pod| runs(pod) && pods::is_available(pod, min_ready, now)).into(),
    );
    for (field, value) in [
        ("readyReplicas", ready),
        ("currentReplicas", number(&|pod| of(pod, current))),
        ("updatedReplicas", updated),
    ] {
        if value > 0 {
            status.insert(field.into(), value.into());
        }
    }
    status.insert("currentRevision".into(), current.as_str().into());
    status.insert("updateRevision".into(), update.as_str().into());
    status.insert("collisionCount".into(), int(&set["status"]["collisionCount"]).into());
    if let Some(conditions) = set["status"].get("conditions") {
        status.insert("conditions".into(), conditions.clone());
    }
    status.into()
}
