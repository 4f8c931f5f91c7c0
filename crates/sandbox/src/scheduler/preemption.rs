//! Making room: which pods of lower priority must go for a pod that no node takes.

use super::verdict::histogram;
use super::{Asking, Cluster, Placed, Refusal, Unschedulable, Volumes};
use crate::spec;
use object::{LabelSelector, meta};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// What came of trying to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// These go.
    Room(Preemption),
    /// Room is being made already, or the pod may not ask for it; the scheduler's words.
    Waits(String),
    /// It would not help; the scheduler's words.
    Helpless(String),
}

impl Attempt {
    /// What the pod's condition says about it; nothing if others go.
    pub fn words(&self) -> &str {
        match self {
            Self::Room(_) => "",
            Self::Waits(words) | Self::Helpless(words) => words,
        }
    }
}

/// What the scheduler's plugin for devices says: it would have to free some.
const CLAIMS: &str = "no new claims to deallocate";

type Candidate = (String, Placed);

/// What is read once.
struct Trial<'a> {
    cluster: Cluster,
    pod: &'a Value,
    volumes: &'a Volumes,
    budgets: &'a [Arc<Value>],
}

/// Finds the node where the least has to go.
pub(super) fn plan(
    cluster: &Cluster,
    pod: &Value,
    volumes: &Volumes,
    budgets: &[Arc<Value>],
    refused: &Unschedulable,
) -> Attempt {
    let hopeful = refused.hopeful().unwrap_or_default();
    if let Some(why) = not_eligible(cluster, pod, &hopeful) {
        return Attempt::Waits(format!("{CLAIMS}, preemption: {why}"));
    }
    let priority = spec::priority(pod);
    let mut trial = Trial { cluster: cluster.clone(), pod, volumes, budgets };
    let mut best: Option<(Cost, Preemption)> = None;
    let mut refusals: BTreeMap<String, Vec<Refusal>> = BTreeMap::new();
    for node in hopeful {
        match trial.victims(node, priority) {
            Err(why) => drop(refusals.insert(node.to_owned(), why)),
            Ok((victims, violations)) => {
                let cost = cost(&victims, violations);
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    let victims = victims.into_iter().map(|(uid, p)| Victim {
                        namespace: p.namespace,
                        name: p.name,
                        uid,
                    });
                    let victims = victims.collect();
                    best = Some((cost, Preemption { node: node.to_owned(), victims }));
                }
            }
        }
    }
    if let Some((_, preemption)) = best {
        return Attempt::Room(preemption);
    }
    let nodes = cluster.len();
    let helpless = nodes.saturating_sub(refusals.len());
    let reasons = refusals.values().flatten().map(|r| r.reason.as_str());
    let all = reasons.chain(std::iter::repeat_n("Preemption is not helpful for scheduling", helpless));
    Attempt::Helpless(format!("{CLAIMS}, preemption: 0/{nodes} nodes are available: {}.", histogram(all)))
}

/// Why the pod may not send others away.
fn not_eligible(cluster: &Cluster, pod: &Value, hopeful: &[&str]) -> Option<&'static str> {
    if pod["spec"]["preemptionPolicy"] == "Never" {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let nominated = pod["status"]["nominatedNodeName"].as_str().filter(|name| hopeful.contains(name))?;
    let priority = spec::priority(pod);
    let leaves = |p: &Placed| p.preempted && p.priority < priority;
    let leaving = cluster.nodes.get(nominated).is_some_and(|n| n.pods.values().any(leaves));
    leaving.then_some("not eligible due to a terminating pod on the nominated node.")
}

impl Trial<'_> {
    /// Who must go from `node`, the most important first, and how many of them some budget would keep.
    fn victims(&mut self, node: &str, priority: i64) -> Result<(Vec<Candidate>, usize), Vec<Refusal>> {
        let pods = self.cluster.nodes.get(node).into_iter().flat_map(|n| &n.pods);
        let lower = pods.filter(|(_, placed)| placed.priority < priority);
        let mut candidates: Vec<Candidate> =
            lower.map(|(uid, placed)| (uid.clone(), placed.clone())).collect();
        if candidates.is_empty() {
            return Err(vec![Refusal::of_node("No preemption victims found for incoming pod")]);
        }
        candidates.sort_by(|(_, a), (_, b)| importance(b).cmp(&importance(a)));
        candidates.iter().for_each(|(uid, _)| self.cluster.remove_pod(uid));
        let found = match self.refused(node) {
            Some(why) => Err(why),
            None => Ok(self.spare(node, &candidates)),
        };
        for (uid, placed) in candidates {
            self.cluster.remove_pod(&uid);
            self.cluster.place(&uid, node, placed);
        }
        found
    }

    fn refused(&self, node: &str) -> Option<Vec<Refusal>> {
        let node = self.cluster.nodes.get(node)?;
        Asking::new(self.pod, self.volumes, &self.cluster).refused(node, node.value.as_ref()?)
    }

    /// Puts back whom the pod has room for, those that a budget would keep first; answers the others.
    fn spare(&mut self, node: &str, candidates: &[Candidate]) -> (Vec<Candidate>, usize) {
        let (kept, free) = by_budget(candidates, self.budgets);
        let mut must_go = |(uid, placed): &Candidate| {
            self.cluster.place(uid, node, placed.clone());
            let must_go = self.refused(node).is_some();
            if must_go {
                self.cluster.remove_pod(uid);
            }
            must_go
        };
        let mut victims: Vec<Candidate> = kept.into_iter().filter(&mut must_go).collect();
        let violations = victims.len();
        victims.extend(free.into_iter().filter(&mut must_go));
        victims.sort_by(|(_, a), (_, b)| importance(b).cmp(&importance(a)));
        (victims, violations)
    }
}

/// More priority is more important, then an earlier start.
fn importance(placed: &Placed) -> (i64, Reverse<&str>) {
    (placed.priority, Reverse(&placed.started))
}

/// Those that would break a disruption budget, and the others; the order is kept.
fn by_budget(candidates: &[Candidate], budgets: &[Arc<Value>]) -> (Vec<Candidate>, Vec<Candidate>) {
    let mut allowed: Vec<i64> =
        budgets.iter().map(|b| b["status"]["disruptionsAllowed"].as_i64().unwrap_or(0)).collect();
    let mut breaks = |placed: &Placed| {
        let mut broken = false;
        for (budget, allowed) in budgets.iter().zip(&mut allowed) {
            let selector = &budget["spec"]["selector"];
            let empty = selector.as_object().is_none_or(serde_json::Map::is_empty);
            let selector = LabelSelector::from_object(selector).unwrap_or(LabelSelector::nothing());
            let label = |key: &str| placed.labels.get(key).map(String::as_str);
            let concerns = !empty && meta::namespace(budget) == placed.namespace && selector.matches(label);
            if concerns && budget["status"]["disruptedPods"][&placed.name].is_null() {
                *allowed -= 1;
                broken |= *allowed < 0;
            }
        }
        broken
    };
    candidates.iter().cloned().partition(|(_, placed)| breaks(placed))
}

/// Broken budgets, highest priority lost, sum of priorities, number of pods, and how early the most important started: less
/// is better, in this order.
type Cost = (usize, i64, i128, usize, Reverse<String>);

fn cost(victims: &[Candidate], violations: usize) -> Cost {
    let highest = victims.iter().map(|(_, p)| p.priority).max().unwrap_or(i64::MIN);
    // Priorities may be negative: shifted, so that more pods never cost less.
    let sum = victims.iter().map(|(_, p)| i128::from(p.priority) + (1 << 31)).sum();
    let first = victims.iter().filter(|(_, p)| p.priority == highest).map(|(_, p)| p.started.clone()).min();
    (violations, highest, sum, victims.len(), Reverse(first.unwrap_or_default()))
}

impl Cluster {
    /// Keeps room for `pod` on `node` until it is bound or gone.
    pub fn nominate(&mut self, pod: &Value, node: &str) {
        self.nominated.insert(meta::uid(pod).to_owned(), (node.to_owned(), Placed::new(pod)));
    }

    /// Keeps no room for the pod any longer.
    pub fn forget_nomination(&mut self, uid: &str) {
        self.nominated.remove(uid);
    }

    /// Who must go for `pod`, which was `refused`; `budgets` are the disruption budgets.
    pub fn preempt(
        &self,
        pod: &Value,
        volumes: &Volumes,
        budgets: &[Arc<Value>],
        refused: &Unschedulable,
    ) -> Attempt {
        plan(self, pod, volumes, budgets, refused)
    }
}
