//! Services: made on the host first, so that the addresses a tenant sees are the real ones.

use crate::{Cluster, marks};
use object::{Map, Value, json, meta};

const PASSED: [&str; 14] = [
    "allocateLoadBalancerNodePorts",
    "externalName",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "loadBalancerSourceRanges",
    "ports",
    "publishNotReadyAddresses",
    "sessionAffinity",
    "sessionAffinityConfig",
    "trafficDistribution",
    "type",
];

/// Whether a virtual service is the one that stands for joey's own name server: its host service is joey's, not a copy.
pub fn is_name_server(service: &Value) -> bool {
    meta::namespace(service) == "kube-system" && meta::name(service) == "kube-dns"
}

/// The host service of a virtual one. `externalIPs` and `loadBalancerIP` stay behind: they would take the host's traffic.
pub fn service(cluster: &Cluster, service: &Value) -> Value {
    let mut spec = Map::new();
    for field in PASSED {
        if let Some(value) = service["spec"].get(field).filter(|v| !v.is_null()) {
            spec.insert(field.into(), value.clone());
        }
    }
    if service["spec"]["clusterIP"] == "None" {
        spec.insert("clusterIP".into(), "None".into());
    }
    if let Some(selector) =
        service["spec"].get("selector").filter(|s| s.as_object().is_some_and(|s| !s.is_empty()))
    {
        spec.insert("selector".into(), marks::selector(cluster, meta::namespace(service), selector));
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": marks::metadata(cluster, service), "spec": spec})
}

/// Writes the host's addresses and node ports into the virtual service.
pub fn adopt_addresses(service: &mut Value, host: &Value) {
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        if let Some(value) = host["spec"].get(field).filter(|v| !v.is_null()) {
            service["spec"][field] = value.clone();
        }
    }
    let host_ports = host["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in service["spec"].get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = host_ports.iter().find(|h| h["port"] == port["port"] && h["protocol"] == port["protocol"]);
        if let Some(number) = same.and_then(|h| h["nodePort"].as_i64()) {
            port["nodePort"] = number.into();
        }
    }
}

/// The virtual service's status: where the host's load balancer listens.
pub fn service_status(host: &Value) -> Value {
    host["status"].clone()
}
