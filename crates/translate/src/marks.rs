//! How host objects are marked: labels to select them by, annotations that say whose they are.

use crate::{Cluster, names};
use object::{Map, Value, json, meta};

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
/// Everything of joey's own starts with this; tenants' labels and annotations that do are not passed on.
pub const PREFIX: &str = "joey.dev/";

/// Annotations that make node software (CNIs, meshes, runtimes) act with the host's authority, or that say what the host should
/// not hear from a tenant.
const HELD_BACK: [&str; 16] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "k8s.v1.cni.cncf.io/",
    "v1.multus-cni.io/",
    "cni.projectcalico.org/",
    "k8s.ovn.org/",
    "cni.cilium.io/",
    "sidecar.istio.io/",
    "vault.hashicorp.com/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "io.kubernetes.cri",
    "io.katacontainers.",
    "iam.amazonaws.com/",
    "scheduler.alpha.kubernetes.io/",
    "kubernetes.io/config.",
];

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
        "annotations": annotations(virtual_object),
    })
}

/// Virtual labels, and those that tell clusters and namespaces apart.
pub(crate) fn labels(cluster: &Cluster, namespace: &str, own: &Value) -> Value {
    let mut labels = kept(own, |key| !key.starts_with(PREFIX));
    labels.insert(CLUSTER.into(), cluster.name.clone().into());
    labels.insert(NAMESPACE.into(), namespace.into());
    labels.into()
}

fn annotations(virtual_object: &Value) -> Value {
    let mut all = kept(&virtual_object["metadata"]["annotations"], |key| {
        !key.starts_with(PREFIX) && !HELD_BACK.iter().any(|p| key.starts_with(p))
    });
    all.insert(NAME_ANNOTATION.into(), meta::name(virtual_object).into());
    all.insert(NAMESPACE_ANNOTATION.into(), meta::namespace(virtual_object).into());
    all.insert(UID_ANNOTATION.into(), meta::uid(virtual_object).into());
    all.into()
}

fn kept(map: &Value, keep: impl Fn(&str) -> bool) -> Map<String, Value> {
    let pairs = map.as_object().into_iter().flatten().filter(|(k, v)| keep(k) && v.is_string());
    pairs.map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A selector of virtual pods, as it selects their host pods of one virtual namespace.
pub(crate) fn selector(cluster: &Cluster, namespace: &str, own: &Value) -> Value {
    let mut selector = kept(own, |key| !key.starts_with(PREFIX));
    selector.insert(CLUSTER.into(), cluster.name.clone().into());
    selector.insert(NAMESPACE.into(), namespace.into());
    selector.into()
}
