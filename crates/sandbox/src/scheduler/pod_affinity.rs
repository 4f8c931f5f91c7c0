//! Affinity and anti-affinity between pods.

use super::{Cluster, Node, Placed, Refusal};
use object::{LabelSelector, meta};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// One term.
#[derive(Clone, Debug)]
struct Term {
    selector: LabelSelector,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    topology_key: String,
}

impl Term {
    fn new(pod: &Value, term: &Value) -> Self {
        let mut namespaces = crate::spec::strings(&term["namespaces"]);
        let by_label = term["namespaceSelector"].is_object();
        if namespaces.is_empty() && !by_label {
            namespaces.push(meta::namespace(pod).to_owned());
        }
        let selector = |value: &Value| LabelSelector::from_object(value).unwrap_or(LabelSelector::nothing());
        Self {
            selector: selector(&term["labelSelector"]),
            namespaces,
            namespace_selector: by_label.then(|| selector(&term["namespaceSelector"])),
            topology_key: term["topologyKey"].as_str().unwrap_or("").to_owned(),
        }
    }

    fn selects(&self, cluster: &Cluster, namespace: &str, labels: &Labels) -> bool {
        let by_label = |selector: &LabelSelector| {
            let labels = cluster.namespaces.get(namespace);
            selector.matches(|key| labels.and_then(|l| l.get(key)).map(String::as_str))
        };
        let listed = self.namespaces.iter().any(|n| n == namespace)
            || self.namespace_selector.as_ref().is_some_and(by_label);
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
        let terms: Vec<Term> = listed.iter().map(|term| Term::new(pod, term)).collect();
        (!terms.is_empty()).then_some(Self(terms))
    }
}

type Domain = (String, String);

/// The pod's rules, with the places where they are met looked up once.
pub(super) struct Rules {
    /// Topology keys that must be shared with pods that all terms select.
    near: Vec<String>,
    /// Where such pods are; `None` where the pod is the first of its kind, and may go anywhere.
    company: Option<BTreeSet<Domain>>,
    /// Places of pods that this pod keeps away from.
    far: BTreeSet<Domain>,
    /// Places where other pods keep this one away.
    unwelcome: BTreeSet<Domain>,
    /// What places are worth to the pod: positive where it likes to be.
    liked: BTreeMap<Domain, i64>,
}

impl Rules {
    pub fn new(pod: &Value, cluster: &Cluster) -> Self {
        let namespace = meta::namespace(pod);
        let labels: Labels = meta::labels(pod).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let near = Terms::required(pod, "podAffinity").map(|terms| terms.0).unwrap_or_default();
        let selected =
            |namespace: &str, labels: &Labels| near.iter().all(|t| t.selects(cluster, namespace, labels));
        let others = (!near.is_empty()).then(|| all(cluster)).into_iter().flatten();
        let friends = others.filter(|(_, p)| selected(&p.namespace, &p.labels));
        let company: BTreeSet<Domain> =
            friends.flat_map(|(node, _)| near.iter().filter_map(|t| domain(node, &t.topology_key))).collect();
        let first = company.is_empty() && selected(namespace, &labels);
        let far = Terms::required(pod, "podAntiAffinity").map(|terms| terms.0).unwrap_or_default();
        let mut rules = Self {
            near: near.iter().map(|term| term.topology_key.clone()).collect(),
            company: (!first).then_some(company),
            far: far.iter().flat_map(|t| places(cluster, t)).collect(),
            unwelcome: BTreeSet::new(),
            liked: liked(pod, cluster),
        };
        if cluster.keeping_away > 0 {
            for (node, placed) in all(cluster) {
                let terms = placed.anti_affinity.iter().flat_map(|t| &t.0);
                let against = terms.filter(|t| t.selects(cluster, namespace, &labels));
                rules.unwelcome.extend(against.filter_map(|t| domain(node, &t.topology_key)));
            }
        }
        rules
    }

    pub fn refused(&self, node: &Node) -> Option<Refusal> {
        let reaches = |key: &String| {
            let domain = domain(node, key);
            domain.is_some_and(|d| self.company.as_ref().is_none_or(|company| company.contains(&d)))
        };
        if !self.near.iter().all(reaches) {
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

    /// How much the pod likes to be on the node.
    pub fn preference(&self, node: &Node) -> i64 {
        let here = self.liked.iter().filter(|((key, value), _)| node.label(key) == Some(value));
        here.map(|(_, worth)| worth).sum()
    }
}

/// The pod's preferred terms: how many pods they select, by place, each with its weight.
fn liked(pod: &Value, cluster: &Cluster) -> BTreeMap<Domain, i64> {
    let mut liked = BTreeMap::new();
    for (which, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        let preferred = &pod["spec"]["affinity"][which]["preferredDuringSchedulingIgnoredDuringExecution"];
        for weighted in preferred.as_array().into_iter().flatten() {
            let term = Term::new(pod, &weighted["podAffinityTerm"]);
            let worth = sign * weighted["weight"].as_i64().unwrap_or(0);
            for place in selected(cluster, &term) {
                *liked.entry(place).or_default() += worth;
            }
        }
    }
    liked
}

fn all(cluster: &Cluster) -> impl Iterator<Item = (&Node, &Placed)> {
    cluster.nodes.values().flat_map(|node| node.pods.values().map(move |placed| (node, placed)))
}

fn domain(node: &Node, key: &str) -> Option<Domain> {
    Some((key.to_owned(), node.label(key)?.to_owned()))
}

/// The places of the pods that a term selects, one for each pod.
fn selected<'a>(cluster: &'a Cluster, term: &'a Term) -> impl Iterator<Item = Domain> + 'a {
    all(cluster)
        .filter(|(_, placed)| term.selects(cluster, &placed.namespace, &placed.labels))
        .filter_map(|(node, _)| domain(node, &term.topology_key))
}

fn places(cluster: &Cluster, term: &Term) -> BTreeSet<Domain> {
    selected(cluster, term).collect()
}
