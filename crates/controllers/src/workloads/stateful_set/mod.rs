//! StatefulSets: pods with names of their own, one after the other, each with its claims.
//!
//! [`identity`] knows what the pod and the claims of an ordinal look like, [`control`] decides what is done next, [`status`] counts.

mod control;
mod identity;
mod status;

use super::int;
use super::revisions;
use crate::common::{owners, pods};
use crate::plan::{Controller, Key, Plan};
use crate::resources::{CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, LabelSelector, meta};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct StatefulSetController;

impl Controller for StatefulSetController {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&STATEFUL_SETS, &PODS, &CONTROLLER_REVISIONS, &PERSISTENT_VOLUME_CLAIMS]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&STATEFUL_SETS) {
            let entry = change.entry();
            return add(Key::new(&entry.namespace, &entry.name));
        }
        for dependent in change.both() {
            if let Some(owner) = owners::controller_named(dependent, "StatefulSet") {
                add(Key::new(&dependent.namespace, owner));
            }
        }
        if !change.is(&PODS) {
            return;
        }
        if let Some(orphan) = change.new.as_ref().filter(|pod| pod.controller().is_none() && !pod.deleting) {
            for set in cache.list(&STATEFUL_SETS, &orphan.namespace) {
                if identity::ordinal(&set.name, &orphan.name).is_some() {
                    add(Key::new(&set.namespace, &set.name));
                }
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(set) = cache.get(&STATEFUL_SETS, &key.namespace, &key.name) else { return Plan::nothing() };
        // A pod of another name can never be one of the set's.
        let member = |pod: &client::Entry| identity::ordinal(&key.name, &pod.name).is_some();
        let claimed = owners::claim_if(cache, &PODS, &set, &selector(&set), member);
        let mut plan = Plan::of(claimed.actions);
        let all = revisions::of(cache, &set);
        let (update, action) = revisions::ensure(&set, &all, revisions::STATEFUL_HASH_LABEL);
        plan.actions.extend(action);
        let current = set["status"]["currentRevision"].as_str();
        let current = all.iter().find(|revision| Some(meta::name(revision)) == current).unwrap_or(&update);
        let members: Vec<Arc<Value>> = claimed
            .objects
            .into_iter()
            .filter(|pod| identity::ordinal(meta::name(&set), meta::name(pod)).is_some())
            .collect();
        let state = control::State { cache, set: &set, current, update: &update, now };
        if meta::deletion_timestamp(&set).is_none() {
            plan.actions.extend(state.decide(&members));
        }
        let live = |revision: &Value| {
            let name = meta::name(revision);
            name == meta::name(current)
                || name == meta::name(&update)
                || members.iter().any(|pod| meta::label(pod, revisions::HASH_LABEL) == Some(name))
        };
        plan.actions.extend(revisions::outdated(&set, &all, live));
        let min_ready = int(&set["spec"]["minReadySeconds"]);
        let waits = members
            .iter()
            .filter_map(|pod| pods::available_in(pod, min_ready, now))
            .filter(|wait| *wait > 0)
            .min();
        plan.requeue_after = waits.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        let names = (meta::name(current).to_owned(), meta::name(&update).to_owned());
        plan.finish = Some(status::finish(key.clone(), names, now));
        plan
    }
}

fn selector(set: &Value) -> LabelSelector {
    LabelSelector::from_object(&set["spec"]["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
}

/// The first ordinal.
fn start(set: &Value) -> i64 {
    int(&set["spec"]["ordinals"]["start"])
}

fn replicas(set: &Value) -> i64 {
    set["spec"]["replicas"].as_i64().unwrap_or(1)
}

#[cfg(test)]
mod tests;
