//! Deletes pods that nobody will ever finish: those of nodes that were deleted, those that never had a node, and finished ones
//! when there are far too many.

use crate::common::pods;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{NODES, PODS};
use client::{Cache, Change, DeleteOptions};
use jiff::Timestamp;
use object::{GroupVersionResource, meta, time};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// How long a node must be gone before its pods go, seconds.
const QUARANTINE: i64 = 40;
/// Finished pods kept in all.
const FINISHED: usize = 12_500;

/// Only nodes that were seen to go are gone: a virtual cluster may not know all nodes its pods are on.
#[derive(Default)]
pub(crate) struct PodGarbageCollector {
    gone: Mutex<HashMap<Box<str>, Option<Timestamp>>>,
}

impl Controller for PodGarbageCollector {
    fn name(&self) -> &'static str {
        "pod-garbage-collector-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PODS, &NODES]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&NODES) {
            let mut gone = self.gone.lock();
            if change.new.is_some() {
                gone.remove(&entry.name);
            } else {
                gone.insert(entry.name.clone(), None);
                add(Key::new("", &entry.name));
            }
        } else if let Some(pod) = &change.new
            && pod.deleting
        {
            add(Key::new(&pod.namespace, &pod.name));
        } else if change
            .new
            .as_ref()
            .is_some_and(|pod| pod.value().is_some_and(|pod| pods::is_finished(&pod)))
        {
            add(Key::new("", ""));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        if !key.namespace.is_empty() {
            return unscheduled(cache, key);
        }
        if key.name.is_empty() {
            return finished(cache);
        }
        let mut gone = self.gone.lock();
        let Some(since) = gone.get_mut(&key.name) else { return Plan::nothing() };
        let since = *since.get_or_insert(now);
        let left = since.as_second() + QUARANTINE - now.as_second();
        if left > 0 {
            return Plan { requeue_after: Some(Duration::from_secs(left.unsigned_abs())), ..Plan::nothing() };
        }
        gone.remove(&key.name);
        let stranded = cache.values(&PODS, "").into_iter().filter(|pod| pod["spec"]["nodeName"] == *key.name);
        Plan::of(stranded.flat_map(|pod| lost(&pod, now)).collect())
    }
}

fn now_at_all() -> DeleteOptions {
    DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() }
}

fn force(pod: &Value) -> Action {
    Action::delete_with(&PODS, pod, DeleteOptions { uid: Some(meta::uid(pod).to_owned()), ..now_at_all() })
}

/// A pod that was deleted before it had a node has no kubelet to let it go.
fn unscheduled(cache: &Cache, key: &Key) -> Plan {
    let pod = cache.get(&PODS, &key.namespace, &key.name);
    let stuck = pod.filter(|pod| {
        meta::deletion_timestamp(pod).is_some() && pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty()
    });
    Plan::of(stuck.iter().map(|pod| force(pod)).collect())
}

/// The oldest finished pods past the limit go.
fn finished(cache: &Cache) -> Plan {
    let store = cache.list(&PODS, "");
    if store.len() <= FINISHED {
        return Plan::nothing();
    }
    let mut over: Vec<Arc<Value>> = store
        .iter()
        .filter_map(|pod| pod.value())
        .filter(|pod| pods::is_finished(pod) && meta::deletion_timestamp(pod).is_none())
        .collect();
    over.sort_by_key(|pod| meta::creation_timestamp(pod).unwrap_or("").to_owned());
    let surplus = over.len().saturating_sub(FINISHED);
    Plan::of(over.iter().take(surplus).map(|pod| force(pod)).collect())
}

/// A pod of a node that is gone fails, then goes.
fn lost(pod: &Value, now: Timestamp) -> Vec<Action> {
    let mut actions = vec![];
    if !pods::is_finished(pod) {
        let mut next = pod.clone();
        next["status"]["phase"] = "Failed".into();
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": time::format(now)});
        crate::common::conditions::set(&mut next["status"]["conditions"], condition);
        actions.push(Action::update_status(&PODS, next));
    }
    actions.push(force(pod));
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    #[test]
    fn pods_of_a_node_that_went_follow_it_after_a_while() {
        let pod = |name: &str, node: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a"}, "spec": {"nodeName": node}});
        let cache = snapshot(vec![pod("p", "n"), pod("other", "never-seen")]);
        let collector = PodGarbageCollector::default();
        collector.gone.lock().insert("n".into(), None);
        let plan =
            |second| collector.plan(&cache, &Key::new("", "n"), Timestamp::from_second(second).unwrap());
        assert_eq!(plan(10).requeue_after, Some(Duration::from_secs(40)));
        let lines = shown(plan(50), &cache);
        assert!(
            lines[0].starts_with("update pods p/status") && lines[0].contains("DeletionByPodGC"),
            "{lines:?}"
        );
        assert_eq!(lines[1..], ["delete pods p"]);
        assert!(
            shown(collector.plan(&cache, &Key::new("", "never-seen"), Timestamp::UNIX_EPOCH), &cache)
                .is_empty()
        );
    }
}
