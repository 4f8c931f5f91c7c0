//! Endpoints and EndpointSlices.

use crate::ip;
use crate::node::{
    Errors, IMMUTABLE, Node, check_required_supported, check_supported, check_text, check_text_if_set,
};
use object::{FieldError, Path, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Endpoints.
pub fn endpoints(e: &mut Errors, object: &Value) {
    subsets(e, object, &[]);
}

/// An update of Endpoints: addresses that were there stay acceptable.
pub fn endpoints_update(e: &mut Errors, new: &Value, old: &Value) {
    let root = Node::root(old);
    let kept: Vec<_> = root
        .get("subsets")
        .items()
        .flat_map(|s| s.get("addresses").items().chain(s.get("notReadyAddresses").items()))
        .map(|a| a.get("ip").text())
        .collect();
    subsets(e, new, &kept);
}

fn subsets(e: &mut Errors, object: &Value, kept: &[&str]) {
    for subset in Node::root(object).get("subsets").items() {
        let lists = ["addresses", "notReadyAddresses"].map(|list| subset.get(list));
        if lists.iter().all(Node::is_empty) {
            e.push(subset.required("must specify `addresses` or `notReadyAddresses`"));
        }
        for address in lists.iter().flat_map(Node::items) {
            ip::legacy_ip(e, &address.get("ip"), kept);
            check_text_if_set(e, &address.get("hostname"), names::dns1123_label);
            if address.get("nodeName").is_set() {
                check_text(e, &address.get("nodeName"), names::dns1123_subdomain);
            }
            ip::non_special(e, &address.get("ip"));
        }
        let ports = subset.get("ports");
        for port in ports.items() {
            if ports.len() > 1 && port.get("name").is_empty() {
                e.push(port.get("name").required(""));
            }
            check_text_if_set(e, &port.get("name"), names::dns1123_label);
            let number = port.get("port");
            e.extend(names::port_number(number.int()).iter().map(|m| number.invalid_as(number.int(), m)));
            check_required_supported(e, &port.get("protocol"), &PROTOCOLS);
            if port.get("appProtocol").is_set() {
                check_text(e, &port.get("appProtocol"), names::qualified_name);
            }
        }
    }
}

/// An EndpointSlice.
pub fn endpoint_slice(e: &mut Errors, object: &Value) {
    slice(e, object, &[]);
}

/// An update of an EndpointSlice: its address type stays.
pub fn endpoint_slice_update(e: &mut Errors, new: &Value, old: &Value) {
    let old_root = Node::root(old);
    let kept: Vec<_> = old_root.get("endpoints").items().flat_map(|x| x.get("addresses").texts()).collect();
    slice(e, new, &kept);
    let kind = Node::root(new).get("addressType");
    if kind.text() != old_root.get("addressType").text() {
        e.push(kind.invalid_text(IMMUTABLE));
    }
}

fn slice(e: &mut Errors, object: &Value, kept: &[&str]) {
    let root = Node::root(object);
    check_required_supported(e, &root.get("addressType"), &["FQDN", "IPv4", "IPv6"]);
    ports(e, &root.get("ports"));
    let endpoints = root.get("endpoints");
    if endpoints.len() > 1000 {
        e.push(FieldError::too_many(&endpoints.path, endpoints.len(), 1000));
    } else {
        let kind = root.get("addressType").text();
        endpoints.items().for_each(|x| endpoint(e, &x, kind, kept));
    }
}

fn endpoint(e: &mut Errors, endpoint: &Node<'_>, kind: &str, kept: &[&str]) {
    let addresses = endpoint.get("addresses");
    if addresses.is_empty() {
        e.push(addresses.required("must contain at least 1 address"));
    } else if addresses.len() > 100 {
        e.push(FieldError::too_many(&addresses.path, addresses.len(), 100));
    }
    for address in addresses.items() {
        match kind {
            "IPv4" | "IPv6" => ip_of_family(e, &address, &addresses.path, kind == "IPv6", kept),
            "FQDN" => domain(e, &address),
            _ => {}
        }
    }
    if endpoint.get("nodeName").is_set() {
        check_text(e, &endpoint.get("nodeName"), names::dns1123_subdomain);
    }
    let topology = endpoint.get("deprecatedTopology");
    if topology.len() > 16 {
        e.push(FieldError::too_many(&topology.path, topology.len(), 16));
    }
    crate::metadata::labels(e, &topology);
    if endpoint.get("hostname").is_set() {
        check_text(e, &endpoint.get("hostname"), names::dns1123_label);
    }
    for (list, what) in
        [("forZones", names::label_value as fn(&str) -> Vec<String>), ("forNodes", names::dns1123_subdomain)]
    {
        hints(e, &endpoint.get("hints").get(list), what);
    }
}

fn hints(e: &mut Errors, hints: &Node<'_>, check: fn(&str) -> Vec<String>) {
    if hints.len() > 8 {
        e.push(FieldError::too_many(&hints.path, hints.len(), 8));
        return;
    }
    let mut seen = BTreeSet::new();
    for hint in hints.items() {
        let name = hint.get("name");
        if !seen.insert(name.text()) {
            e.push(FieldError::duplicate(&name.path, &json!(name.text())));
        }
        check_text(e, &name, check);
    }
}

fn ip_of_family(e: &mut Errors, address: &Node<'_>, all: &Path, v6: bool, kept: &[&str]) {
    let before = e.len();
    if v6 && !kept.contains(&address.text()) {
        ip::canonical_ip(e, address);
    } else {
        ip::legacy_ip(e, address, kept);
    }
    if e.len() > before {
        return;
    }
    let family = if v6 { "IPv6" } else { "IPv4" };
    if address.text().contains(':') != v6 {
        e.push(address.moved(all.clone()).invalid(&format!("must be an {family} address")));
    }
    ip::non_special(e, address);
}

fn domain(e: &mut Errors, address: &Node<'_>) {
    let text = address.text();
    if text.is_empty() {
        e.push(address.required(""));
        return;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let errors = names::dns1123_subdomain(name);
    if !errors.is_empty() {
        e.push(address.invalid_as(name, &errors.join(",")));
    } else if !name.contains('.') {
        e.push(address.invalid_as(name, "should be a domain with at least two segments separated by dots"));
    } else if let Some(label) = name.split('.').find(|l| !names::dns1123_label(l).is_empty()) {
        e.push(address.invalid_as(label, &names::dns1123_label(label).join(",")));
    }
}

fn ports(e: &mut Errors, ports: &Node<'_>) {
    if ports.len() > 20_000 {
        e.push(FieldError::too_many(&ports.path, ports.len(), 20_000));
        return;
    }
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.get("name");
        check_text_if_set(e, &name, names::dns1123_label);
        if !seen.insert(name.text()) {
            e.push(FieldError::duplicate(&name.path, &json!(name.text())));
        }
        if !port.get("protocol").is_set() {
            e.push(port.get("protocol").required(""));
        }
        check_supported(e, &port.get("protocol"), &PROTOCOLS);
        if port.get("appProtocol").is_set() {
            check_text(e, &port.get("appProtocol"), names::qualified_name);
        }
    }
}
