//! NetworkPolicies.

use crate::ip;
use crate::node::{Errors, Node, check_supported, check_text};
use crate::selectors::label_selector;
use object::names;
use serde_json::Value;

/// A NetworkPolicy.
pub fn network_policy(e: &mut Errors, object: &Value) {
    validate(e, object, &[]);
}

/// An update of a NetworkPolicy: CIDRs that were there stay acceptable.
pub fn network_policy_update(e: &mut Errors, new: &Value, old: &Value) {
    let spec = Node::root(old).get("spec");
    let peers = [("ingress", "from"), ("egress", "to")]
        .into_iter()
        .flat_map(|(rules, peers)| spec.get(rules).items().flat_map(move |rule| rule.get(peers).items()));
    let kept: Vec<&str> = peers
        .flat_map(|peer| {
            let block = peer.get("ipBlock");
            let mut cidrs = block.get("except").texts();
            cidrs.push(block.get("cidr").text());
            cidrs
        })
        .collect();
    validate(e, new, &kept);
}

fn validate(e: &mut Errors, object: &Value, kept: &[&str]) {
    let spec = Node::root(object).get("spec");
    label_selector(e, &spec.get("podSelector"));
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(rules).items() {
            rule.get("ports").items().for_each(|p| port(e, &p));
            rule.get(peers).items().for_each(|p| peer(e, &p, kept));
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        e.push(types.invalid("may not specify more than two policyTypes"));
        return;
    }
    types.items().for_each(|kind| check_supported(e, &kind, &["Ingress", "Egress"]));
}

fn port(e: &mut Errors, rule: &Node<'_>) {
    check_supported(e, &rule.get("protocol"), &["TCP", "UDP", "SCTP"]);
    let (port, end) = (rule.get("port"), rule.get("endPort"));
    if !port.is_set() {
        if end.is_set() {
            e.push(end.invalid("may not be specified when `port` is not specified"));
        }
    } else if port.value.is_string() {
        if end.is_set() {
            e.push(end.invalid("may not be specified when `port` is non-numeric"));
        }
        check_text(e, &port, names::port_name);
    } else {
        e.extend(names::port_number(port.int()).iter().map(|m| port.invalid(m)));
        if end.is_set() {
            if end.int() < port.int() {
                e.push(end.invalid_as(port.int(), "must be greater than or equal to `port`"));
            }
            e.extend(names::port_number(end.int()).iter().map(|m| end.invalid(m)));
        }
    }
}

fn peer(e: &mut Errors, peer: &Node<'_>, kept: &[&str]) {
    let kinds = ["podSelector", "namespaceSelector", "ipBlock"].map(|field| peer.get(field));
    label_selector(e, &kinds[0]);
    label_selector(e, &kinds[1]);
    if kinds[2].is_set() {
        ip_block(e, &kinds[2], kept);
    }
    match kinds.iter().filter(|k| k.is_set()).count() {
        0 => e.push(peer.required("must specify a peer")),
        1 => {}
        _ if kinds[2].is_set() => e.push(peer.forbidden("may not specify both ipBlock and another peer")),
        _ => {}
    }
}

fn ip_block(e: &mut Errors, block: &Node<'_>, kept: &[&str]) {
    let cidr = block.get("cidr");
    if cidr.is_empty() {
        e.push(cidr.required(""));
        return;
    }
    ip::legacy_cidr(e, &cidr, kept);
    let Some((network, length)) = ip::parse_cidr_sloppy(cidr.text()) else { return };
    for except in block.get("except").items() {
        ip::legacy_cidr(e, &except, kept);
        let Some((address, except_length)) = ip::parse_cidr_sloppy(except.text()) else { continue };
        let inside = address.is_ipv4() == network.is_ipv4()
            && ip::masked(address, length) == ip::masked(network, length);
        if !inside || length >= except_length {
            e.push(except.invalid("must be a strict subset of `cidr`"));
        }
    }
}
