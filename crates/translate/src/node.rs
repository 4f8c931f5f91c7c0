//! Nodes: what a tenant may know of the machines its pods run on.

use object::{Value, json, meta};

/// The virtual node of a host node: labels, capacity, conditions and versions; no addresses of the host's network beyond its
/// name, no images, no annotations, no taints' private reasons.
pub fn node(host: &Value) -> Value {
    let status = &host["status"];
    let name = meta::name(host);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": host["metadata"]["labels"]},
        "spec": {
            "taints": host["spec"]["taints"], "unschedulable": host["spec"]["unschedulable"],
            "providerID": format!("joey://{name}"),
        },
        "status": {
            "capacity": status["capacity"], "allocatable": status["allocatable"], "conditions": status["conditions"],
            "nodeInfo": status["nodeInfo"],
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": internal_ip(status)}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    })
}

fn internal_ip(status: &Value) -> Value {
    let addresses = status["addresses"].as_array().into_iter().flatten();
    addresses
        .into_iter()
        .find(|a| a["type"] == "InternalIP")
        .map_or("127.0.0.1".into(), |a| a["address"].clone())
}
