//! How host objects are marked: labels to select them by, annotations that say whose they are.

use crate::{Cluster, Namespaces, Refusal, names};
use object::{LabelSelector, Map, Value, json, meta};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Label: the virtual cluster.
pub const CLUSTER: &str = "joey.dev/cluster";
/// Label: the virtual namespace.
pub const NAMESPACE: &str = "joey.dev/namespace";
/// Annotation: the virtual name.
pub const NAME_ANNOTATION: &str = "joey.dev/name";
/// Annotation: the virtual namespace.
pub const NAMESPACE_ANNOTATION: &str = "joey.dev/namespace";
/// Annotation: the virtual uid.
pub const UID_ANNOTATION: &str = "joey.dev/uid";
/// joey's own domain: what tenants have under it is carried under other names.
const DOMAIN: &str = "joey.dev";
/// Where labels and annotations go that must not have their own names on the host.
const HELD: &str = "held.joey.dev/";

/// Labels by which meshes, clouds and admission webhooks of a host act with the host's authority.
const STEERING: [&str; 10] = [
    "aadpodidbinding",
    "admission.datadoghq.com/",
    "azure.workload.identity/",
    "istio.io/",
    "kuma.io/",
    "linkerd.io/",
    "security.istio.io/",
    "service.istio.io/",
    "sidecar.istio.io/",
    "topology.istio.io/",
];

/// Annotations that are read by people and their tools alone. Any other may make a host's controllers, runtimes or networks act
/// with the host's authority; the policy says which do come along.
const HARMLESS: [&str; 3] = [
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    "kubernetes.io/description",
];

/// What a virtual label or annotation (`map`) is called on the host: its own name, unless that would say something to the host.
pub(crate) fn host_key(map: &str, key: &str) -> String {
    if map == "labels" && !is_own(key) && !STEERING.iter().any(|p| key.starts_with(p)) {
        return key.to_owned();
    }
    let name = key.replace('/', "_");
    if name.len() <= 63 { format!("{HELD}{name}") } else { format!("{HELD}{}", names::digest(&[&name])) }
}

fn is_own(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    domain.strip_suffix(DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whom a host object belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Virtual namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Virtual name.
    pub name: String,
    /// Virtual uid.
    pub uid: String,
}

/// Whom of `cluster` a host object stands for; `None` when it is not this cluster's.
pub fn origin(cluster: &Cluster, host: &Value) -> Option<Origin> {
    if meta::label(host, CLUSTER) != Some(&cluster.name) {
        return None;
    }
    let text = |key| meta::annotation(host, key).map(str::to_owned);
    Some(Origin {
        namespace: text(NAMESPACE_ANNOTATION).unwrap_or_default(),
        name: text(NAME_ANNOTATION)?,
        uid: text(UID_ANNOTATION)?,
    })
}

/// Whether `host` is the host object of exactly this virtual one.
pub fn belongs(cluster: &Cluster, host: &Value, virtual_object: &Value) -> bool {
    origin(cluster, host).is_some_and(|o| {
        o.uid == meta::uid(virtual_object)
            && o.name == meta::name(virtual_object)
            && o.namespace == meta::namespace(virtual_object)
    })
}

/// The metadata of the host object that stands for `virtual_object`.
pub(crate) fn metadata(cluster: &Cluster, virtual_object: &Value) -> Value {
    let (namespace, name) = (meta::namespace(virtual_object), meta::name(virtual_object));
    json!({
        "name": names::host(cluster, namespace, name),
        "namespace": cluster.host_namespace,
        "labels": labels(cluster, namespace, &virtual_object["metadata"]["labels"]),
        "annotations": annotations(cluster, virtual_object),
    })
}

/// Virtual labels, and those that tell clusters and namespaces apart.
pub(crate) fn labels(cluster: &Cluster, namespace: &str, own: &Value) -> Value {
    let mut labels = renamed(own);
    labels.insert(CLUSTER.into(), cluster.name.clone().into());
    labels.insert(NAMESPACE.into(), namespace.into());
    labels.into()
}

fn annotations(cluster: &Cluster, virtual_object: &Value) -> Value {
    let allowed = |key: &str| {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == pattern,
        };
        HARMLESS.contains(&key) || (!is_own(key) && cluster.policy.annotations.iter().any(matches))
    };
    let own = virtual_object["metadata"]["annotations"].as_object().into_iter().flatten();
    let mut all: Map<String, Value> =
        own.filter(|(k, v)| allowed(k) && v.is_string()).map(|(k, v)| (k.clone(), v.clone())).collect();
    all.insert(NAME_ANNOTATION.into(), meta::name(virtual_object).into());
    all.insert(NAMESPACE_ANNOTATION.into(), meta::namespace(virtual_object).into());
    all.insert(UID_ANNOTATION.into(), meta::uid(virtual_object).into());
    all.into()
}

/// Labels under the names that they have on the host.
fn renamed(labels: &Value) -> Map<String, Value> {
    let pairs = labels.as_object().into_iter().flatten().filter(|(_, v)| v.is_string());
    pairs.map(|(k, v)| (host_key("labels", k), v.clone())).collect()
}

/// A selector of virtual pods, as it selects their host pods of one virtual namespace.
pub(crate) fn selector(cluster: &Cluster, namespace: &str, own: &Value) -> Value {
    let mut selector = renamed(own);
    selector.insert(CLUSTER.into(), cluster.name.clone().into());
    selector.insert(NAMESPACE.into(), namespace.into());
    selector.into()
}

/// A label selector of virtual pods becomes one of their host pods: those of this virtual cluster, and of these of its
/// namespaces if any are named.
pub(crate) fn narrow(cluster: &Cluster, namespaces: Option<&[String]>, selector: &mut Value) {
    rename_keys(selector);
    let mut expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
    expressions.push(json!({"key": CLUSTER, "operator": "In", "values": [cluster.name]}));
    match namespaces {
        None => {}
        // None of them: Kubernetes refuses an empty list. Every pod of a virtual cluster has the label.
        Some([]) => expressions.push(json!({"key": NAMESPACE, "operator": "DoesNotExist"})),
        Some(some) => expressions.push(json!({"key": NAMESPACE, "operator": "In", "values": some})),
    }
    selector["matchExpressions"] = expressions.into();
}

/// The virtual namespaces that the selectors of one object take, spelled out: on the host they are one namespace, whose pods are
/// told apart by name. Bounded, as a tenant says how many namespaces and selectors there are.
pub(crate) struct Spelled<'a> {
    namespaces: &'a Namespaces,
    /// How often a namespace may still be looked at.
    looks: Cell<usize>,
    /// How many names may still be written.
    names: Cell<usize>,
}

/// Looks at namespaces for one object: no more time than for any other.
const LOOKS: usize = 1_000_000;
/// Names in one object: no host takes an object of as many.
const NAMES: usize = 50_000;

impl<'a> Spelled<'a> {
    /// Nothing was asked for so far.
    pub fn new(namespaces: &'a Namespaces) -> Self {
        Self { namespaces, looks: Cell::new(LOOKS), names: Cell::new(NAMES) }
    }

    /// The namespaces that a selector takes; none if it cannot be read. `None`: all there are and will be.
    ///
    /// # Errors
    /// When the object's selectors are too many for so many namespaces.
    pub fn matching(&self, selector: &Value) -> Result<Option<Vec<String>>, Refusal> {
        let empty = |field: &str| match &selector[field] {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => true,
        };
        if empty("matchLabels") && empty("matchExpressions") {
            return Ok(None);
        }
        let Ok(selector) = LabelSelector::from_object(selector) else { return Ok(Some(Vec::new())) };
        spend(&self.looks, self.namespaces.len())?;
        let takes =
            |labels: &BTreeMap<String, String>| selector.matches(|key| labels.get(key).map(String::as_str));
        let taken = self.namespaces.iter().filter(|(_, labels)| takes(labels));
        let taken: Vec<String> = taken.take(self.names.get() + 1).map(|(name, _)| name.clone()).collect();
        spend(&self.names, taken.len())?;
        Ok(Some(taken))
    }
}

fn spend(left: &Cell<usize>, cost: usize) -> Result<(), Refusal> {
    let rest = left.get().checked_sub(cost);
    let rest = rest.ok_or_else(|| Refusal("its namespaceSelectors select too many namespaces".into()))?;
    left.set(rest);
    Ok(())
}

/// A label selector, with the names that labels have on the host.
fn rename_keys(selector: &mut Value) {
    if selector["matchLabels"].is_object() {
        selector["matchLabels"] = renamed(&selector["matchLabels"]).into();
    }
    for expression in selector.get_mut("matchExpressions").and_then(Value::as_array_mut).into_iter().flatten()
    {
        if let Some(key) = expression["key"].as_str().map(|key| host_key("labels", key)) {
            expression["key"] = key.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_something_to_a_host_is_called_otherwise() {
        let label = |key| host_key("labels", key);
        assert_eq!(label("app"), "app");
        assert_eq!(label("joey.dev/cluster"), "held.joey.dev/joey.dev_cluster");
        assert_eq!(label("held.joey.dev/x"), "held.joey.dev/held.joey.dev_x");
        assert_eq!(label("istio.io/rev"), "held.joey.dev/istio.io_rev");
        assert_eq!(label("notjoey.dev/cluster"), "notjoey.dev/cluster");
        let long = label(&format!("istio.io/{}", "a".repeat(60)));
        assert!(long.len() <= HELD.len() + 63 && long.starts_with(HELD), "{long}");
    }

    #[test]
    fn annotations_come_along_where_allowed() {
        let mut cluster = Cluster::test();
        let object = json!({"metadata": {"name": "n", "annotations": {
            "prometheus.io/scrape": "true", "cdi.k8s.io/gpu": "nvidia.com/gpu=all", "joey.dev/uid": "forged",
            "replicator.v1.mittwald.de/replicate-from": "kube-system/secret", "kubectl.kubernetes.io/default-container": "c",
        }}});
        let keys = |cluster: &Cluster| {
            let all = annotations(cluster, &object);
            let own: Vec<_> = all.as_object().unwrap().keys().filter(|k| !is_own(k)).cloned().collect();
            assert_ne!(all[UID_ANNOTATION], "forged");
            own.join(" ")
        };
        assert_eq!(keys(&cluster), "kubectl.kubernetes.io/default-container");
        cluster.policy.annotations = vec!["prometheus.io/*".into(), "joey.dev/*".into()];
        assert_eq!(keys(&cluster), "kubectl.kubernetes.io/default-container prometheus.io/scrape");
    }
}
