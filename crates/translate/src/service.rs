//! Services: made on the host first, so that the addresses a tenant sees are the real ones.

use crate::{Cluster, marks};
use object::{Map, Value, json, meta};

const PASSED: [&str; 13] = [
    "allocateLoadBalancerNodePorts",
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
    let class = service["spec"]["loadBalancerClass"].as_str().unwrap_or_default();
    if !class.is_empty() && !cluster.policy.load_balancer_classes.iter().any(|c| c == class) {
        // Nobody on the host is asked to balance it: as where no controller knows the class, there are node ports and no more.
        spec.insert("type".into(), "NodePort".into());
        for field in ["loadBalancerClass", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts"] {
            spec.remove(field);
        }
    }
    // A service with external addresses may say how their traffic goes; they stay behind, and so does that.
    if !matches!(spec.get("type").and_then(Value::as_str), Some("NodePort" | "LoadBalancer")) {
        spec.remove("externalTrafficPolicy");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_the_hosts_traffic_stays_behind() {
        let mut cluster = Cluster::test();
        let own = json!({"metadata": {"name": "s", "namespace": "ns", "uid": "u", "annotations": {
            "external-dns.alpha.kubernetes.io/hostname": "www.host.example", "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
        }}, "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "tailscale", "loadBalancerIP": "10.0.0.1", "externalIPs": ["10.0.0.2"],
            "clusterIP": "10.96.0.1", "ports": [{"port": 443}], "selector": {"app": "a", "joey.dev/cluster": "another"},
        }});
        let host = service(&cluster, &own);
        assert_eq!(
            host["spec"],
            json!({"type": "NodePort", "ports": [{"port": 443}], "selector": {
                "app": "a", "held.joey.dev/joey.dev_cluster": "another", "joey.dev/cluster": "demo", "joey.dev/namespace": "ns",
            }})
        );
        assert!(
            host["metadata"]["annotations"]
                .as_object()
                .unwrap()
                .keys()
                .all(|key| key.starts_with("joey.dev/"))
        );
        let external = json!({"metadata": {"name": "s"}, "spec": {"type": "ClusterIP", "externalIPs": ["10.0.0.2"], "externalTrafficPolicy": "Cluster"}});
        assert_eq!(service(&cluster, &external)["spec"], json!({"type": "ClusterIP"}));
        cluster.policy.load_balancer_classes = vec!["tailscale".into()];
        let host = service(&cluster, &own);
        assert_eq!(
            (&host["spec"]["type"], &host["spec"]["loadBalancerClass"]),
            (&json!("LoadBalancer"), &json!("tailscale"))
        );
    }
}
