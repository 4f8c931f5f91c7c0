//! Which node a pod runs on. [`Cluster`] is fed what changes and answers; no IO, no clock.
//!
//! Filters, in this order: unschedulable, node name, taints, node selector and affinity, host ports, resources and pod count,
//! volumes, topology spread, pod (anti-)affinity. Among the nodes that pass, the one with most room and fewest pods of the
//! same owner wins. Where none passes, pods of lower priority may have to go. The words are kube-scheduler's; the weights
//! by which nodes are chosen are not.

mod kubelet;
mod node_affinity;
mod pod_affinity;
mod preemption;
mod resources;
mod spread;
mod taints;
mod verdict;
mod volumes;

pub use preemption::{Attempt, Preemption, Victim};
pub(crate) use verdict::Refusal;
pub use verdict::Unschedulable;
pub use volumes::{Volumes, Waiting, would_do};

use crate::spec;
use client::Entry;
use object::meta;
use pod_affinity::Terms;
use resources::Resources;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A pod that takes room on a node.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    namespace: String,
    name: String,
    priority: i64,
    labels: BTreeMap<String, String>,
    requests: Resources,
    ports: Vec<(String, String, i64)>,
    anti_affinity: Option<Arc<Terms>>,
    owner: String,
    generation: i64,
    deleting: bool,
    /// Whether it goes because somebody more important asked for its room.
    preempted: bool,
    /// When it started, as objects hold it.
    started: String,
}

/// A node and what runs there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    name: String,
    value: Option<Arc<Value>>,
    /// Neither cordoned nor tainted.
    open: bool,
    allocatable: Resources,
    used: Resources,
    pods: BTreeMap<String, Placed>,
    /// How many of the pods have the same owner, by its uid; without those that go.
    siblings: HashMap<String, i64>,
}

impl Node {
    fn put(&mut self, uid: &str, placed: Placed) {
        self.used.add(&placed.requests);
        if placed.has_siblings() {
            *self.siblings.entry(placed.owner.clone()).or_default() += 1;
        }
        self.pods.insert(uid.to_owned(), placed);
    }

    fn take(&mut self, uid: &str) -> Option<Placed> {
        let placed = self.pods.remove(uid)?;
        self.used.subtract(&placed.requests);
        if placed.has_siblings()
            && let Some(count) = self.siblings.get_mut(&placed.owner)
        {
            *count -= 1;
            if *count == 0 {
                self.siblings.remove(&placed.owner);
            }
        }
        Some(placed)
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.value.as_ref().and_then(|v| meta::label(v, key))
    }
}

/// The nodes and their pods, as far as scheduling cares.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    nodes: BTreeMap<String, Node>,
    /// By pod: its node.
    placed: BTreeMap<String, String>,
    /// Pods that keep others away; while there are none, nobody looks for them.
    keeping_away: usize,
    /// By pod that waits for room: the node it is promised.
    nominated: BTreeMap<String, (String, Placed)>,
    /// Labels of namespaces, for rules that choose by them.
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

impl Placed {
    fn new(pod: &Value) -> Self {
        Self {
            namespace: meta::namespace(pod).to_owned(),
            name: meta::name(pod).to_owned(),
            priority: spec::priority(pod),
            labels: meta::labels(pod).map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            requests: Resources::of_pod(pod),
            ports: resources::host_ports(pod),
            anti_affinity: Terms::required(pod, "podAntiAffinity").map(Arc::new),
            owner: meta::controller_of(pod).and_then(|o| o["uid"].as_str()).unwrap_or("").to_owned(),
            generation: meta::generation(pod),
            deleting: meta::deletion_timestamp(pod).is_some(),
            preempted: meta::deletion_timestamp(pod).is_some() && is_preempted(pod),
            started: pod["status"]["startTime"].as_str().unwrap_or("").to_owned(),
        }
    }

    fn has_siblings(&self) -> bool {
        !self.owner.is_empty() && !self.deleting
    }

    /// Whether an entry of the pod, which is not deleted, says the same but for its status.
    fn is_still(&self, pod: &Entry) -> bool {
        let labels = pod.labels.iter().map(|(key, value)| (&**key, &**value));
        !self.deleting
            && pod.at(&["metadata", "generation"]).and_then(|g| g.as_i64()).unwrap_or(0) == self.generation
            && labels.eq(self.labels.iter().map(|(key, value)| (&**key, &**value)))
            && pod.controller().map_or("", |owner| &owner.uid) == self.owner
    }
}

fn is_preempted(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| {
        c["type"] == "DisruptionTarget" && c["status"] == "True" && c["reason"] == "PreemptionByScheduler"
    })
}

impl Cluster {
    /// A node appeared or changed.
    pub fn put_node(&mut self, node: Arc<Value>) {
        let name = meta::name(&node).to_owned();
        let entry = self.nodes.entry(name.clone()).or_default();
        entry.name = name;
        entry.allocatable = Resources::of_map(&node["status"]["allocatable"]);
        entry.open = taints::open(&node);
        entry.value = Some(node);
    }

    /// A node is gone; its pods stay known until they go too.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.value = None;
        }
    }

    /// A namespace appeared or changed; whether that changes its labels.
    pub fn put_namespace(&mut self, name: &str, labels: BTreeMap<String, String>) -> bool {
        self.namespaces.insert(name.to_owned(), labels.clone()).is_none_or(|old| old != labels)
    }

    /// A namespace is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.values().filter(|n| n.value.is_some()).count()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A pod appeared or changed; `node` overrides its own while a binding is under way.
    pub fn put_pod(&mut self, pod: &Value, node: &str) {
        let uid = meta::uid(pod);
        self.remove_pod(uid);
        if node.is_empty() || spec::is_terminal(pod) {
            return;
        }
        self.place(uid, node, Placed::new(pod));
    }

    /// Takes in a change of a pod that is on `node` already, where only its status is new: no more of it is read than has to be.
    /// False if it is to be put anew.
    pub fn goes_on(&mut self, pod: &Entry, node: &str) -> bool {
        let text = |path: &[&str]| pod.at(path).and_then(|value| value.as_str().map(str::to_owned));
        if pod.deleting || self.placed.get(&*pod.uid).is_none_or(|known| known != node) {
            return false;
        }
        let known = self.nodes.get_mut(node).and_then(|node| node.pods.get_mut(&*pod.uid));
        let Some(placed) = known.filter(|placed| placed.is_still(pod)) else { return false };
        if matches!(text(&["status", "phase"]).as_deref(), Some("Succeeded" | "Failed")) {
            return false;
        }
        placed.started = text(&["status", "startTime"]).unwrap_or_default();
        true
    }

    fn place(&mut self, uid: &str, node: &str, placed: Placed) {
        self.keeping_away += usize::from(placed.anti_affinity.is_some());
        let entry = self.nodes.entry(node.to_owned()).or_default();
        entry.name = node.to_owned();
        entry.put(uid, placed);
        self.placed.insert(uid.to_owned(), node.to_owned());
    }

    /// A pod is gone.
    pub fn remove_pod(&mut self, uid: &str) {
        self.nominated.remove(uid);
        let Some(name) = self.placed.remove(uid) else { return };
        let Some(node) = self.nodes.get_mut(&name) else { return };
        if let Some(placed) = node.take(uid) {
            self.keeping_away -= usize::from(placed.anti_affinity.is_some());
        }
        if node.value.is_none() && node.pods.is_empty() {
            self.nodes.remove(&name);
        }
    }

    /// The node for `pod`, whose claims are `volumes`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn schedule(&self, pod: &Value, volumes: &Volumes) -> Result<String, Unschedulable> {
        let named = node_affinity::named(pod);
        if named.as_ref().is_some_and(|names| names.is_empty()) {
            return Err(self.refusal_for_all("pod affinity terms conflict"));
        }
        let asking = Asking::new(pod, volumes, self);
        let mut best: Option<(i64, &str)> = None;
        let mut refusals = BTreeMap::new();
        for node in self.nodes.values() {
            let Some(value) = &node.value else { continue };
            let refused = match &named {
                Some(names) if !names.contains(node.name.as_str()) => {
                    Some(vec![Refusal::of_node("node(s) didn't satisfy plugin(s) [NodeAffinity]")])
                }
                _ => asking.refused(node, value),
            };
            match refused {
                Some(refused) => drop(refusals.insert(node.name.clone(), refused)),
                None => {
                    let score = asking.score(node, value);
                    if best.is_none_or(|(high, _)| score > high) {
                        best = Some((score, &node.name));
                    }
                }
            }
        }
        best.map(|(_, name)| name.to_owned()).ok_or_else(|| Unschedulable::of_nodes(refusals))
    }

    /// The answer when no node can be considered, such as for a claim that is missing.
    pub fn refusal_for_all(&self, why: &str) -> Unschedulable {
        Unschedulable::of_pod(self.len(), why)
    }

    /// A node as it was last heard of.
    pub fn node(&self, name: &str) -> Option<&Arc<Value>> {
        self.nodes.get(name)?.value.as_ref()
    }
}

/// What is read off the pod once, for all nodes.
struct Asking<'a> {
    pod: &'a Value,
    volumes: &'a Volumes,
    requests: Resources,
    ports: Vec<(String, String, i64)>,
    owner: &'a str,
    /// The only node it may go to, empty if any.
    wanted: &'a str,
    /// Whether it demands something of nodes; whether it prefers some.
    demands: bool,
    prefers: bool,
    affinity: pod_affinity::Rules,
    spread: spread::Rules,
    /// What is promised to other pods that are as important, by node.
    promised: BTreeMap<&'a str, Resources>,
}

impl<'a> Asking<'a> {
    fn new(pod: &'a Value, volumes: &'a Volumes, cluster: &'a Cluster) -> Self {
        let (uid, priority) = (meta::uid(pod), spec::priority(pod));
        let mut promised: BTreeMap<&str, Resources> = BTreeMap::new();
        for (_, (node, placed)) in
            cluster.nominated.iter().filter(|(other, (_, p))| *other != uid && p.priority >= priority)
        {
            promised.entry(node).or_default().add(&placed.requests);
        }
        Self {
            pod,
            volumes,
            requests: Resources::of_pod(pod),
            ports: resources::host_ports(pod),
            owner: meta::controller_of(pod).and_then(|o| o["uid"].as_str()).unwrap_or(""),
            wanted: spec::node_name(pod),
            demands: node_affinity::demands(pod),
            prefers: node_affinity::prefers(pod),
            affinity: pod_affinity::Rules::new(pod, cluster),
            spread: spread::Rules::new(pod, cluster),
            promised,
        }
    }

    /// The first filter that refuses, with all its reasons; `None` when the node will do.
    fn refused(&self, node: &Node, value: &Value) -> Option<Vec<Refusal>> {
        let keeps_out = |why: fn(&Value, &Value) -> Option<Refusal>| match node.open {
            true => None,
            false => why(self.pod, value),
        };
        let of_node = keeps_out(taints::cordoned)
            .or_else(|| self.elsewhere(node))
            .or_else(|| keeps_out(taints::refused))
            .or_else(|| self.demands.then(|| node_affinity::refused(self.pod, value)).flatten())
            .or_else(|| self.ports_taken(node));
        if let Some(refusal) = of_node {
            return Some(vec![refusal]);
        }
        let lacks = resources::lacks(&self.requests, node, self.promised.get(node.name.as_str()));
        let lacks = if lacks.is_empty() { self.volumes.refused(value) } else { lacks };
        if !lacks.is_empty() {
            return Some(lacks);
        }
        self.spread.refused(node).or_else(|| self.affinity.refused(node)).map(|refusal| vec![refusal])
    }

    fn elsewhere(&self, node: &Node) -> Option<Refusal> {
        (!self.wanted.is_empty() && self.wanted != node.name)
            .then(|| Refusal::of_node("node(s) didn't match the requested node name"))
    }

    fn ports_taken(&self, node: &Node) -> Option<Refusal> {
        let taken =
            |port: &(String, String, i64)| node.pods.values().any(|p| resources::conflicts(&p.ports, port));
        let any = self.ports.iter().any(taken);
        any.then(|| Refusal::of_pods("node(s) didn't have free ports for the requested pod ports"))
    }

    /// More room, fewer siblings and preferred places score higher.
    fn score(&self, node: &Node, value: &Value) -> i64 {
        let room = node.allocatable.room(&node.used, &self.requests);
        let siblings = node.siblings.get(self.owner).copied().unwrap_or(0);
        let liked = if self.prefers { node_affinity::preference(self.pod, value) } else { 0 };
        let disliked = if node.open { 0 } else { taints::aversion(self.pod, value) };
        let preferred = liked - disliked * 100;
        room - siblings * 30 - node.pods.len() as i64
            + preferred
            + self.spread.preference(node)
            + self.affinity.preference(node)
    }
}

#[cfg(test)]
mod tests;
