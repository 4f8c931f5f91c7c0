//! Deletes pods from nodes with `NoExecute` taints that they do not tolerate (any longer).

use crate::common::pods;
use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{NODES, PODS};
use client::{Cache, Change, Entry};
use jiff::Timestamp;
use object::{GroupVersionResource, meta, time};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Remembers since when each pod bears its taints; entries go with the pod or the taint.
#[derive(Default)]
pub(crate) struct TaintEvictionController {
    since: Mutex<HashMap<String, Timestamp>>,
}

impl Controller for TaintEvictionController {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PODS, &NODES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&NODES) {
            let taints =
                |node: &Option<Arc<Entry>>| node.as_ref().map_or_else(Vec::new, |node| taints_of(node));
            if taints(&change.old) == taints(&change.new) {
                return;
            }
            let name = &*change.entry().name;
            for pod in cache.values(&PODS, "").iter().filter(|pod| pod["spec"]["nodeName"] == name) {
                add(Key::new(meta::namespace(pod), meta::name(pod)));
            }
            return;
        }
        match &change.new {
            None => drop(self.since.lock().remove(&*change.entry().uid)),
            Some(pod) => {
                let node = pods::node_of(pod).and_then(|node| cache.entry(&NODES, "", &node));
                if node.is_some_and(|node| !taints_of(&node).is_empty()) {
                    add(Key::new(&pod.namespace, &pod.name));
                }
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(pod) = cache.get(&PODS, &key.namespace, &key.name) else { return Plan::nothing() };
        if meta::deletion_timestamp(&pod).is_some() {
            return Plan::nothing();
        }
        let node = pod["spec"]["nodeName"].as_str().and_then(|node| cache.get(&NODES, "", node));
        let taints = node.map_or_else(Vec::new, |node| no_execute(&node["spec"]["taints"]));
        let mut since = self.since.lock();
        let named = format!("{}/{}", meta::namespace(&pod), meta::name(&pod));
        match patience(&pod, &taints) {
            None => {
                let waited = since.remove(meta::uid(&pod)).is_some();
                let event = || {
                    Event::normal(&pod, "TaintManagerEviction", format!("Cancelling deletion of Pod {named}"))
                };
                Plan::of(waited.then(|| Action::event(event())).into_iter().collect())
            }
            Some(seconds) => {
                let start = *since.entry(meta::uid(&pod).to_owned()).or_insert(now);
                let left = start.as_second() + seconds - now.as_second();
                if left > 0 {
                    return Plan {
                        requeue_after: Some(Duration::from_secs(left.unsigned_abs())),
                        ..Plan::nothing()
                    };
                }
                since.remove(meta::uid(&pod));
                evict(&pod, &named, now)
            }
        }
    }
}

/// Those of a node, read without the rest of it.
fn taints_of(node: &Entry) -> Vec<Value> {
    node.at(&["spec", "taints"]).map_or_else(Vec::new, |taints| no_execute(&taints))
}

fn no_execute(taints: &Value) -> Vec<Value> {
    let taints = taints.as_array().into_iter().flatten();
    taints.filter(|taint| taint["effect"] == "NoExecute").cloned().collect()
}

/// How long the pod may stay, seconds; `None` for ever.
fn patience(pod: &Value, taints: &[Value]) -> Option<i64> {
    if taints.is_empty() {
        return None;
    }
    let tolerations = pod["spec"]["tolerations"].as_array().map_or(&[][..], Vec::as_slice);
    let mut least: Option<i64> = None;
    for taint in taints {
        let mut borne = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        // One that is not tolerated at all is decided at once.
        if borne.peek().is_none() {
            return Some(0);
        }
        for seconds in borne.filter_map(|toleration| toleration["tolerationSeconds"].as_i64()) {
            least = Some(least.map_or(seconds, |known| known.min(seconds)).max(0));
        }
    }
    least
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or("").to_owned();
    let (effect, key) = (text(toleration, "effect"), text(toleration, "key"));
    (effect.is_empty() || effect == "NoExecute")
        && (key.is_empty() || key == text(taint, "key"))
        && (text(toleration, "operator") == "Exists" || text(toleration, "value") == text(taint, "value"))
}

fn evict(pod: &Value, named: &str, now: Timestamp) -> Plan {
    let mut next = pod.clone();
    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": time::format(now)});
    crate::common::conditions::set(&mut next["status"]["conditions"], condition);
    let event = Event::normal(pod, "TaintManagerEviction", format!("Marking for deletion Pod {named}"));
    Plan::of(vec![Action::event(event), Action::update_status(&PODS, next), Action::delete(&PODS, pod)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn world(tolerations: Value, tainted: bool) -> Cache {
        let taints =
            if tainted { json!([{"key": "k", "value": "v", "effect": "NoExecute"}]) } else { json!([]) };
        snapshot(vec![
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": taints}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
                "spec": {"nodeName": "n", "tolerations": tolerations}}),
        ])
    }

    #[test]
    fn patience_ends_or_is_cancelled() {
        let controller = TaintEvictionController::default();
        let plan = |cache: &Cache, second| {
            controller.plan(cache, &Key::new("a", "p"), Timestamp::from_second(second).unwrap())
        };
        let patient = world(json!([{"key": "k", "operator": "Exists", "tolerationSeconds": 10}]), true);
        assert_eq!(plan(&patient, 100).requeue_after, Some(Duration::from_secs(10)));
        assert_eq!(plan(&patient, 104).requeue_after, Some(Duration::from_secs(6)));
        let lines = shown(plan(&world(json!([]), false), 105), &patient);
        assert_eq!(lines, ["event TaintManagerEviction: Cancelling deletion of Pod a/p"]);
        assert_eq!(plan(&patient, 106).requeue_after, Some(Duration::from_secs(10)));
        assert_eq!(shown(plan(&patient, 116), &patient).pop().unwrap(), "delete pods p");
    }

    #[test]
    fn what_is_not_tolerated_goes_at_once_and_what_is_stays() {
        let controller = TaintEvictionController::default();
        let lines = |cache: Cache| {
            shown(controller.plan(&cache, &Key::new("a", "p"), Timestamp::UNIX_EPOCH), &cache).len()
        };
        assert_eq!(lines(world(json!([]), true)), 3);
        assert_eq!(lines(world(json!([{"key": "k", "value": "v"}]), true)), 0);
    }
}
