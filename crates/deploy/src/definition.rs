//! `VirtualCluster` (`joey.dev/v1alpha1`): its definition, and its spec as joey reads it.

use object::{GroupVersionResource, Value, json};

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
    /// `sync.nodes`: tenants see the host's nodes.
    pub nodes: bool,
    /// `controllers`
    pub controllers: String,
}

impl Spec {
    /// Reads a spec; what is absent has its default.
    pub fn read(virtual_cluster: &Value) -> Self {
        let spec = &virtual_cluster["spec"];
        let flag = |value: &Value, default: bool| value.as_bool().unwrap_or(default);
        Self {
            host_paths: flag(&spec["policy"]["hostPaths"], false),
            host_namespaces: flag(&spec["policy"]["hostNamespaces"], false),
            privileged: flag(&spec["policy"]["privileged"], false),
            nodes: flag(&spec["sync"]["nodes"], true),
            controllers: spec["controllers"].as_str().unwrap_or("all").to_owned(),
        }
    }
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
                            "policy": {
                                "type": "object", "description": "What tenants may ask of the host beyond ordinary pods.", "default": {},
                                "properties": {
                                    "hostPaths": flag("Volumes of the host's files.", false),
                                    "hostNamespaces": flag("The host's network, process and IPC namespaces, and host ports.", false),
                                    "privileged": flag("Privileged containers and capabilities beyond the usual.", false),
                                },
                            },
                            "sync": {
                                "type": "object", "description": "What of the host shows in the virtual cluster.", "default": {},
                                "properties": {"nodes": flag("Its nodes, read-only.", true)},
                            },
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
