//! Deployments: move from one ReplicaSet to the next.
//!
//! [`sets`] knows the replica sets of a deployment and their revisions, [`rollout`] decides their sizes, [`status`] tells how it
//! goes.

mod rollout;
mod sets;
mod status;

use crate::common::owners;
use crate::plan::{Controller, Key, Plan, TOGETHER, goes_on};
use crate::resources::{DEPLOYMENTS, PODS, REPLICA_SETS};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, LabelSelector, meta};
use serde_json::Value;
use std::time::Duration;

pub(crate) struct DeploymentController;

impl Controller for DeploymentController {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&DEPLOYMENTS, &REPLICA_SETS, &PODS]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&DEPLOYMENTS) {
            let entry = change.entry();
            add(Key::new(&entry.namespace, &entry.name));
        } else if change.is(&REPLICA_SETS) {
            replica_set_changed(cache, change, add);
        } else if change.new.is_none()
            && let Some(set) = owners::controller_named(change.entry(), "ReplicaSet")
            && let Some(set) = cache.entry(&REPLICA_SETS, &change.entry().namespace, set)
            && let Some(deployment) = owners::controller_named(&set, "Deployment")
        {
            // Only Recreate waits for pods to be gone.
            add(Key::new(&set.namespace, deployment));
        }
    }

    fn patience(&self, change: &Change) -> Duration {
        if change.is(&REPLICA_SETS) && goes_on(change) { TOGETHER } else { Duration::ZERO }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(deployment) = cache.get(&DEPLOYMENTS, &key.namespace, &key.name) else {
            return Plan::nothing();
        };
        let selector = selector(&deployment);
        if selector.is_empty() {
            return Plan::nothing();
        }
        rollout::plan(cache, &deployment, &selector, now)
    }
}

fn replica_set_changed(cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
    for set in change.both() {
        if let Some(owner) = owners::controller_named(set, "Deployment") {
            add(Key::new(&set.namespace, owner));
        }
    }
    if let Some(orphan) = change.new.as_ref().filter(|set| set.controller().is_none() && !set.deleting) {
        for deployment in cache.list(&DEPLOYMENTS, &orphan.namespace) {
            if deployment.value().is_some_and(|value| owners::matches(&selector(&value), orphan)) {
                add(Key::new(&deployment.namespace, &deployment.name));
            }
        }
    }
}

fn selector(deployment: &Value) -> LabelSelector {
    LabelSelector::from_object(&deployment["spec"]["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
}

fn is_paused(deployment: &Value) -> bool {
    deployment["spec"]["paused"] == true
}

fn is_deleting(deployment: &Value) -> bool {
    meta::deletion_timestamp(deployment).is_some()
}

#[cfg(test)]
mod tests;
