//! What a platform team applies before joey may work on a host: identity and rights, and joey itself as a pod.
//!
//! The rules are the whole of what joey's code asks for; `docs/permissions.md` says what each is for.

use crate::definition::{GROUP, RESOURCE, definition};
use object::{Value, json};

/// Where joey runs and what it may reach.
pub struct Installation<'a> {
    /// The namespace of joey's own pod.
    pub namespace: &'a str,
    /// Its image.
    pub image: &'a str,
    /// The namespaces that virtual clusters may be in; none: all.
    pub tenants: &'a [String],
}

/// Everything there is to apply, in order.
pub fn manifests(of: &Installation<'_>) -> Vec<Value> {
    let mut all = vec![
        definition(),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": of.namespace}}),
    ];
    all.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": of.namespace}}));
    all.push(role("ClusterRole", "", NAME, cluster_rules(of.tenants.is_empty())));
    all.push(binding("ClusterRoleBinding", "", "ClusterRole", NAME, of.namespace));
    if of.tenants.is_empty() {
        all.push(role("ClusterRole", "", TENANTS, namespace_rules()));
        all.push(binding("ClusterRoleBinding", "", "ClusterRole", TENANTS, of.namespace));
    }
    for tenant in of.tenants {
        all.push(role("Role", tenant, TENANTS, namespace_rules()));
        all.push(binding("RoleBinding", tenant, "Role", TENANTS, of.namespace));
    }
    all.push(claim(of.namespace));
    all.push(deployment(of));
    all
}

const NAME: &str = "joey";
const TENANTS: &str = "joey-virtual-clusters";

/// What joey may do in a namespace with virtual clusters.
pub fn namespace_rules() -> Value {
    let core = |resources: &[&str], verbs: &[&str]| json!({"apiGroups": [""], "resources": resources, "verbs": verbs});
    json!([
        core(&["pods"], &["get", "list", "watch", "create", "update", "delete"]),
        core(&["pods/ephemeralcontainers", "pods/resize"], &["update"]),
        core(&["pods/log"], &["get"]),
        core(&["pods/exec", "pods/attach", "pods/portforward"], &["get", "create"]),
        core(&["services"], &["get", "list", "watch", "create", "update", "delete"]),
        core(&["persistentvolumeclaims"], &["list", "watch", "create", "update", "delete"]),
        core(&["configmaps"], &["get", "list", "create", "update", "delete"]),
        core(&["secrets"], &["get", "list", "create", "update", "patch", "delete"]),
        core(&["events"], &["list", "watch"]),
        json!({"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "create", "update", "delete"]}),
        core(&["resourcequotas", "limitranges"], &["get", "create", "update", "delete"]),
        json!({"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies", "ingresses"], "verbs": ["get", "list", "watch", "create", "update", "delete"]}),
        json!({"apiGroups": [GROUP], "resources": [RESOURCE], "verbs": ["list", "watch", "patch"]}),
        json!({"apiGroups": [GROUP], "resources": [format!("{RESOURCE}/status")], "verbs": ["patch"]}),
    ])
}

/// What joey may do on the whole cluster.
fn cluster_rules(everywhere: bool) -> Value {
    let name = format!("{RESOURCE}.{GROUP}");
    let mut rules = vec![
        json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}),
        json!({"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["list", "watch"]}),
    ];
    if everywhere {
        let definitions = |verbs: &[&str]| json!({"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": verbs});
        let mut own = definitions(&["get", "list", "watch", "patch"]);
        own["resourceNames"] = json!([name]);
        rules.extend([definitions(&["create"]), own]);
    }
    rules.into()
}

fn role(kind: &str, namespace: &str, name: &str, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata(namespace, name), "rules": rules})
}

fn binding(kind: &str, namespace: &str, role: &str, name: &str, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata(namespace, name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": account}],
    })
}

fn metadata(namespace: &str, name: &str) -> Value {
    if namespace.is_empty() { json!({"name": name}) } else { json!({"name": name, "namespace": namespace}) }
}

fn claim(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(namespace, NAME),
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    })
}

/// One pod at a time: its data has one writer. It runs without root and without privileges.
fn deployment(of: &Installation<'_>) -> Value {
    let mut arguments = vec!["operator".to_owned(), "--data-dir=/data".into(), "--listen=0.0.0.0".into()];
    arguments.push("--advertise-address=$(POD_IP)".into());
    arguments.extend(of.tenants.iter().map(|namespace| format!("--namespace={namespace}")));
    let labels = json!({"app.kubernetes.io/name": NAME});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(of.namespace, NAME),
        "spec": {
            "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": NAME, "image": of.image, "args": arguments,
                        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": NAME}}],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(tenants: &[String]) -> Vec<String> {
        let of = Installation { namespace: "joey-system", image: "joey", tenants };
        let name = |m: &Value| {
            format!(
                "{} {}",
                m["kind"].as_str().unwrap_or(""),
                m["metadata"]["namespace"].as_str().unwrap_or("-")
            )
        };
        manifests(&of).iter().map(name).collect()
    }

    #[test]
    fn with_namespaces_there_is_no_right_beyond_them_but_to_see_nodes_and_classes() {
        let named = kinds(&["a".into(), "b".into()]);
        assert_eq!(named.iter().filter(|k| k.starts_with("ClusterRoleBinding")).count(), 1);
        assert!(named.contains(&"RoleBinding a".to_owned()) && named.contains(&"RoleBinding b".to_owned()));
        assert_eq!(cluster_rules(false).as_array().map(Vec::len), Some(2));
        assert_eq!(kinds(&[]).iter().filter(|k| k.starts_with("ClusterRoleBinding")).count(), 2);
    }

    #[test]
    fn nobody_is_given_everything() {
        let all =
            serde_json::to_string(&manifests(&Installation { namespace: "j", image: "i", tenants: &[] }))
                .unwrap();
        assert!(!all.contains("\"*\""), "no wildcards");
        for escalating in ["escalate", "impersonate", "\"bind\"", "serviceaccounts/token", "clusterroles\""] {
            assert!(!all.contains(escalating), "{escalating}");
        }
    }
}
