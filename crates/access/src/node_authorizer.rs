//! What a node (`system:node:NAME` in `system:nodes`) may do: what kubelets need, and of Secrets, ConfigMaps, volumes
//! and accounts only what pods bound to that node refer to.
//!
//! Kubernetes keeps a graph of these references. Here they are looked up when asked for, through [`NodeObjects`]:
//! slower per request, and nothing to keep or go stale.

use crate::attributes::Attributes;
use crate::rbac::{Decision, Rule, rules_from_json};
use crate::user::{GROUP_NODES, node_name};
use serde_json::Value;
use std::sync::LazyLock;

/// Where the authorizer finds objects.
pub trait NodeObjects {
    /// The pods whose `spec.nodeName` is the node.
    fn pods_on(&self, node: &str) -> Vec<Value>;
    /// One object, by resource (`persistentvolumeclaims`, `persistentvolumes`, `volumeattachments`, `pods`).
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value>;
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let objects = crate::bootstrap_policy::objects();
    let mut roles = objects.iter().filter(|o| o["kind"] == "ClusterRole");
    let node = roles.find(|o| o["metadata"]["name"] == "system:node");
    node.map(|role| rules_from_json(&role["rules"])).unwrap_or_default()
});

fn no(reason: &str) -> Decision {
    Decision::NoOpinion(reason.into())
}

fn yes() -> Decision {
    Decision::Allow(String::new())
}

/// May the node? For anyone who is no node: no opinion.
pub fn authorize_node(request: &Attributes, objects: &dyn NodeObjects) -> Decision {
    if !request.user.has_group(GROUP_NODES) {
        return no("");
    }
    let Some(node) = node_name(&request.user.username) else {
        return match request.user.username.as_str() {
            "system:node:" => no("unknown node for user \"system:node:\""),
            _ => no(""),
        };
    };
    if !request.resource_request {
        return by_rules(request);
    }
    let related = || match request.name.as_str() {
        "" => no("No Object name found"),
        _ if is_related(node, request, objects) => yes(),
        _ => no(&format!("no relationship found between node '{node}' and this object")),
    };
    match (request.api_group.as_str(), request.resource.as_str()) {
        ("", "secrets" | "configmaps") => read_named(request).unwrap_or_else(related),
        ("", "persistentvolumeclaims") if request.subresource == "status" => match request.verb.as_str() {
            "get" | "update" | "patch" => related(),
            _ => no("can only get/update/patch this type"),
        },
        ("", "persistentvolumeclaims" | "persistentvolumes")
        | ("resource.k8s.io", "resourceclaims")
        | ("storage.k8s.io", "volumeattachments") => get_one(request).unwrap_or_else(related),
        ("", "serviceaccounts") => match (request.verb.as_str(), request.subresource.as_str()) {
            ("create", "token") | ("get", "") => related(),
            ("create", _) => no("can only create token subresource of serviceaccount"),
            _ => no("can only create tokens for individual service accounts"),
        },
        ("coordination.k8s.io", "leases") => lease(request, node),
        ("storage.k8s.io", "csinodes") => own(request, node, "a CSINode", "CSINode"),
        ("", "nodes") => nodes(request, node),
        ("", "pods") => pods(request, node, &related),
        ("resource.k8s.io", "resourceslices") => resource_slices(request, node),
        _ => by_rules(request),
    }
}

fn by_rules(request: &Attributes) -> Decision {
    if RULES.iter().any(|rule| rule.allows(request)) { yes() } else { no("") }
}

fn read_named(request: &Attributes) -> Option<Decision> {
    if !request.is_read_only() {
        return Some(no("can only read resources of this type"));
    }
    if !request.subresource.is_empty() {
        return Some(no("cannot read subresource"));
    }
    request.namespace.is_empty().then(|| no("can only read namespaced object of this type"))
}

fn get_one(request: &Attributes) -> Option<Decision> {
    if request.verb != "get" {
        return Some(no("can only get individual resources of this type"));
    }
    (!request.subresource.is_empty()).then(|| no("cannot get subresource"))
}

fn lease(request: &Attributes, node: &str) -> Decision {
    if request.namespace != "kube-node-lease" && is_access(&request.verb) {
        return no("can only access leases in the \"kube-node-lease\" system namespace");
    }
    own(request, node, "a node lease", "node lease")
}

fn is_access(verb: &str) -> bool {
    matches!(verb, "get" | "create" | "update" | "patch" | "delete")
}

/// Objects that are named after the node.
fn own(request: &Attributes, node: &str, an_object: &str, object: &str) -> Decision {
    if !is_access(&request.verb) {
        return no(&format!("can only get, create, update, patch, or delete {an_object}"));
    }
    if !request.subresource.is_empty() {
        return no("cannot access subresources");
    }
    // On create the name is in the body; admission looks at it.
    if request.verb != "create" && request.name != node {
        return no(&format!("can only access {object} with the same name as the requesting node"));
    }
    yes()
}

fn nodes(request: &Attributes, node: &str) -> Decision {
    match (request.subresource.as_str(), request.verb.as_str()) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => by_rules(request),
        ("", "get" | "list" | "watch") if request.name == node || selects(request, "metadata.name", node) => {
            yes()
        }
        ("", "get" | "list" | "watch") if request.name.is_empty() => {
            no(&format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch") => {
            no(&format!("node '{node}' cannot read '{}', only its own Node object", request.name))
        }
        _ => by_rules(request),
    }
}

fn pods(request: &Attributes, node: &str, related: &dyn Fn() -> Decision) -> Decision {
    match (request.subresource.as_str(), request.verb.as_str()) {
        ("", "get") => related(),
        ("", "list" | "watch") if selects(request, "spec.nodeName", node) => yes(),
        ("", "list" | "watch") if !request.name.is_empty() => related(),
        ("", "list" | "watch") => no("can only list/watch pods with spec.nodeName field selector"),
        _ => by_rules(request),
    }
}

fn resource_slices(request: &Attributes, node: &str) -> Decision {
    match request.verb.as_str() {
        "get" | "create" | "update" | "patch" | "delete" => yes(),
        "list" | "watch" | "deletecollection" if selects(request, "spec.nodeName", node) => yes(),
        _ => no("can only list/watch/deletecollection resourceslices with nodeName field selector"),
    }
}

fn selects(request: &Attributes, field: &str, value: &str) -> bool {
    let exact = |r: &crate::SelectorRequirement| r.key == field && r.operator == "In" && r.values == [value];
    request.field_selector.iter().any(exact)
}

/// Does a pod of the node refer to the object?
fn is_related(node: &str, request: &Attributes, objects: &dyn NodeObjects) -> bool {
    let (namespace, name) = (request.namespace.as_str(), request.name.as_str());
    if request.resource == "volumeattachments" {
        return objects
            .get("volumeattachments", "", name)
            .is_some_and(|found| found["spec"]["nodeName"] == node);
    }
    objects.pods_on(node).iter().any(|pod| {
        let own_namespace = object::meta::namespace(pod);
        match request.resource.as_str() {
            "pods" => own_namespace == namespace && object::meta::name(pod) == name,
            "persistentvolumes" => volumes_of(pod, objects).any(|volume| volume == name),
            _ if own_namespace != namespace => false,
            "secrets" => pod_refers_to(pod, "secrets", name) || volume_secret(pod, name, objects),
            resource => pod_refers_to(pod, resource, name),
        }
    })
}

/// Does the pod's spec refer to the Secret, ConfigMap, claim or account of its namespace?
pub fn pod_refers_to(pod: &Value, resource: &str, name: &str) -> bool {
    let spec = &pod["spec"];
    match resource {
        "serviceaccounts" => spec["serviceAccountName"] == name,
        "persistentvolumeclaims" => claims_of(pod).any(|claim| claim == name),
        "resourceclaims" => {
            let statuses =
                list(&pod["status"]["resourceClaimStatuses"]).any(|s| s["resourceClaimName"] == name);
            statuses || list(&spec["resourceClaims"]).any(|claim| claim["resourceClaimName"] == name)
        }
        "secrets" | "configmaps" => {
            let (key_ref, from, source) = match resource {
                "secrets" => ("secretKeyRef", "secretRef", "secret"),
                _ => ("configMapKeyRef", "configMapRef", "configMap"),
            };
            let containers = ["initContainers", "containers", "ephemeralContainers"];
            let in_containers = containers.iter().flat_map(|kind| list(&spec[*kind])).any(|container| {
                list(&container["env"]).any(|env| env["valueFrom"][key_ref]["name"] == name)
                    || list(&container["envFrom"]).any(|env| env[from]["name"] == name)
            });
            let pulls =
                resource == "secrets" && list(&spec["imagePullSecrets"]).any(|secret| secret["name"] == name);
            in_containers
                || pulls
                || list(&spec["volumes"]).any(|volume| volume_refers_to(volume, source, name))
        }
        _ => false,
    }
}

fn volume_refers_to(volume: &Value, source: &str, name: &str) -> bool {
    let of = |part: &Value| part[source]["name"] == name || part[source]["secretName"] == name;
    let drivers =
        ["azureFile", "cephfs", "csi", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos", "cinder"];
    let by_driver = source == "secret"
        && drivers.iter().any(|driver| {
            let driver = &volume[*driver];
            driver["secretName"] == name
                || driver["secretRef"]["name"] == name
                || driver["nodePublishSecretRef"]["name"] == name
        });
    of(volume) || by_driver || list(&volume["projected"]["sources"]).any(of)
}

fn claims_of(pod: &Value) -> impl Iterator<Item = String> {
    let pod_name = object::meta::name(pod);
    list(&pod["spec"]["volumes"]).filter_map(move |volume| {
        if volume["ephemeral"].is_object() {
            return Some(format!("{pod_name}-{}", volume["name"].as_str()?));
        }
        volume["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned)
    })
}

/// The volumes bound to the pod's claims.
fn volumes_of<'a>(pod: &'a Value, objects: &'a dyn NodeObjects) -> impl Iterator<Item = String> + 'a {
    let namespace = object::meta::namespace(pod);
    claims_of(pod).filter_map(move |claim| {
        let claim = objects.get("persistentvolumeclaims", namespace, &claim)?;
        claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    })
}

/// Is the Secret one that a CSI volume of the pod names?
fn volume_secret(pod: &Value, name: &str, objects: &dyn NodeObjects) -> bool {
    let namespace = object::meta::namespace(pod);
    volumes_of(pod, objects).filter_map(|volume| objects.get("persistentvolumes", "", &volume)).any(
        |volume| {
            ["nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"].iter().any(|key| {
                let reference = &volume["spec"]["csi"][*key];
                reference["name"] == name && reference["namespace"] == namespace
            })
        },
    )
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SelectorRequirement, UserInfo};
    use serde_json::json;

    struct Fixture;

    impl NodeObjects for Fixture {
        fn pods_on(&self, node: &str) -> Vec<Value> {
            let pod = json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {
                "serviceAccountName": "sa",
                "imagePullSecrets": [{"name": "pull"}],
                "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "env"}}}], "envFrom": [{"configMapRef": {"name": "from"}}]}],
                "volumes": [
                    {"name": "a", "secret": {"secretName": "volume"}},
                    {"name": "b", "projected": {"sources": [{"configMap": {"name": "projected"}}]}},
                    {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
                    {"name": "d", "ephemeral": {}},
                ],
            }});
            if node == "n" { vec![pod] } else { vec![] }
        }

        fn get(&self, resource: &str, _: &str, name: &str) -> Option<Value> {
            match (resource, name) {
                ("persistentvolumeclaims", "claim") => Some(json!({"spec": {"volumeName": "pv"}})),
                ("persistentvolumes", "pv") => Some(
                    json!({"spec": {"csi": {"nodeStageSecretRef": {"name": "stage", "namespace": "ns"}}}}),
                ),
                ("volumeattachments", name) => Some(json!({"spec": {"nodeName": name}})),
                _ => None,
            }
        }
    }

    #[test]
    fn what_nodes_may_do() {
        for (verb, group, resource, namespace, name, allowed) in [
            ("get", "", "secrets", "ns", "volume", true),
            ("get", "", "secrets", "ns", "env", true),
            ("watch", "", "secrets", "ns", "pull", true),
            ("get", "", "secrets", "ns", "stage", true),
            ("get", "", "secrets", "ns", "other", false),
            ("get", "", "secrets", "other", "volume", false),
            ("list", "", "secrets", "ns", "", false),
            ("update", "", "secrets", "ns", "volume", false),
            ("get", "", "configmaps", "ns", "from", true),
            ("get", "", "configmaps", "ns", "projected", true),
            ("get", "", "configmaps", "ns", "volume", false),
            ("get", "", "persistentvolumeclaims", "ns", "claim", true),
            ("get", "", "persistentvolumeclaims", "ns", "p-d", true),
            ("update", "", "persistentvolumeclaims/status", "ns", "claim", true),
            ("get", "", "persistentvolumes", "", "pv", true),
            ("get", "", "persistentvolumes", "", "other", false),
            ("get", "storage.k8s.io", "volumeattachments", "", "n", true),
            ("get", "storage.k8s.io", "volumeattachments", "", "m", false),
            ("create", "", "serviceaccounts/token", "ns", "sa", true),
            ("create", "", "serviceaccounts/token", "ns", "other", false),
            ("update", "coordination.k8s.io", "leases", "kube-node-lease", "n", true),
            ("update", "coordination.k8s.io", "leases", "kube-node-lease", "m", false),
            ("update", "coordination.k8s.io", "leases", "default", "n", false),
            ("get", "", "nodes", "", "n", true),
            ("get", "", "nodes", "", "m", false),
            ("patch", "", "nodes/status", "", "n", true),
            ("get", "", "pods", "ns", "p", true),
            ("get", "", "pods", "ns", "q", false),
            ("list", "", "pods", "", "", false),
            ("patch", "", "pods/status", "ns", "p", true),
            ("list", "", "services", "", "", true),
            ("delete", "", "namespaces", "", "x", false),
        ] {
            let user = UserInfo::new("system:node:n", &["system:nodes"]);
            let request = Attributes::resource(user, verb, group, resource, namespace, name);
            assert_eq!(
                authorize_node(&request, &Fixture).is_allowed(),
                allowed,
                "{verb} {resource} {namespace}/{name}"
            );
            let other = Attributes { user: UserInfo::new("system:node:n", &[]), ..request };
            assert_eq!(authorize_node(&other, &Fixture), no(""));
        }
    }

    #[test]
    fn lists_by_selector() {
        let user = UserInfo::new("system:node:n", &["system:nodes"]);
        let mut request = Attributes::resource(user, "list", "", "pods", "", "");
        for (node, allowed) in [("n", true), ("m", false)] {
            let requirement = SelectorRequirement {
                key: "spec.nodeName".into(),
                operator: "In".into(),
                values: vec![node.into()],
            };
            request.field_selector = vec![requirement];
            assert_eq!(authorize_node(&request, &Fixture).is_allowed(), allowed);
        }
    }
}
