//! DeviceClasses, ResourceClaims and ResourceClaimTemplates.

use super::{each, each_unique, name_of, qualified};
use crate::expressions::{Wanted, device_environment, fault};
use crate::node::{Errors, IMMUTABLE, Node, check_immutable_struct, check_required_text, check_text, same};
use crate::pod::volume_sources::csi_driver_name;
use object::names;
use serde_json::Value;
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
pub fn device_class_update(e: &mut Errors, new: &Value, old: &Value) {
    if !same(&new["spec"], &old["spec"]) {
        device_class(e, new);
    }
}

/// A ResourceClaim.
pub fn claim(e: &mut Errors, object: &Value) {
    claim_spec(e, &Node::root(object).get("spec"));
}

/// An update of a ResourceClaim: its spec stays.
pub fn claim_update(e: &mut Errors, new: &Value, old: &Value) {
    let (spec, was) = (Node::root(new).get("spec"), Node::root(old).get("spec"));
    if same(spec.value, was.value) {
        claim(e, new);
    }
    check_immutable_struct(e, &spec, &was, "ResourceClaimSpec");
}

/// Metadata that a template of objects cannot give them.
const NOT_IN_TEMPLATES: [&str; 13] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// A ResourceClaimTemplate.
pub fn template(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let meta = spec.get("metadata");
    crate::metadata::annotations(e, &meta.get("annotations"));
    crate::metadata::labels(e, &meta.get("labels"));
    for field in NOT_IN_TEMPLATES {
        if meta.get(field).is_set() {
            let shown = if field == "uid" { "uID" } else { field };
            e.push(meta.get(field).moved(meta.path.field(shown)).forbidden("cannot be set"));
        }
    }
    claim_spec(e, &spec.get("spec"));
}

/// An update of a ResourceClaimTemplate: its spec stays.
pub fn template_update(e: &mut Errors, new: &Value, old: &Value) {
    if same(&new["spec"], &old["spec"]) {
        return;
    }
    template(e, new);
    let (spec, was) = (Node::root(new).get("spec"), Node::root(old).get("spec"));
    check_immutable_struct(e, &spec, &was, "ResourceClaimTemplateSpec");
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
    each_unique(e, &devices.get("requests"), 32, name_of, |e, r| request(e, &r));
    each(e, &devices.get("constraints"), 32, |e, c| constraint(e, &c, &known));
    configs(e, &devices.get("config"), Some(&known));
}

fn constraint(e: &mut Errors, constraint: &Node<'_>, known: &BTreeSet<String>) {
    references(e, &constraint.get("requests"), known);
    let (attribute, distinct) = (constraint.get("matchAttribute"), constraint.get("distinctAttribute"));
    if attribute.is_set() {
        fully_qualified(e, &attribute);
    } else if distinct.is_set() {
        fully_qualified(e, &distinct);
    } else {
        let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
        e.push(constraint.required(detail));
    }
}

fn request(e: &mut Errors, request: &Node<'_>) {
    check_text(e, &request.get("name"), names::dns1123_label);
    let (exactly, first) = (request.get("exactly"), request.get("firstAvailable"));
    match (exactly.is_set(), !first.is_empty()) {
        (true, true) => {
            let detail =
                "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            e.push(request.invalid_as(Value::Null, detail));
        }
        (false, false) => {
            e.push(request.required("exactly one of `exactly` or `firstAvailable` is required"))
        }
        (true, false) => device_request(e, &exactly),
        (false, true) => each_unique(e, &first, 8, name_of, |e, sub| {
            check_text(e, &sub.get("name"), names::dns1123_label);
            device_request(e, &sub);
        }),
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
        "Equal" => check_text(e, &value, names::label_value),
        "" => e.push(operator.required("")),
        _ => e.push(operator.not_supported(&["Equal", "Exists"])),
    }
    super::effect(e, &effect);
}

fn selectors(e: &mut Errors, selectors: &Node<'_>) {
    if selectors.is_empty() {
        return;
    }
    let environment = device_environment();
    each(e, selectors, 32, |e, selector| {
        let cel = selector.get("cel");
        let expression = cel.get("expression");
        if !cel.is_set() {
            e.push(cel.required(""));
        } else if expression.len() > 10 * 1024 {
            e.push(expression.too_long(10 * 1024));
        } else {
            let why = fault(expression.text(), &environment, Wanted::Selected);
            e.extend(why.map(|why| expression.invalid_text(&why)));
        }
    });
}

fn references(e: &mut Errors, references: &Node<'_>, known: &BTreeSet<String>) {
    each_unique(e, references, 32, |r| r.text(), |e, r| reference(e, &r, known));
}

fn reference(e: &mut Errors, reference: &Node<'_>, known: &BTreeSet<String>) {
    const WANTED: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let segments: Vec<_> = reference.text().split('/').collect();
    if segments.len() > 2 {
        e.push(reference.invalid(WANTED));
        return;
    }
    for segment in segments {
        e.extend(names::dns1123_label(segment).iter().map(|m| reference.invalid_as(segment, m)));
    }
    if !known.contains(reference.text()) {
        e.push(reference.invalid_text(WANTED));
    }
}

/// `domain/identifier`.
fn fully_qualified(e: &mut Errors, name: &Node<'_>) {
    qualified(e, name.text(), name);
    if !name.text().contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        e.push(name.invalid_text(detail));
    }
}

fn configs(e: &mut Errors, configs: &Node<'_>, known: Option<&BTreeSet<String>>) {
    each(e, configs, 32, |e, config| {
        if let Some(known) = known {
            references(e, &config.get("requests"), known);
        }
        let opaque = config.get("opaque");
        if !opaque.is_set() {
            e.push(opaque.required(""));
            return;
        }
        csi_driver_name(e, &opaque.get("driver"));
        let parameters = opaque.get("parameters");
        if !parameters.is_set() {
            e.push(parameters.required(""));
        } else if parameters.value.to_string().len() > 10 * 1024 {
            e.push(parameters.too_long(10 * 1024));
        } else if !parameters.value.is_object() {
            e.push(parameters.invalid_as("<value omitted>", "must be a valid JSON object"));
        }
    });
}

/// An update of a ResourceClaim's status: an allocation stays, users come one by one.
pub fn claim_status(e: &mut Errors, new: &Value, old: &Value) {
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (status, was) = (root.get("status"), old_root.get("status"));
    let reserved = status.get("reservedFor");
    each_unique(
        e,
        &reserved,
        256,
        |r| r.get("uid").text(),
        |e, consumer| {
            for field in ["resource", "name", "uid"] {
                if consumer.get(field).is_empty() {
                    e.push(consumer.get(field).required(""));
                }
            }
        },
    );
    let allocation = status.get("allocation");
    let deleting = root.get("metadata").get("deletionTimestamp").is_set();
    let added = reserved.list().iter().any(|r| !was.get("reservedFor").list().contains(r));
    if !reserved.is_empty() && !allocation.is_set() {
        e.push(reserved.forbidden("may not be specified when `allocated` is not set"));
    } else if deleting && added {
        let detail =
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        e.push(reserved.forbidden(detail));
    }
    if was.get("allocation").is_set() && allocation.is_set() {
        if !same(allocation.value, was.raw("allocation")) {
            e.push(allocation.invalid(IMMUTABLE));
        }
    } else if allocation.is_set() {
        allocated(e, &allocation, &request_names(&root.get("spec").get("devices")));
    }
}

/// A new allocation.
fn allocated(e: &mut Errors, allocation: &Node<'_>, known: &BTreeSet<String>) {
    let devices = allocation.get("devices");
    each(e, &devices.get("results"), 32, |e, result| {
        reference(e, &result.get("request"), known);
        csi_driver_name(e, &result.get("driver"));
        super::slices::pool_name(e, &result.get("pool"));
        check_text(e, &result.get("device"), names::dns1123_label);
    });
    each(e, &devices.get("config"), 64, |e, config| {
        let source = config.get("source");
        if source.is_empty() {
            e.push(source.required(""));
        } else if !matches!(source.text(), "FromClaim" | "FromClass") {
            e.push(source.not_supported(&["FromClaim", "FromClass"]));
        }
        references(e, &config.get("requests"), known);
    });
    if allocation.get("nodeSelector").is_set() {
        crate::selectors::node_selector(e, &allocation.get("nodeSelector"));
    }
}
