//! The objects a virtual cluster has on its host besides what its tenants made.

use object::{Value, json, meta};
use std::net::SocketAddr;

pub(crate) fn metadata(owner: &Value, name: &str) -> Value {
    json!({
        "name": name, "namespace": meta::namespace(owner),
        "labels": {"joey.dev/cluster": meta::name(owner), "app.kubernetes.io/managed-by": "joey"},
        "ownerReferences": [{
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta::name(owner), "uid": meta::uid(owner), "controller": true,
        }],
    })
}

/// The Service by which pods reach their API server. It selects nothing: [`api_endpoints`] says where it leads.
pub fn api_service(owner: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(owner, meta::name(owner)),
        "spec": {"type": "ClusterIP", "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 443}]},
    })
}

/// Where the API's Service leads.
pub fn api_endpoints(owner: &Value, address: SocketAddr) -> Value {
    let name = meta::name(owner);
    let mut metadata = metadata(owner, name);
    metadata["labels"]["kubernetes.io/service-name"] = name.into();
    metadata["labels"]["endpointslice.kubernetes.io/managed-by"] = "joey.dev".into();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": if address.is_ipv6() { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
    })
}

/// The name of the Secret with a virtual cluster's kubeconfig.
pub fn kubeconfig_secret_name(cluster: &str) -> String {
    format!("{cluster}-kubeconfig")
}

/// The Secret that holds an administrator's kubeconfig under `config`.
pub fn kubeconfig_secret(owner: &Value, kubeconfig: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": metadata(owner, &kubeconfig_secret_name(meta::name(owner))), "stringData": {"config": kubeconfig},
    })
}
