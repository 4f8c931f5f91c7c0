//! `VirtualCluster` (`joey.dev/v1alpha1`): its definition, and its spec as joey reads it.

use object::{GroupVersionResource, Quantity, Value, json};
use std::collections::BTreeMap;

/// API group.
pub const GROUP: &str = "joey.dev";
/// Version.
pub const VERSION: &str = "v1alpha1";
/// Kind.
pub const KIND: &str = "VirtualCluster";
/// Plural.
pub const RESOURCE: &str = "virtualclusters";
/// Holds a VirtualCluster until everything it made is gone.
pub const FINALIZER: &str = "joey.dev/virtualcluster";

/// The resource.
pub fn gvr() -> GroupVersionResource {
    GroupVersionResource::new(GROUP, VERSION, RESOURCE)
}

/// A VirtualCluster with this spec.
pub fn virtual_cluster(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": KIND, "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// What a VirtualCluster asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `policy.hostPaths`
    pub host_paths: bool,
    /// `policy.hostNamespaces`
    pub host_namespaces: bool,
    /// `policy.privileged`
    pub privileged: bool,
    /// `policy.volumes`: further kinds of volumes.
    pub volumes: Vec<String>,
    /// `policy.runtimeClasses`: the host's that pods may name.
    pub runtime_classes: Vec<String>,
    /// `policy.priorityClasses`: the host's that come along.
    pub priority_classes: Vec<String>,
    /// `policy.loadBalancerClasses`: the host's that services may name.
    pub load_balancer_classes: Vec<String>,
    /// `policy.ingressClasses`: the host's ingress controllers that get its ingresses.
    pub ingress_classes: Vec<String>,
    /// `policy.ingressHosts`: the names that those may be for.
    pub ingress_hosts: Vec<String>,
    /// `policy.storageClasses`: the host's that claims may name; all when absent.
    pub storage_classes: Option<Vec<String>>,
    /// `policy.annotations`: which come along.
    pub annotations: Vec<String>,
    /// `policy.nodeSelector`: labels of the nodes that pods may be on.
    pub node_selector: BTreeMap<String, String>,
    /// `policy.privateNetworks`: webhooks and extension servers may be at private addresses.
    pub private_networks: bool,
    /// `sync.nodes`: tenants see the host's nodes.
    pub nodes: bool,
    /// `sync.networkPolicies`: its NetworkPolicies are carried to the host.
    pub network_policies: bool,
    /// `sync.weight`: its share of the host while others want theirs.
    pub weight: u32,
    /// `controllers`
    pub controllers: String,
    /// `isolation.quota`: what all of it may use, as a ResourceQuota has it.
    pub quota: Value,
    /// `isolation.containerDefaults`: `requests` and `limits` of containers that name none.
    pub container_defaults: Value,
    /// `isolation.networkPolicy`
    pub network_policy: bool,
    /// `isolation.data`: the most bytes that its own data may take on joey's disk.
    pub data_bytes: Option<u64>,
    /// `paused`: it sleeps.
    pub paused: bool,
}

impl Spec {
    /// Reads a spec; what is absent has its default.
    pub fn read(virtual_cluster: &Value) -> Self {
        let spec = &virtual_cluster["spec"];
        let flag = |value: &Value, default: bool| value.as_bool().unwrap_or(default);
        let policy = &spec["policy"];
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        };
        let labels = policy["nodeSelector"].as_object().into_iter().flatten();
        Self {
            host_paths: flag(&spec["policy"]["hostPaths"], false),
            host_namespaces: flag(&spec["policy"]["hostNamespaces"], false),
            privileged: flag(&spec["policy"]["privileged"], false),
            volumes: texts(&policy["volumes"]),
            runtime_classes: texts(&policy["runtimeClasses"]),
            priority_classes: texts(&policy["priorityClasses"]),
            load_balancer_classes: texts(&policy["loadBalancerClasses"]),
            ingress_classes: texts(&policy["ingressClasses"]),
            ingress_hosts: texts(&policy["ingressHosts"]),
            storage_classes: policy["storageClasses"].is_array().then(|| texts(&policy["storageClasses"])),
            annotations: texts(&policy["annotations"]),
            node_selector: labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect(),
            private_networks: flag(&policy["privateNetworks"], false),
            nodes: flag(&spec["sync"]["nodes"], true),
            network_policies: flag(&spec["sync"]["networkPolicies"], true),
            weight: spec["sync"]["weight"].as_u64().and_then(|w| u32::try_from(w).ok()).unwrap_or(1),
            controllers: spec["controllers"].as_str().unwrap_or("all").to_owned(),
            quota: spec["isolation"]["quota"].clone(),
            container_defaults: spec["isolation"]["containerDefaults"].clone(),
            network_policy: flag(&spec["isolation"]["networkPolicy"], false),
            data_bytes: bytes(&spec["isolation"]["data"]),
            paused: flag(&spec["paused"], false),
        }
    }
}

/// What a virtual cluster's own data may take where nobody says otherwise: half of what an etcd takes.
const DATA: u64 = 1 << 30;

/// A quantity of bytes; none stands for the default, and zero for no bound.
fn bytes(quantity: &Value) -> Option<u64> {
    let text = quantity.as_str().map(str::to_owned).or_else(|| quantity.as_i64().map(|n| n.to_string()));
    let said = text.and_then(|text| Quantity::parse(&text).ok()).map(|q| q.value().unsigned_abs());
    Some(said.unwrap_or(DATA)).filter(|bytes| *bytes > 0)
}

/// The CustomResourceDefinition to install on a host.
pub fn definition() -> Value {
    let flag =
        |text: &str, default: bool| json!({"type": "boolean", "default": default, "description": text});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{RESOURCE}.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"plural": RESOURCE, "singular": "virtualcluster", "kind": KIND, "listKind": format!("{KIND}List"), "shortNames": ["vc"]},
            "versions": [{
                "name": VERSION, "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Status", "type": "string", "jsonPath": ".status.phase"},
                    {"name": "Version", "type": "string", "jsonPath": ".status.version"},
                    {"name": "Address", "type": "string", "jsonPath": ".status.address"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "description": "A Kubernetes cluster of its own inside of this namespace.",
                    "properties": {
                        "spec": {"type": "object", "default": {}, "properties": {
                            "policy": policy_schema(),
                            "sync": {
                                "type": "object", "description": "What shows on the other side.", "default": {},
                                "properties": {
                                    "nodes": flag("Its nodes, read-only.", true),
                                    "networkPolicies": flag("Whether its NetworkPolicies hold for its pods on the host.", true),
                                    "weight": {
                                        "type": "integer", "format": "int32", "minimum": 1, "maximum": 100, "default": 1,
                                        "description": "Its share of joey's work on the host while other virtual clusters want theirs.",
                                    },
                                },
                            },
                            "isolation": isolation_schema(),
                            "paused": flag("Whether it sleeps: its API does not answer and its pods are gone; what it holds is kept.", false),
                            "controllers": {
                                "type": "string", "default": "all", "maxLength": 4096,
                                "description": "Which controllers run: all, none, or names joined by commas.",
                            },
                        }},
                        "metadata": {"type": "object", "properties": {"name": {
                            // It names a Service on the host, and is part of the names of what tenants make.
                            "type": "string", "maxLength": 63, "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$",
                        }}},
                        "status": status_schema(),
                    },
                }},
            }],
        },
    })
}

fn policy_schema() -> Value {
    let flag = |text: &str| json!({"type": "boolean", "default": false, "description": text});
    let names = |text: &str| {
        let name = json!({"type": "string", "minLength": 1, "maxLength": 253});
        json!({"type": "array", "description": text, "maxItems": 64, "x-kubernetes-list-type": "set", "items": name})
    };
    let mut volumes =
        names("Kinds of volumes besides the usual: nodes mount these with an authority of their own.");
    volumes["items"]["enum"] = json!(["csi", "nfs"]);
    json!({
        "type": "object", "description": "What tenants may ask of the host beyond ordinary pods.", "default": {},
        "properties": {
            "hostPaths": flag("Volumes of the host's files."),
            "hostNamespaces": flag("The host's network, process and IPC namespaces, and host ports."),
            "privileged": flag("Privileged containers, capabilities beyond the usual, and nodes of the control plane."),
            "privateNetworks": flag("Webhooks and extension API servers at private addresses other than its own services and pods."),
            "volumes": volumes,
            "runtimeClasses": names("RuntimeClasses of the host that pods may name."),
            "priorityClasses": names("PriorityClasses of the host that come along when pods name them."),
            "loadBalancerClasses": names("Load balancers of the host that services may name."),
            "ingressClasses": names("Ingress controllers of the host, by class, that get its ingresses. Those of other classes stay in it."),
            "ingressHosts": names("Host names that those ingresses may be for; `*.DOMAIN` stands for any below, `*` for all."),
            "storageClasses": names("StorageClasses of the host that claims may name, and tenants see; all when absent."),
            "annotations": names("Annotations that come along to the host; `*` at the end stands for any rest."),
            "nodeSelector": {
                "type": "object", "description": "Labels of the nodes that its pods may be on, and that tenants see.",
                "maxProperties": 64, "additionalProperties": {"type": "string", "maxLength": 63},
            },
        },
    })
}

fn isolation_schema() -> Value {
    let quantities = |text: &str| {
        let quantity =
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]});
        json!({"type": "object", "description": text, "maxProperties": 64, "additionalProperties": quantity})
    };
    json!({
        "type": "object", "description": "Fences around it on the host. What is not named is not fenced.",
        "properties": {
            "data": {
                "x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": "^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$",
                "description": "The most bytes that its own objects may take on joey's disk, 1Gi unless said otherwise; 0 for no bound.",
            },
            "quota": quantities("What all of its namespace may use, as in a ResourceQuota."),
            "containerDefaults": {
                "type": "object", "description": "Resources of containers that name none.",
                "properties": {"requests": quantities("Requests."), "limits": quantities("Limits.")},
            },
            "networkPolicy": {
                "type": "boolean",
                "description": "Whether its pods are cut off from the host's other pods and from private networks. Needs a network that enforces NetworkPolicies.",
            },
        },
    })
}

fn status_schema() -> Value {
    let text = || json!({"type": "string"});
    let generation = json!({"type": "integer", "format": "int64"});
    let condition = json!({
        "type": "object", "required": ["type", "status"],
        "properties": {
            "type": text(), "status": text(), "reason": text(), "message": text(),
            "lastTransitionTime": {"type": "string", "format": "date-time"}, "observedGeneration": generation,
        },
    });
    json!({"type": "object", "properties": {
        "phase": text(), "version": text(), "address": text(), "message": text(), "kubeconfigSecret": text(),
        "observedGeneration": generation,
        "conditions": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": condition,
        },
    }})
}
