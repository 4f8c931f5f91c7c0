//! Making room: which pods of lower priority must go for a pod that no node takes. Disruption budgets are not looked at.

use super::{Asking, Cluster, Placed};
use crate::spec;
use object::meta;
use serde_json::Value;

/// A pod that has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Where there will be room, and who has to go for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// The node.
    pub node: String,
    /// At least one pod.
    pub victims: Vec<Victim>,
}

type Candidate = (String, Placed);

/// Finds the node where the least has to go.
pub(super) fn plan(cluster: &Cluster, pod: &Value) -> Option<Preemption> {
    let priority = spec::priority(pod);
    let lower = |placed: &Placed| placed.priority < priority;
    let nominated = pod["status"]["nominatedNodeName"].as_str().unwrap_or("");
    let makes_room =
        |name: &str| cluster.nodes.get(name).is_some_and(|n| n.pods.values().any(|p| p.deleting && lower(p)));
    let somebody = cluster.nodes.values().any(|n| n.value.is_some() && n.pods.values().any(lower));
    if pod["spec"]["preemptionPolicy"] == "Never" || !somebody || makes_room(nominated) {
        return None;
    }
    let mut trial = cluster.clone();
    let names: Vec<String> =
        cluster.nodes.values().filter(|n| n.value.is_some()).map(|n| n.name.clone()).collect();
    let mut best: Option<(Cost, Preemption)> = None;
    for node in names {
        let candidates: Vec<Candidate> = trial.nodes[&node]
            .pods
            .iter()
            .filter(|(_, placed)| lower(placed))
            .map(|(uid, placed)| (uid.clone(), placed.clone()))
            .collect();
        if candidates.is_empty() {
            continue;
        }
        for (uid, _) in &candidates {
            trial.remove_pod(uid);
        }
        let victims = fits(&trial, pod, &node).then(|| spare(&mut trial, pod, &node, candidates.clone()));
        for (uid, placed) in candidates {
            trial.remove_pod(&uid);
            trial.place(&uid, &node, placed);
        }
        let Some(victims) = victims.filter(|v| !v.is_empty()) else { continue };
        let cost = cost(&victims);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            let victims =
                victims.into_iter().map(|(uid, p)| Victim { namespace: p.namespace, name: p.name, uid });
            best = Some((cost, Preemption { node, victims: victims.collect() }));
        }
    }
    best.map(|(_, preemption)| preemption)
}

fn fits(cluster: &Cluster, pod: &Value, node: &str) -> bool {
    let Some(node) = cluster.nodes.get(node) else { return false };
    let Some(value) = &node.value else { return false };
    Asking::new(pod, cluster).refused(node, value, cluster).is_none()
}

/// Puts back whom the pod has room for, the most important first; answers the others.
fn spare(cluster: &mut Cluster, pod: &Value, node: &str, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_key(|(_, placed)| std::cmp::Reverse(placed.priority));
    candidates.retain(|(uid, placed)| {
        cluster.place(uid, node, placed.clone());
        let must_go = !fits(cluster, pod, node);
        if must_go {
            cluster.remove_pod(uid);
        }
        must_go
    });
    candidates
}

/// Highest priority lost, sum of priorities, number of pods: less is better, in this order.
type Cost = (i64, i128, usize);

fn cost(victims: &[Candidate]) -> Cost {
    let highest = victims.iter().map(|(_, p)| p.priority).max().unwrap_or(i64::MIN);
    // Priorities may be negative: shifted, so that more pods never cost less.
    let sum = victims.iter().map(|(_, p)| i128::from(p.priority) + (1 << 31)).sum();
    (highest, sum, victims.len())
}

impl Cluster {
    /// Keeps room for `pod` on `node` until it is bound or gone.
    pub fn nominate(&mut self, pod: &Value, node: &str) {
        self.nominated.insert(meta::uid(pod).to_owned(), (node.to_owned(), Placed::new(pod)));
    }

    /// The pods that must go for `pod`, if that helps.
    pub fn preempt(&self, pod: &Value) -> Option<Preemption> {
        plan(self, pod)
    }
}
