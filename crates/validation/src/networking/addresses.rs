//! IPAddresses and ServiceCIDRs.

use crate::ip;
use crate::node::{Errors, IMMUTABLE, Node, check_required_text, check_text_if_set, same};
use object::{FieldError, names};
use serde_json::{Value, json};

/// What is wrong with an IPAddress's name: it is an address.
pub fn ip_address_name(name: &str) -> Vec<String> {
    let mut errors = vec![];
    let value = json!(name);
    ip::canonical_ip(&mut errors, &Node::root(&value));
    let shown = format!("Invalid value: {}: ", object::error::quote(name));
    errors.into_iter().map(|e| e.message.strip_prefix(&shown).unwrap_or(&e.message).to_owned()).collect()
}

/// An IPAddress.
pub fn ip_address(e: &mut Errors, object: &Value) {
    let parent = Node::root(object).get("spec").get("parentRef");
    if !parent.is_set() {
        e.push(parent.required(""));
        return;
    }
    check_text_if_set(e, &parent.get("group"), names::dns1123_subdomain);
    check_required_text(e, &parent.get("resource"), names::path_segment_name);
    check_required_text(e, &parent.get("name"), names::path_segment_name);
    check_text_if_set(e, &parent.get("namespace"), names::path_segment_name);
}

/// An update of an IPAddress: its parent stays.
pub fn ip_address_update(e: &mut Errors, new: &Value, old: &Value) {
    let parent = Node::root(new).get("spec").get("parentRef");
    if !same(parent.value, &old["spec"]["parentRef"]) {
        e.push(parent.invalid(IMMUTABLE));
    }
}

/// A ServiceCIDR.
pub fn service_cidr(e: &mut Errors, object: &Value) {
    let cidrs = Node::root(object).get("spec").get("cidrs");
    if cidrs.is_empty() {
        e.push(cidrs.required("at least one CIDR required"));
        return;
    }
    if cidrs.len() > 2 {
        // Go shows its own struct.
        let shown = format!("{{\"CIDRs\":{}}}", cidrs.value);
        e.push(FieldError::invalid_shown(&cidrs.path, &shown, "may only hold up to 2 values"));
        return;
    }
    cidrs.items().for_each(|cidr| ip::canonical_cidr(e, &cidr));
    let families: Vec<_> =
        cidrs.texts().iter().filter_map(|c| Some(ip::parse_cidr_sloppy(c)?.0.is_ipv4())).collect();
    if let [first, second] = families[..]
        && first == second
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        e.push(cidrs.invalid(detail));
    }
}

/// An update of a ServiceCIDR: a second family may be added, nothing else.
pub fn service_cidr_update(e: &mut Errors, new: &Value, old: &Value) {
    let cidrs = Node::root(new).get("spec").get("cidrs");
    let was = Node::root(old).get("spec").get("cidrs");
    let changed = |e: &mut Errors| {
        for (now, before) in cidrs.items().zip(was.texts()).filter(|(now, before)| now.text() != *before) {
            debug_assert_ne!(now.text(), before);
            e.push(now.invalid(IMMUTABLE));
        }
    };
    match (was.len(), cidrs.len()) {
        (before, now) if before == now => changed(e),
        (1, 2) => {
            changed(e);
            service_cidr(e, new);
        }
        _ => e.push(cidrs.invalid(IMMUTABLE)),
    }
}
