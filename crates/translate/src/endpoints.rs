//! EndpointSlices of services that select no pods.
//!
//! Inside of the host, such a service leads a client nowhere it could not go by itself. One that is reached from outside (node
//! ports, load balancers, ingresses) would let a tenant publish whatever the host's network holds, so there only its own pods count.

use crate::{Cluster, marks, names};
use object::{Value, json, meta};

/// Whether a service's endpoints are what its tenant says, and not what the host finds.
pub fn has_own_endpoints(service: &Value) -> bool {
    service["spec"]["type"] != "ExternalName"
        && service["spec"]["selector"].as_object().is_none_or(|s| s.is_empty())
}

/// Whether a service is reached from outside of the host by itself.
pub fn is_exposed(service: &Value) -> bool {
    matches!(service["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer"))
}

/// The host slice of a virtual one, owned by the host service; and the first address that was left out, if its service is
/// `exposed` to the outside. `own` tells the addresses of this virtual cluster's pods.
pub fn endpoint_slice(
    cluster: &Cluster,
    slice: &Value,
    service: &Value,
    host_service: &Value,
    exposed: bool,
    own: &dyn Fn(&str) -> bool,
) -> (Value, Option<String>) {
    let mut left_out = None;
    let mut endpoints = Vec::new();
    for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
        let addresses = endpoint["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let (kept, other): (Vec<&str>, Vec<&str>) = addresses.partition(|a| !exposed || own(a));
        left_out = left_out.or_else(|| other.first().map(|a| (*a).to_owned()));
        if kept.is_empty() {
            continue;
        }
        let mut host = json!({"addresses": kept});
        for field in ["conditions", "hostname", "nodeName", "zone"] {
            if let Some(value) = endpoint.get(field).filter(|v| !v.is_null()) {
                host[field] = value.clone();
            }
        }
        endpoints.push(host);
    }
    let mut metadata = marks::metadata(cluster, slice);
    let service_name = names::host(cluster, meta::namespace(service), meta::name(service));
    metadata["labels"]["kubernetes.io/service-name"] = service_name.into();
    metadata["labels"]["endpointslice.kubernetes.io/managed-by"] = "joey.dev".into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Service", "name": meta::name(host_service), "uid": meta::uid(host_service),
    }]);
    let host = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": slice["addressType"], "endpoints": endpoints, "ports": slice["ports"],
    });
    (host, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_from_outside_leads_to_own_pods_only() {
        let cluster = Cluster::test();
        let slice = json!({
            "metadata": {"name": "db-1", "namespace": "ns", "uid": "s", "labels": {"kubernetes.io/service-name": "db"}},
            "addressType": "IPv4", "ports": [{"port": 5432}],
            "endpoints": [{"addresses": ["10.0.0.9"], "targetRef": {"kind": "Pod"}}, {"addresses": ["10.244.0.3"], "conditions": {"ready": true}}],
        });
        let own = |address: &str| address == "10.244.0.3";
        let host_service = json!({"metadata": {"name": "db-x-ns-x-demo", "uid": "h"}});
        let carried = |kind: &str| {
            let service = json!({"metadata": {"name": "db", "namespace": "ns"}, "spec": {"type": kind}});
            endpoint_slice(&cluster, &slice, &service, &host_service, is_exposed(&service), &own)
        };
        let (host, left_out) = carried("ClusterIP");
        assert_eq!(left_out, None);
        assert_eq!(
            host["endpoints"],
            json!([{"addresses": ["10.0.0.9"]}, {"addresses": ["10.244.0.3"], "conditions": {"ready": true}}])
        );
        assert_eq!(host["metadata"]["labels"]["kubernetes.io/service-name"], "db-x-ns-x-demo");
        for kind in ["NodePort", "LoadBalancer"] {
            let (host, left_out) = carried(kind);
            assert_eq!(left_out.as_deref(), Some("10.0.0.9"));
            assert_eq!(
                host["endpoints"],
                json!([{"addresses": ["10.244.0.3"], "conditions": {"ready": true}}])
            );
        }
    }
}
