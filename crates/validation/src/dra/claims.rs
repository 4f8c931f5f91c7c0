//! DeviceClasses, ResourceClaims and ResourceClaimTemplates. Whether CEL compiles is judged elsewhere.

use crate::node::{Errors, IMMUTABLE, Node, check_required_text, check_text, same};
use crate::pod::volume_sources::csi_driver_name;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A DeviceClass.
pub fn device_class(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    selectors(e, &spec.get("selectors"));
    configs(e, &spec.get("config"), None);
    let extended = spec.get("extendedResourceName");
    if extended.is_set() && !crate::resources::is_extended(extended.text()) {
        e.push(extended.invalid("must be a valid extended resource name"));
    }
}

/// An update of a DeviceClass.
pub fn device_class_update(e: &mut Errors, new: &Value, _old: &Value) {
    device_class(e, new);
}

/// A ResourceClaim.
pub fn claim(e: &mut Errors, object: &Value) {
    claim_spec(e, &Node::root(object).get("spec"));
}

/// An update of a ResourceClaim: its spec stays.
pub fn claim_update(e: &mut Errors, new: &Value, old: &Value) {
    let spec = Node::root(new).get("spec");
    if !same(spec.value, &old["spec"]) {
        e.push(spec.invalid(IMMUTABLE));
    }
}

/// A ResourceClaimTemplate.
pub fn template(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let meta = spec.get("metadata");
    crate::metadata::annotations(e, &meta.get("annotations"));
    crate::metadata::labels(e, &meta.get("labels"));
    claim_spec(e, &spec.get("spec"));
}

/// An update of a ResourceClaimTemplate: its spec stays.
pub fn template_update(e: &mut Errors, new: &Value, old: &Value) {
    let spec = Node::root(new).get("spec");
    if !same(spec.value, &old["spec"]) {
        e.push(spec.invalid(IMMUTABLE));
    }
}

/// The names that constraints and configs may refer to: requests, and `request/subrequest`.
fn request_names(devices: &Node<'_>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for request in devices.get("requests").items() {
        let name = request.get("name").text();
        all.insert(name.to_owned());
        for sub in request.get("firstAvailable").items() {
            all.insert(format!("{name}/{}", sub.get("name").text()));
        }
    }
    all
}

fn claim_spec(e: &mut Errors, spec: &Node<'_>) {
    let devices = spec.get("devices");
    let known = request_names(&devices);
    let requests = devices.get("requests");
    requests.items().for_each(|r| request(e, &r));
    limited(e, &requests, 32);
    unique(e, &requests, |r| r.get("name").text());
    for constraint in devices.get("constraints").items() {
        references(e, &constraint.get("requests"), &known);
        let (attribute, distinct) = (constraint.get("matchAttribute"), constraint.get("distinctAttribute"));
        if attribute.is_set() {
            fully_qualified(e, &attribute);
        } else if distinct.is_set() {
            fully_qualified(e, &distinct);
        } else {
            e.push(attribute.required(""));
        }
    }
    limited(e, &devices.get("constraints"), 32);
    configs(e, &devices.get("config"), Some(&known));
}

fn limited(e: &mut Errors, list: &Node<'_>, max: usize) {
    if list.len() > max {
        e.push(FieldError::too_many(&list.path, list.len(), max));
    }
}

fn unique<'a>(e: &mut Errors, list: &Node<'a>, key: impl Fn(&Node<'a>) -> &'a str) {
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let name = key(&item);
        if !name.is_empty() && !seen.insert(name) {
            e.push(FieldError::duplicate(&item.path, &json!(name)));
        }
    }
}

fn request(e: &mut Errors, request: &Node<'_>) {
    check_text(e, &request.get("name"), names::dns1123_label);
    let (exactly, first) = (request.get("exactly"), request.get("firstAvailable"));
    match (exactly.is_set(), first.is_set()) {
        (true, true) => {
            let detail =
                "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            e.push(request.invalid_as(Value::Null, detail));
        }
        (false, false) => {
            e.push(request.required("exactly one of `exactly` or `firstAvailable` is required"))
        }
        (true, false) => device_request(e, &exactly),
        (false, true) => {
            for sub in first.items() {
                check_text(e, &sub.get("name"), names::dns1123_label);
                device_request(e, &sub);
            }
            limited(e, &first, 8);
            unique(e, &first, |r| r.get("name").text());
        }
    }
}

fn device_request(e: &mut Errors, request: &Node<'_>) {
    check_required_text(e, &request.get("deviceClassName"), names::dns1123_subdomain);
    selectors(e, &request.get("selectors"));
    let (mode, count) = (request.get("allocationMode"), request.get("count"));
    match mode.text() {
        "All" => {
            if count.int() != 0 {
                e.push(count.invalid("must not be specified when allocationMode is 'All'"));
            }
        }
        "ExactCount" => {
            if count.int() <= 0 {
                e.push(count.invalid_as(count.int(), "must be greater than zero"));
            }
        }
        _ => e.push(mode.not_supported(&["All", "ExactCount"])),
    }
    request.get("tolerations").items().for_each(|t| toleration(e, &t));
}

fn toleration(e: &mut Errors, toleration: &Node<'_>) {
    let (key, operator, value, effect) = (
        toleration.get("key"),
        toleration.get("operator"),
        toleration.get("value"),
        toleration.get("effect"),
    );
    if !key.is_empty() {
        check_text(e, &key, names::qualified_name);
    }
    match operator.text() {
        "Exists" => {
            if !value.is_empty() {
                e.push(value.invalid("must be empty for operator `Exists`"));
            }
        }
        "Equal" => {
            if key.is_empty() {
                e.push(key.required("must not be empty for operator `Equal`"));
            }
            check_text(e, &value, names::label_value);
        }
        "" => e.push(operator.required("")),
        _ => e.push(operator.not_supported(&["Equal", "Exists"])),
    }
    if !effect.is_empty() && !matches!(effect.text(), "NoSchedule" | "NoExecute" | "None") {
        e.push(effect.not_supported(&["NoExecute", "NoSchedule", "None"]));
    }
}

fn selectors(e: &mut Errors, selectors: &Node<'_>) {
    for selector in selectors.items() {
        let cel = selector.get("cel");
        let expression = cel.get("expression");
        if !cel.is_set() {
            e.push(cel.required(""));
        } else if expression.text().trim().is_empty() {
            e.push(expression.required(""));
        } else if expression.len() > 10 * 1024 {
            e.push(expression.too_long(10 * 1024));
        }
    }
    limited(e, selectors, 32);
}

fn references(e: &mut Errors, references: &Node<'_>, known: &BTreeSet<String>) {
    const WANTED: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    for reference in references.items() {
        let segments: Vec<_> = reference.text().split('/').collect();
        if segments.len() > 2 {
            e.push(reference.invalid(WANTED));
            continue;
        }
        for segment in segments {
            e.extend(names::dns1123_label(segment).iter().map(|m| reference.invalid_as(segment, m)));
        }
        if !known.contains(reference.text()) {
            e.push(reference.invalid_text(WANTED));
        }
    }
    limited(e, references, 32);
    let mut seen = BTreeSet::new();
    for reference in references.items() {
        if !seen.insert(reference.text()) {
            e.push(reference.duplicate());
        }
    }
}

/// `domain/identifier`.
fn fully_qualified(e: &mut Errors, name: &Node<'_>) {
    if name.is_empty() {
        e.push(name.required("name required"));
        return;
    }
    super::slices::qualified(e, name.text(), name);
    if !name.text().contains('/') {
        e.push(name.invalid("must include a domain"));
    }
}

fn configs(e: &mut Errors, configs: &Node<'_>, known: Option<&BTreeSet<String>>) {
    for config in configs.items() {
        if let Some(known) = known {
            references(e, &config.get("requests"), known);
        }
        let opaque = config.get("opaque");
        if !opaque.is_set() {
            e.push(opaque.required(""));
            continue;
        }
        csi_driver_name(e, &opaque.get("driver"));
        let parameters = opaque.get("parameters");
        if !parameters.is_set() {
            e.push(parameters.required(""));
        } else if parameters.value.to_string().len() > 10 * 1024 {
            e.push(parameters.too_long(10 * 1024));
        } else if !parameters.value.is_object() {
            e.push(parameters.invalid_as("<value omitted>", "parameters must be a valid JSON object"));
        }
    }
    limited(e, configs, 32);
}

/// An update of a ResourceClaim's status: an allocation stays, users come one by one.
pub fn claim_status(e: &mut Errors, new: &Value, old: &Value) {
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (status, was) = (root.get("status"), old_root.get("status"));
    let reserved = status.get("reservedFor");
    limited(e, &reserved, 256);
    unique(e, &reserved, |r| r.get("uid").text());
    for consumer in reserved.items() {
        for field in ["resource", "name", "uid"] {
            if consumer.get(field).is_empty() {
                e.push(consumer.get(field).required(""));
            }
        }
    }
    let allocation = status.get("allocation");
    if !reserved.is_empty() && !allocation.is_set() {
        e.push(reserved.forbidden("may not be specified when `allocated` is not set"));
    }
    if was.get("allocation").is_set() && allocation.is_set() && !same(allocation.value, was.raw("allocation"))
    {
        e.push(allocation.invalid(IMMUTABLE));
    }
    let deleting = root.get("metadata").get("deletionTimestamp").is_set();
    let added = reserved.list().iter().any(|r| !was.get("reservedFor").list().contains(r));
    if deleting && added {
        e.push(reserved.forbidden("new entries may not be added while `deletionTimestamp` is set"));
    }
}
