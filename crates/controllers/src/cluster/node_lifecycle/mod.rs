//! Nodes: whether they are still heard of, and the taints that follow from how they are.
//!
//! A node is looked at when it, its lease or the state of another changes, and once when its silence would be too long.
//! Pods of a node that is gone become not ready here; that they are evicted is the taint-eviction controller's work.

mod health;
mod taints;
#[cfg(test)]
mod tests;
mod zones;

use crate::common::{conditions, pods};
use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{LEASES, NODES, PODS};
use client::{Cache, Change};
use health::{Health, ready};
use jiff::Timestamp;
use object::{GroupVersionResource, meta, time};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use taints::{NOT_READY, UNREACHABLE};
use zones::{Paces, Zones};

const LEASE_NAMESPACE: &str = "kube-node-lease";
/// A label, and the old one that always says the same.
const LABELS: [(&str, &str); 2] =
    [("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch")];

#[derive(Default)]
struct State {
    nodes: HashMap<Box<str>, Health>,
    paces: Paces,
    /// Not one node was ready when last looked at.
    all_silent: bool,
}

/// Remembers when each node was heard of; an entry goes with its node.
#[derive(Default)]
pub(crate) struct NodeLifecycleController {
    state: Arc<Mutex<State>>,
}

impl Controller for NodeLifecycleController {
    fn name(&self) -> &'static str {
        "node-lifecycle-controller"
    }

    fn component(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&NODES, &PODS, &LEASES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&LEASES) {
            if &*entry.namespace == LEASE_NAMESPACE && change.new.is_some() {
                add(Key::new("", &entry.name));
            }
        } else if change.is(&NODES) {
            add(Key::new("", &entry.name));
            // How fast the others are emptied depends on how many there are.
            if status_of(&change.old) != status_of(&change.new) {
                for node in cache.values(&NODES, "").iter().filter(|node| ready(node) != "True") {
                    add(Key::new("", meta::name(node)));
                }
            }
        } else if let Some(pod) = &change.new {
            let Some(node) = pods::node_of(pod) else { return };
            let moved = change.old.as_ref().and_then(|old| pods::node_of(old)).as_ref() != Some(&node);
            if moved && cache.entry(&NODES, "", &node).is_some_and(|node| !health::is_ready(&node)) {
                add(Key::new(&pod.namespace, &pod.name));
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        if !key.namespace.is_empty() {
            return self.assigned(cache, key, now);
        }
        match cache.get(&NODES, "", &key.name) {
            Some(node) => self.present(cache, &node, now),
            None => self.gone(&key.name),
        }
    }
}

impl NodeLifecycleController {
    /// A pod that was given to a node of which it is known that it is not ready.
    fn assigned(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(pod) = cache.get(&PODS, &key.namespace, &key.name) else { return Plan::nothing() };
        let node = node_of(&pod).and_then(|node| cache.get(&NODES, "", node));
        let sick = node.is_some_and(|node| {
            conditions::find(&node["status"]["conditions"], "Ready").is_some() && ready(&node) != "True"
        });
        Plan::of(if sick { not_ready(&pod, now).into_iter().collect() } else { vec![] })
    }

    fn gone(&self, name: &str) -> Plan {
        let Some(health) = self.state.lock().nodes.remove(name) else { return Plan::nothing() };
        let event =
            node_event(name, &health.uid, "RemovingNode", format!("Removing Node {name} from Controller"));
        Plan::of(vec![Action::event(event)])
    }

    fn present(&self, cache: &Cache, node: &Value, now: Timestamp) -> Plan {
        let (name, uid) = (meta::name(node), meta::uid(node));
        let lease = cache.get(&LEASES, LEASE_NAMESPACE, name);
        let mut plan = Plan::nothing();
        let state = &mut *self.state.lock();
        if state.nodes.get(name).is_none_or(|known| known.uid != uid) {
            state.nodes.insert(name.into(), Health::new(node, now));
            let told = format!("Registered Node {name} in Controller");
            plan.push(Action::event(node_event(name, uid, "RegisteredNode", told)));
        }
        let zones = (ready(node) != "True" || state.all_silent).then(|| Zones::of(cache));
        let all_silent = zones.as_ref().is_some_and(Zones::all_silent);
        if state.all_silent && !all_silent {
            state.nodes.values_mut().for_each(|health| health.forgive(now));
        }
        state.all_silent = all_silent;
        let Some(health) = state.nodes.get_mut(name) else { return plan };
        health.observe(node, lease.as_deref(), now);
        let left = health.left(lease.as_deref(), now);
        if left > 0 {
            plan.requeue(Duration::from_secs(left.unsigned_abs()));
        } else if let Some(next) = health::silent(node, now) {
            // The taints follow when this was written.
            let was_ready = ready(node) == "True";
            health.pods_to_tell |= was_ready;
            let update = Action::update_status(&NODES, next);
            plan.push(if was_ready { update.told(status_event(name, uid)) } else { update });
            self.tell_pods(cache, name, &mut plan, health.pods_to_tell, now);
            return plan;
        }
        let tell = health.pods_to_tell && ready(node) == "Unknown";
        health.pods_to_tell = tell;
        self.tell_pods(cache, name, &mut plan, tell, now);
        let mut taints = taints::of(node);
        taints::no_schedule(node, &mut taints, now);
        let turn = match &zones {
            Some(zones) => no_execute(node, &mut taints, zones, &mut state.paces, now),
            None => healthy(&mut taints),
        };
        if let Some(wait) = turn {
            plan.requeue(Duration::from_secs(wait.unsigned_abs()));
        }
        plan.actions.extend(labels(node));
        if taints != taints::of(node) {
            let patch = json!({"metadata": {"resourceVersion": meta::resource_version(node)}, "spec": {"taints": taints}});
            plan.push(Action::merge(&NODES, node, patch));
        }
        plan
    }

    /// Makes a lost node's pods not ready; done until it has worked once.
    fn tell_pods(&self, cache: &Cache, node: &str, plan: &mut Plan, wanted: bool, now: Timestamp) {
        if !wanted {
            return;
        }
        let pods = cache.values(&PODS, "");
        let there = pods.iter().filter(|pod| node_of(pod) == Some(node));
        plan.actions.extend(there.filter_map(|pod| not_ready(pod, now)));
        let (state, node) = (self.state.clone(), Box::<str>::from(node));
        plan.finish = Some(Box::new(move |_, error| {
            if error.is_none()
                && let Some(health) = state.lock().nodes.get_mut(&node)
            {
                health.pods_to_tell = false;
            }
            vec![]
        }));
    }
}

fn status_of(entry: &Option<Arc<client::Entry>>) -> Option<String> {
    entry.as_ref().and_then(|entry| entry.value()).map(|node| ready(&node).to_owned())
}

fn node_of(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())
}

/// The taint by which a node that is not ready loses its pods, when it is its turn; answers when to look again.
fn no_execute(
    node: &Value,
    taints: &mut Vec<Value>,
    zones: &Zones,
    paces: &mut Paces,
    now: Timestamp,
) -> Option<i64> {
    let (wanted, opposite) = match ready(node) {
        "False" => (NOT_READY, UNREACHABLE),
        "Unknown" if conditions::find(&node["status"]["conditions"], "Ready").is_some() => {
            (UNREACHABLE, NOT_READY)
        }
        "Unknown" => return None,
        _ => return healthy(taints),
    };
    if zones.all_silent() {
        return healthy(taints);
    }
    if !taints::has(taints, wanted, "NoExecute") {
        let swaps = taints::has(taints, opposite, "NoExecute");
        if !swaps && let Err(wait) = paces.turn(zones, zones::zone(node), now) {
            return wait;
        }
        taints::add(taints, wanted, "NoExecute", now);
    }
    taints::remove(taints, opposite, "NoExecute");
    None
}

fn healthy(taints: &mut Vec<Value>) -> Option<i64> {
    taints::remove(taints, UNREACHABLE, "NoExecute");
    taints::remove(taints, NOT_READY, "NoExecute");
    None
}

/// The labels that older clients still read.
fn labels(node: &Value) -> Option<Action> {
    let mut wanted = Map::new();
    for (stable, old) in LABELS {
        if let Some(value) = meta::label(node, stable).filter(|value| meta::label(node, old) != Some(*value))
        {
            wanted.insert(old.into(), value.into());
        }
    }
    (!wanted.is_empty()).then(|| Action::merge(&NODES, node, json!({"metadata": {"labels": wanted}})))
}

/// A pod whose Ready condition becomes false, if it has one that is not.
fn not_ready(pod: &Value, now: Timestamp) -> Option<Action> {
    let mut condition = conditions::find(&pod["status"]["conditions"], "Ready")?.clone();
    if condition["status"] == "False" || pods::is_finished(pod) && condition["status"] != "True" {
        return None;
    }
    condition["status"] = "False".into();
    condition["lastTransitionTime"] = time::format(now).into();
    let mut next = pod.clone();
    conditions::set(&mut next["status"]["conditions"], condition);
    let event = Event::warning(pod, "NodeNotReady", "Node is not ready");
    Some(Action::update_status(&PODS, next).told(event))
}

fn node_reference(name: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid})
}

fn node_event(name: &str, uid: &str, reason: &str, told: String) -> Event {
    let message = format!("Node {name} event: {told}");
    Event { regarding: node_reference(name, uid), kind: "Normal", reason: reason.into(), message }
}

fn status_event(name: &str, uid: &str) -> Event {
    let message = format!("Node {name} status is now: NodeNotReady");
    Event { regarding: node_reference(name, uid), kind: "Normal", reason: "NodeNotReady".into(), message }
}
