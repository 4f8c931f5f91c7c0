//! Why no node takes a pod, in the scheduler's words.

use std::collections::BTreeMap;

/// Why one node does not take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub reason: String,
    /// Whether the refusal would be over if other pods left.
    pub resolvable: bool,
}

impl Refusal {
    pub fn of_node(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), resolvable: false }
    }

    pub fn of_pods(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), resolvable: true }
    }
}

/// Why a pod stays without a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unschedulable {
    nodes: usize,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// Nothing of any node was looked at: something about the pod itself.
    Pod(String),
    /// By node: all reasons of the first filter that refused.
    Nodes(BTreeMap<String, Vec<Refusal>>),
}

impl Unschedulable {
    /// The pod cannot go to any of the `nodes`, whatever they are like.
    pub fn of_pod(nodes: usize, why: impl Into<String>) -> Self {
        Self { nodes, cause: Cause::Pod(why.into()) }
    }

    pub(super) fn of_nodes(refusals: BTreeMap<String, Vec<Refusal>>) -> Self {
        Self { nodes: refusals.len(), cause: Cause::Nodes(refusals) }
    }

    /// The message of the pod's condition and event; `after` tells what came of making room.
    pub fn message(&self, after: &str) -> String {
        let nodes = self.nodes;
        let (why, after) = match &self.cause {
            _ if nodes == 0 => return "no nodes available to schedule pods".into(),
            // Where nothing was filtered, the scheduler's plugins miss their own notes, and say so.
            Cause::Pod(why) => (why.clone(), "not found"),
            Cause::Nodes(refusals) => {
                (histogram(refusals.values().flatten().map(|r| r.reason.as_str())), after)
            }
        };
        let mut message = format!("0/{nodes} nodes are available: {why}.");
        if !after.is_empty() {
            message = format!("{message} {after}");
        }
        message
    }

    /// The nodes that might take the pod if others left; `None` where that cannot help.
    pub(super) fn hopeful(&self) -> Option<Vec<&str>> {
        let Cause::Nodes(refusals) = &self.cause else { return None };
        let hopeful = refusals.iter().filter(|(_, refusals)| refusals.iter().all(|r| r.resolvable));
        Some(hopeful.map(|(name, _)| name.as_str()).collect())
    }
}

/// Reasons with how often each is given.
pub(super) fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    reasons.for_each(|reason| *counts.entry(reason).or_default() += 1);
    let mut shown: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    shown.sort();
    shown.join(", ")
}
