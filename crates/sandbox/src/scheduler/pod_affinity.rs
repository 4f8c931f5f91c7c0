//! Required affinity and anti-affinity between pods.

use super::{Cluster, Node, Placed, Refusal};
use object::{LabelSelector, meta};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One required term.
#[derive(Clone, Debug)]
struct Term {
    selector: LabelSelector,
    /// `None` where every namespace counts.
    namespaces: Option<Vec<String>>,
    topology_key: String,
}

impl Term {
    fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let listed = self.namespaces.as_ref().is_none_or(|n| n.iter().any(|n| n == namespace));
        listed && self.selector.matches(|key| labels.get(key).map(String::as_str))
    }
}

/// The required terms of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Terms(Vec<Term>);

impl Terms {
    /// The terms of `podAffinity` or `podAntiAffinity`, `None` if there are none.
    pub fn required(pod: &Value, which: &str) -> Option<Self> {
        let listed =
            pod["spec"]["affinity"][which]["requiredDuringSchedulingIgnoredDuringExecution"].as_array()?;
        let terms = listed.iter().map(|term| {
            let named: Vec<String> = crate::spec::strings(&term["namespaces"]);
            // Namespaces chosen by label are not looked up: any selector counts as all namespaces.
            let namespaces = match (term["namespaceSelector"].is_object(), named.is_empty()) {
                (true, _) => None,
                (false, true) => Some(vec![meta::namespace(pod).to_owned()]),
                (false, false) => Some(named),
            };
            let selector =
                LabelSelector::from_object(&term["labelSelector"]).unwrap_or(LabelSelector::nothing());
            let topology_key = term["topologyKey"].as_str().unwrap_or("").to_owned();
            Term { selector, namespaces, topology_key }
        });
        let terms: Vec<Term> = terms.collect();
        (!terms.is_empty()).then_some(Self(terms))
    }
}

type Domain = (String, String);

/// The pod's rules, with the places where they are met looked up once.
pub(super) struct Rules {
    /// Topology keys that must be shared with a pod that the term selects, and where such pods are.
    near: Vec<(String, BTreeSet<Domain>)>,
    /// Places of pods that this pod keeps away from.
    far: BTreeSet<Domain>,
    /// Places where other pods keep this one away.
    unwelcome: BTreeSet<Domain>,
}

impl Rules {
    pub fn new(pod: &Value, cluster: &Cluster) -> Self {
        let namespace = meta::namespace(pod);
        let labels: BTreeMap<String, String> =
            meta::labels(pod).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let near = Terms::required(pod, "podAffinity").map(|terms| terms.0).unwrap_or_default();
        let near = near.into_iter().filter_map(|term| {
            let places = places(cluster, &term);
            // The first of its kind may go anywhere.
            let first = places.is_empty() && term.selects(namespace, &labels);
            (!first).then_some((term.topology_key, places))
        });
        let far = Terms::required(pod, "podAntiAffinity").map(|terms| terms.0).unwrap_or_default();
        let mut rules = Self {
            near: near.collect(),
            far: far.iter().flat_map(|t| places(cluster, t)).collect(),
            unwelcome: BTreeSet::new(),
        };
        if cluster.keeping_away > 0 {
            for (node, placed) in all(cluster) {
                let terms = placed.anti_affinity.iter().flat_map(|t| &t.0);
                let against = terms.filter(|t| t.selects(namespace, &labels));
                rules.unwelcome.extend(against.filter_map(|t| domain(node, &t.topology_key)));
            }
        }
        rules
    }

    pub fn refused(&self, node: &Node, _: &Cluster) -> Option<Refusal> {
        let reaches =
            |key: &str, places: &BTreeSet<Domain>| domain(node, key).is_some_and(|d| places.contains(&d));
        if !self.near.iter().all(|(key, places)| reaches(key, places)) {
            return Some(Refusal::of_node("node(s) didn't match pod affinity rules"));
        }
        let here =
            |places: &BTreeSet<Domain>| places.iter().any(|(key, value)| node.label(key) == Some(value));
        if here(&self.far) {
            return Some(Refusal::of_pods("node(s) didn't match pod anti-affinity rules"));
        }
        here(&self.unwelcome)
            .then(|| Refusal::of_pods("node(s) didn't satisfy existing pods anti-affinity rules"))
    }
}

fn all(cluster: &Cluster) -> impl Iterator<Item = (&Node, &Placed)> {
    cluster.nodes.values().flat_map(|node| node.pods.values().map(move |placed| (node, placed)))
}

fn domain(node: &Node, key: &str) -> Option<Domain> {
    Some((key.to_owned(), node.label(key)?.to_owned()))
}

fn places(cluster: &Cluster, term: &Term) -> BTreeSet<Domain> {
    all(cluster)
        .filter(|(_, placed)| term.selects(&placed.namespace, &placed.labels))
        .filter_map(|(node, _)| domain(node, &term.topology_key))
        .collect()
}
