//! The Services by which a virtual cluster's DNS server is found: the host's, which pods are told of, and the `kube-dns` that
//! tenants see.

use crate::host_objects::metadata;
use object::{Value, json};
use std::net::IpAddr;

fn ports() -> Value {
    json!([
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ])
}

/// The host Service. It selects nothing: [`dns_endpoints`] says where it leads.
pub fn dns_service(owner: &Value, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(owner, name),
        "spec": {"type": "ClusterIP", "ports": ports()},
    })
}

/// Where the host Service `name` leads.
pub fn dns_endpoints(owner: &Value, name: &str, ip: IpAddr, datagrams: u16, streams: u16) -> Value {
    let mut metadata = metadata(owner, name);
    metadata["labels"]["kubernetes.io/service-name"] = name.into();
    metadata["labels"]["endpointslice.kubernetes.io/managed-by"] = "joey.dev".into();
    slice(metadata, ip, datagrams, streams)
}

/// The Service that tenants see.
pub fn virtual_dns_service(address: IpAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kube-dns", "namespace": "kube-system",
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "app.kubernetes.io/managed-by": "joey"},
        },
        "spec": {"type": "ClusterIP", "clusterIP": address.to_string(), "ports": ports()},
    })
}

/// Where the tenants' Service leads.
pub fn virtual_dns_endpoints(ip: IpAddr, datagrams: u16, streams: u16) -> Value {
    let metadata = json!({
        "name": "kube-dns", "namespace": "kube-system",
        "labels": {"k8s-app": "kube-dns", "kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "joey.dev"},
    });
    slice(metadata, ip, datagrams, streams)
}

fn slice(metadata: Value, ip: IpAddr, datagrams: u16, streams: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": if ip.is_ipv6() { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
        "ports": [
            {"name": "dns", "port": datagrams, "protocol": "UDP"},
            {"name": "dns-tcp", "port": streams, "protocol": "TCP"},
        ],
    })
}
