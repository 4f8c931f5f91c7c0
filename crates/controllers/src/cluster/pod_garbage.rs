//! Deletes pods that nobody will ever finish: those of nodes that were deleted or are out of service, those that never had a
//! node, and finished ones when there are far too many.

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

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&NODES) {
            let mut gone = self.gone.lock();
            if change.new.is_some() {
                gone.remove(&entry.name);
            } else {
                gone.insert(entry.name.clone(), None);
                add(Key::new("", &entry.name));
            }
            let out = |entry: &Option<Arc<client::Entry>>| {
                entry.as_ref().and_then(|node| node.value()).is_some_and(|node| is_out_of_service(&node))
            };
            if out(&change.new) && !out(&change.old) {
                for pod in cache.values(&PODS, "").iter().filter(|pod| pod["spec"]["nodeName"] == *entry.name)
                {
                    add(Key::new(meta::namespace(pod), meta::name(pod)));
                }
            }
        } else if let Some(pod) = &change.new
            && pod.deleting
        {
            add(Key::new(&pod.namespace, &pod.name));
        } else if change.new.as_ref().is_some_and(|pod| pods::has_finished(pod)) {
            add(Key::new("", ""));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        if !key.namespace.is_empty() {
            return terminating(cache, key, now);
        }
        if key.name.is_empty() {
            return finished(cache, now);
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
        Plan::of(stranded.flat_map(|pod| end(&pod, Some("PodGC: node no longer exists"), now)).collect())
    }
}

fn now_at_all() -> DeleteOptions {
    DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() }
}

fn force(pod: &Value) -> Action {
    Action::delete_with(&PODS, pod, DeleteOptions { uid: Some(meta::uid(pod).to_owned()), ..now_at_all() })
}

/// Not ready, and said to be so for good.
fn is_out_of_service(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let ready = crate::common::conditions::is_true(&node["status"]["conditions"], "Ready");
    !ready && taints.into_iter().any(|taint| taint["key"] == "node.kubernetes.io/out-of-service")
}

/// A pod that was deleted before it had a node, or on a node that is out of service, has no kubelet to let it go.
fn terminating(cache: &Cache, key: &Key, now: Timestamp) -> Plan {
    let Some(pod) = cache.get(&PODS, &key.namespace, &key.name) else { return Plan::nothing() };
    let node = pod["spec"]["nodeName"].as_str().unwrap_or("");
    let stuck = node.is_empty() || cache.get(&NODES, "", node).is_some_and(|node| is_out_of_service(&node));
    if meta::deletion_timestamp(&pod).is_none() || !stuck {
        return Plan::nothing();
    }
    Plan::of(end(&pod, None, now))
}

/// Evicted pods and then the oldest of the finished ones past the limit go.
fn finished(cache: &Cache, now: Timestamp) -> Plan {
    let store = cache.list(&PODS, "");
    if store.len() <= FINISHED {
        return Plan::nothing();
    }
    let mut over: Vec<Arc<Value>> = store
        .iter()
        .filter_map(|pod| pod.value())
        .filter(|pod| pods::is_finished(pod) && meta::deletion_timestamp(pod).is_none())
        .collect();
    over.sort_by_key(|pod| {
        let evicted = pod["status"]["phase"] == "Failed" && pod["status"]["reason"] == "Evicted";
        (!evicted, meta::creation_timestamp(pod).unwrap_or("").to_owned(), meta::name(pod).to_owned())
    });
    let surplus = over.len().saturating_sub(FINISHED);
    Plan::of(over.iter().take(surplus).flat_map(|pod| end(pod, None, now)).collect())
}

/// A pod that is not over fails, then it goes.
fn end(pod: &Value, why: Option<&str>, now: Timestamp) -> Vec<Action> {
    let mut actions = vec![];
    if !pods::is_finished(pod) {
        let mut next = pod.clone();
        next["status"]["phase"] = "Failed".into();
        next["status"]["observedGeneration"] = meta::generation(pod).into();
        if let Some(message) = why {
            let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                "message": message, "lastTransitionTime": time::format(now), "observedGeneration": meta::generation(pod)});
            crate::common::conditions::set(&mut next["status"]["conditions"], condition);
        }
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

    #[test]
    fn what_is_deleted_and_has_no_kubelet_fails_and_goes() {
        let node = |taint: &str| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": [{"key": taint}]},
                "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
        };
        let pod = |node: &str, deleted: bool| {
            let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a", "generation": 2},
                "spec": {"nodeName": node}, "status": {"phase": "Running"}});
            if deleted {
                meta::set(&mut pod, "deletionTimestamp", "2026-01-01T00:00:00Z");
            }
            pod
        };
        let plan = |pod: Value, taint: &str| {
            let cache = snapshot(vec![pod, node(taint)]);
            let collector = PodGarbageCollector::default();
            shown(collector.plan(&cache, &Key::new("a", "p"), Timestamp::UNIX_EPOCH), &cache).len()
        };
        let out = "node.kubernetes.io/out-of-service";
        assert_eq!([plan(pod("", true), ""), plan(pod("", false), ""), plan(pod("n", true), out)], [2, 0, 2]);
        assert_eq!([plan(pod("n", true), "other"), plan(pod("n", false), out)], [0, 0]);
    }
}
