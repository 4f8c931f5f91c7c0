//! `topologySpreadConstraints`.

use super::{Cluster, Node, Refusal, node_affinity, taints};
use crate::spec;
use object::{LabelSelector, meta};
use serde_json::Value;
use std::collections::BTreeMap;

struct Rule {
    key: String,
    hard: bool,
    max_skew: i64,
    /// Pods that count, by domain, over the nodes that count.
    counts: BTreeMap<String, i64>,
    least: i64,
    counts_itself: bool,
}

/// The pod's constraints, with the pods counted once.
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    pub fn new(pod: &Value, cluster: &Cluster) -> Self {
        let constraints = spec::list(pod, "topologySpreadConstraints").iter();
        // Nodes that lack the key of one hard constraint count for none.
        let hard = constraints.clone().filter(|c| c["whenUnsatisfiable"] != "ScheduleAnyway");
        let keys: Vec<&str> = hard.filter_map(|c| c["topologyKey"].as_str()).collect();
        Self(constraints.map(|constraint| rule(pod, constraint, &keys, cluster)).collect())
    }

    pub fn refused(&self, node: &Node) -> Option<Refusal> {
        for rule in self.0.iter().filter(|r| r.hard) {
            let Some(domain) = node.label(&rule.key) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Some(Refusal::of_node(reason));
            };
            let count = rule.counts.get(domain).copied().unwrap_or(0) + i64::from(rule.counts_itself);
            if count - rule.least > rule.max_skew {
                return Some(Refusal::of_pods("node(s) didn't match pod topology spread constraints"));
            }
        }
        None
    }

    /// Emptier domains are better.
    pub fn preference(&self, node: &Node) -> i64 {
        let crowds = self.0.iter().filter_map(|rule| rule.counts.get(node.label(&rule.key)?));
        crowds.map(|count| -20 * count).sum()
    }
}

fn rule(pod: &Value, constraint: &Value, keys: &[&str], cluster: &Cluster) -> Rule {
    let key = constraint["topologyKey"].as_str().unwrap_or("").to_owned();
    let selector =
        LabelSelector::from_object(&constraint["labelSelector"]).unwrap_or(LabelSelector::nothing());
    let same: Vec<(String, Option<&str>)> = spec::strings(&constraint["matchLabelKeys"])
        .into_iter()
        .filter_map(|k| meta::label(pod, &k).map(|value| (k, Some(value))))
        .collect();
    let honor_affinity = constraint["nodeAffinityPolicy"] != "Ignore";
    let honor_taints = constraint["nodeTaintsPolicy"] == "Honor";
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for node in cluster.nodes.values() {
        let (Some(value), Some(domain)) = (&node.value, node.label(&key)) else { continue };
        let counts_node = keys.iter().all(|key| node.label(key).is_some())
            && (!honor_affinity || node_affinity::matches(pod, value))
            && (!honor_taints || taints::refused(pod, value).is_none());
        if !counts_node {
            continue;
        }
        let selected = node.pods.values().filter(|p| {
            let label = |key: &str| p.labels.get(key).map(String::as_str);
            p.namespace == meta::namespace(pod)
                && !p.deleting
                && selector.matches(label)
                && same.iter().all(|(key, value)| label(key) == *value)
        });
        *counts.entry(domain.to_owned()).or_default() += selected.count() as i64;
    }
    let few = constraint["minDomains"].as_i64().is_some_and(|min| (counts.len() as i64) < min);
    Rule {
        hard: constraint["whenUnsatisfiable"] != "ScheduleAnyway",
        max_skew: constraint["maxSkew"].as_i64().unwrap_or(1),
        least: if few { 0 } else { counts.values().copied().min().unwrap_or(0) },
        counts_itself: selector.matches(|key| meta::label(pod, key)),
        key,
        counts,
    }
}
