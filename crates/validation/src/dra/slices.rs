//! ResourceSlices: the devices a driver offers.

use super::{each, each_unique, name_of, qualified, taint};
use crate::node::{Errors, IMMUTABLE, Node, check_required_text, check_text};
use crate::pod::volume_sources::csi_driver_name;
use crate::selectors::node_selector;
use object::{FieldError, names};
use serde_json::Value;
use std::collections::BTreeSet;

/// A ResourceSlice.
pub fn slice(e: &mut Errors, object: &Value) {
    changed_slice(e, object, None);
}

/// An update of a ResourceSlice: driver, node and pool stay.
pub fn slice_update(e: &mut Errors, new: &Value, old: &Value) {
    changed_slice(e, new, Some(&old["spec"]));
}

fn changed_slice(e: &mut Errors, object: &Value, before: Option<&Value>) {
    let spec = Node::root(object).get("spec");
    csi_driver_name(e, &spec.get("driver"));
    pool(e, &spec.get("pool"));
    if let Some(before) = before {
        stays(e, &spec.get("pool").get("name"), &before["pool"]["name"]);
        stays(e, &spec.get("driver"), &before["driver"]);
        stays(e, &spec.get("nodeName"), &before["nodeName"]);
    }
    where_it_is(e, &spec);
    let (devices, counters) = (spec.get("devices"), spec.get("sharedCounters"));
    if devices.is_set() && counters.is_set() {
        e.push(spec.invalid_as("", "only one of `sharedCounters` or `devices` is allowed"));
    }
    let advanced =
        |device: &Node<'_>| !device.get("taints").is_empty() || !device.get("consumesCounters").is_empty();
    let max = if devices.items().any(|device| advanced(&device)) { 64 } else { 128 };
    let selects = spec.get("perDeviceNodeSelection").is_true();
    each_unique(e, &devices, max, name_of, |e, device| self::device(e, &device, selects));
    each_unique(e, &counters, 8, name_of, |e, set| {
        check_required_text(e, &set.get("name"), names::dns1123_label);
        self::counters(e, &set.get("counters"));
    });
}

fn stays(e: &mut Errors, node: &Node<'_>, was: &Value) {
    if node.value != was {
        e.push(node.invalid(IMMUTABLE));
    }
}

fn counters(e: &mut Errors, counters: &Node<'_>) {
    if counters.is_empty() {
        e.push(counters.required(""));
    } else if counters.len() > 32 {
        e.push(FieldError::too_many(&counters.path, counters.len(), 32));
    } else {
        for (name, _) in counters.entries() {
            e.extend(names::dns1123_label(name).iter().map(|m| counters.invalid_as(name, m)));
        }
    }
}

fn device(e: &mut Errors, device: &Node<'_>, selects: bool) {
    device_parts(e, device);
    per_device_node(e, device, selects);
    binding_conditions(e, device);
}

fn device_parts(e: &mut Errors, device: &Node<'_>) {
    check_text(e, &device.get("name"), names::dns1123_label);
    attributes(e, device);
    each(e, &device.get("taints"), 16, |e, t| taint(e, &t));
    each_unique(
        e,
        &device.get("consumesCounters"),
        2,
        |c| c.get("counterSet").text(),
        |e, consumed| {
            check_required_text(e, &consumed.get("counterSet"), names::dns1123_label);
            counters(e, &consumed.get("counters"));
        },
    );
}

fn per_device_node(e: &mut Errors, device: &Node<'_>, selects: bool) {
    let (node, selector, all) = (device.get("nodeName"), device.get("nodeSelector"), device.get("allNodes"));
    if !selects {
        if node.is_set() || selector.is_set() || all.is_set() {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to \
                          true in the ResourceSlice spec";
            e.push(device.invalid_as(Value::Null, detail));
        }
        return;
    }
    let mut set = vec![];
    if node.is_set() {
        if node.is_empty() {
            e.push(node.invalid("must not be empty"));
        } else {
            set.push("`nodeName`");
            check_text(e, &node, names::dns1123_subdomain);
        }
    }
    if selector.is_set() {
        set.push("`nodeSelector`");
        node_selector(e, &selector);
    }
    true_or_unset(e, &all, "`allNodes`", &mut set);
    let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set \
                  to true in the ResourceSlice spec";
    match set.len() {
        0 => e.push(device.required(detail)),
        1 => {}
        _ => e.push(device.invalid_as(format!("{{{}}}", set.join(", ")), detail)),
    }
}

/// What must be true of a device before pods that use it may start, and what says that it never will be.
fn binding_conditions(e: &mut Errors, device: &Node<'_>) {
    let (wanted, failing) = (device.get("bindingConditions"), device.get("bindingFailureConditions"));
    for list in [&wanted, &failing] {
        each(e, list, 4, |e, condition| check_text(e, &condition, names::qualified_name));
    }
    for list in [&wanted, &failing] {
        let mut seen = BTreeSet::new();
        for condition in list.items() {
            if !seen.insert(condition.text()) {
                e.push(condition.duplicate());
            }
            if list.path == failing.path && wanted.texts().contains(&condition.text()) {
                e.push(condition.invalid("bindingFailureConditions must not overlap with bindingConditions"));
            }
        }
    }
    match (wanted.is_empty(), failing.is_empty()) {
        (true, false) => {
            e.push(wanted.invalid("bindingConditions are required to use bindingFailureConditions"));
        }
        (false, true) => {
            e.push(failing.invalid("bindingFailureConditions are required to use bindingConditions"));
        }
        _ => {}
    }
}

fn true_or_unset<'a>(e: &mut Errors, flag: &Node<'_>, shown: &'a str, set: &mut Vec<&'a str>) {
    if flag.is_true() {
        set.push(shown);
    } else if flag.is_set() {
        e.push(flag.invalid("must be either unset or set to true"));
    }
}

/// The name of a pool: DNS subdomains with slashes between them.
pub fn pool_name(e: &mut Errors, name: &Node<'_>) {
    if name.is_empty() {
        e.push(name.required(""));
        return;
    }
    if name.len() > 253 {
        e.push(name.too_long(253));
    }
    for part in name.text().split('/') {
        e.extend(names::dns1123_subdomain(part).iter().map(|m| name.invalid_as(part, m)));
    }
}

fn pool(e: &mut Errors, pool: &Node<'_>) {
    pool_name(e, &pool.get("name"));
    if pool.get("resourceSliceCount").int() <= 0 {
        let count = pool.get("resourceSliceCount");
        e.push(count.invalid_as(count.int(), "must be greater than zero"));
    }
    if pool.get("generation").int() < 0 {
        e.push(pool.get("generation").invalid("must be greater than or equal to zero"));
    }
}

fn where_it_is(e: &mut Errors, spec: &Node<'_>) {
    let (node, selector) = (spec.get("nodeName"), spec.get("nodeSelector"));
    let mut set = vec![];
    if node.is_set() {
        if node.is_empty() {
            e.push(node.invalid("must be either unset or set to a non-empty string"));
        } else {
            set.push("`nodeName`");
            check_text(e, &node, names::dns1123_subdomain);
        }
    }
    if selector.is_set() {
        set.push("`nodeSelector`");
        node_selector(e, &selector);
        let terms = selector.get("nodeSelectorTerms");
        if terms.len() != 1 {
            e.push(terms.invalid("must have exactly one node selector term"));
        }
    }
    true_or_unset(e, &spec.get("allNodes"), "`allNodes`", &mut set);
    true_or_unset(e, &spec.get("perDeviceNodeSelection"), "`perDeviceNodeSelection`", &mut set);
    let all = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 => e.push(spec.required(all)),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", set.join(", "));
            e.push(spec.invalid_as(shown, &format!("{all}, but multiple fields are set")));
        }
    }
}

fn attributes(e: &mut Errors, device: &Node<'_>) {
    let (attributes, capacity) = (device.get("attributes"), device.get("capacity"));
    let count = attributes.len() + capacity.len();
    if count > 32 {
        let detail = "the total number of attributes and capacities must not exceed 32";
        e.push(device.invalid_as(count, detail));
    }
    for (name, attribute) in attributes.entries() {
        qualified(e, name, &attributes);
        attribute_value(e, &attribute);
    }
    for (name, _) in capacity.entries() {
        qualified(e, name, &capacity);
    }
    let several = device.get("allowMultipleAllocations").is_true();
    for (_, amount) in capacity.entries().filter(|_| !several) {
        if amount.get("requestPolicy").is_set() {
            e.push(amount.get("requestPolicy").forbidden("allowMultipleAllocations must be true"));
        }
    }
}

fn attribute_value(e: &mut Errors, attribute: &Node<'_>) {
    const KINDS: [&str; 8] = ["int", "bool", "string", "version", "ints", "bools", "strings", "versions"];
    let set = KINDS.iter().filter(|field| {
        let value = attribute.get(field);
        value.is_set() && !value.value.as_array().is_some_and(Vec::is_empty)
    });
    let set = set.count();
    let (text, version) = (attribute.get("string"), attribute.get("version"));
    if text.len() > 64 {
        e.push(text.too_long(64));
    }
    if version.is_set() {
        if !is_semantic(version.text()) {
            e.push(version.invalid("must be a string compatible with semver.org spec 2.0.0"));
        }
        if version.len() > 64 {
            e.push(version.too_long(64));
        }
    }
    match set {
        0 => e.push(attribute.invalid_as("", "exactly one value must be specified")),
        1 => {}
        _ => {
            e.push(attribute.invalid_struct("DeviceAttribute", "exactly one value must be specified"));
        }
    }
}

/// `1.2.3-pre.1+build`, as semver.org has it.
fn is_semantic(version: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}
