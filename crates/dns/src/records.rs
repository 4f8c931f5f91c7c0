//! What a service's names hold, from the service and its endpoint slices. Pure.

use crate::name::to_dashed;
use object::{Value, meta};
use std::net::IpAddr;

/// The label by which a slice names its service.
pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// One endpoint that takes traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its label under the service's name.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// Ports: name, protocol in lowercase, number.
    pub ports: Vec<Port>,
}

/// A port of a service or endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub name: String,
    pub protocol: String,
    pub number: u16,
}

fn ports(list: &Value) -> Vec<Port> {
    let read = |port: &Value| {
        Some(Port {
            name: port["name"].as_str().unwrap_or("").to_ascii_lowercase(),
            protocol: port["protocol"].as_str().unwrap_or("TCP").to_ascii_lowercase(),
            number: port["port"].as_u64().and_then(|n| u16::try_from(n).ok())?,
        })
    };
    list.as_array().into_iter().flatten().filter_map(read).collect()
}

/// The ports of a service.
pub(crate) fn service_ports(service: &Value) -> Vec<Port> {
    ports(&service["spec"]["ports"])
}

/// Whether a service has no address of its own.
pub(crate) fn is_headless(service: &Value) -> bool {
    service["spec"]["clusterIP"] == "None"
}

/// The name that an `ExternalName` service stands for.
pub(crate) fn external_name(service: &Value) -> Option<&str> {
    let name = service["spec"]["externalName"].as_str();
    name.filter(|n| !n.is_empty() && service["spec"]["type"] == "ExternalName")
}

/// A service's own addresses.
pub(crate) fn cluster_addresses(service: &Value) -> Vec<IpAddr> {
    let all = service["spec"]["clusterIPs"].as_array().map_or(&[][..], Vec::as_slice);
    let one = std::slice::from_ref(&service["spec"]["clusterIP"]);
    let texts = if all.is_empty() { one } else { all };
    texts.iter().filter_map(|ip| ip.as_str()?.parse().ok()).collect()
}

/// The endpoints of slices that are ready; one that says nothing of it is. Several addresses of one endpoint mean the same
/// place, and the first is the one to use.
pub(crate) fn ready(slices: &[Value]) -> Vec<Endpoint> {
    let mut found: Vec<Endpoint> = Vec::new();
    for slice in slices.iter().filter(|s| s["addressType"] != "FQDN") {
        let ports = ports(&slice["ports"]);
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        for endpoint in endpoints.filter(|e| e["conditions"]["ready"] != false) {
            let Some(address) = endpoint["addresses"][0].as_str().and_then(|a| a.parse().ok()) else {
                continue;
            };
            let host = endpoint["hostname"].as_str().filter(|h| !h.is_empty());
            let host = host.map_or_else(|| to_dashed(address), str::to_ascii_lowercase);
            // While slices are rewritten, one endpoint may be in two of them.
            if !found.iter().any(|e| e.address == address && e.host == host && e.ports == ports) {
                found.push(Endpoint { host, address, ports: ports.clone() });
            }
        }
    }
    found
}

/// The service that a slice belongs to.
pub(crate) fn service_of(slice: &Value) -> Option<(&str, &str)> {
    Some((meta::namespace(slice), meta::label(slice, SERVICE_LABEL)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn endpoints_that_are_not_ready_have_no_names() {
        let slice = json!({"addressType": "IPv4", "ports": [{"name": "web", "port": 80}], "endpoints": [
            {"addresses": ["10.0.0.1"], "hostname": "A", "conditions": {"ready": true}},
            {"addresses": ["10.0.0.2"], "conditions": {}},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}},
            {"addresses": ["nonsense"]}, {"addresses": []}, {},
        ]});
        let hosts: Vec<_> = ready(&[slice.clone(), slice]).into_iter().map(|e| e.host).collect();
        assert_eq!(hosts, ["a", "10-0-0-2"]);
    }

    #[test]
    fn a_service_without_an_address_yet_has_none() {
        assert!(cluster_addresses(&json!({"spec": {"clusterIP": ""}})).is_empty());
        assert_eq!(
            cluster_addresses(
                &json!({"spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]}})
            )
            .len(),
            2
        );
    }
}
