//! APIServices, and the conditions that several kinds share.

use crate::metadata::label_name;
use crate::node::{Errors, Node, check_text, check_text_if_set};
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An APIService.
pub fn api_service(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let spec = root.get("spec");
    let (group, version) = (spec.get("group"), spec.get("version"));
    let name = root.get("metadata").get("name");
    let expected = format!("{}.{}", version.text(), group.text());
    if !name.is_empty() && names::path_segment_name(name.text()).is_empty() && name.text() != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {}", object::error::quote(&expected));
        e.push(name.invalid(&detail));
    }
    if group.is_empty() && version.text() != "v1" {
        e.push(group.required("only v1 may have an empty group and it better be legacy kube"));
    }
    check_text_if_set(e, &group, names::dns1123_subdomain);
    check_text(e, &version, names::dns1035_label);
    for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let priority = spec.get(field);
        if !(1..=max).contains(&priority.int()) {
            e.push(priority.invalid_as(priority.int(), &format!("must be positive and less than {max}")));
        }
    }
    backend(e, &spec);
}

fn backend(e: &mut Errors, spec: &Node<'_>) {
    let (service, insecure, bundle) =
        (spec.get("service"), spec.get("insecureSkipTLSVerify"), spec.get("caBundle"));
    if !service.is_set() {
        if !bundle.is_empty() {
            let bytes = bundle.text().trim_end_matches('=').len() * 3 / 4;
            e.push(bundle.invalid_as(format!("{bytes} bytes"), "local APIServices may not have a caBundle"));
        }
        if insecure.is_true() {
            e.push(insecure.invalid("local APIServices may not have insecureSkipTLSVerify"));
        }
        return;
    }
    for field in ["namespace", "name"] {
        if service.get(field).is_empty() {
            e.push(service.get(field).required(""));
        }
    }
    let port = service.get("port");
    let errors = names::port_number(port.int());
    if !errors.is_empty() {
        e.push(port.invalid_as(port.int(), &format!("port is not valid: {}", errors.join(", "))));
    }
    if insecure.is_true() && !bundle.is_empty() {
        e.push(insecure.invalid("may not be true if caBundle is present"));
    }
}

/// An update of an APIService.
pub fn api_service_update(e: &mut Errors, new: &Value, _old: &Value) {
    api_service(e, new);
}

/// An update of an APIService's status.
pub fn api_service_status(e: &mut Errors, new: &Value, _old: &Value) {
    for condition in Node::root(new).get("status").get("conditions").items() {
        let status = condition.get("status");
        if !matches!(status.text(), "True" | "False" | "Unknown") {
            e.push(status.not_supported(&["True", "False", "Unknown"]));
        }
    }
}

/// `metav1.Condition`s.
pub fn standard_conditions(e: &mut Errors, conditions: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (kind, status, reason) =
            (condition.get("type"), condition.get("status"), condition.get("reason"));
        if !seen.insert(kind.text()) {
            e.push(FieldError::duplicate(&condition.path, &json!(kind.text())));
        }
        if kind.is_empty() {
            e.push(kind.required("is required"));
        } else {
            label_name(e, kind.text(), &kind.path);
        }
        if status.is_empty() {
            e.push(status.required(""));
        } else if !matches!(status.text(), "True" | "False" | "Unknown") {
            e.push(status.not_supported(&["False", "True", "Unknown"]));
        }
        let generation = condition.get("observedGeneration");
        if generation.int() < 0 {
            e.push(generation.invalid("must be greater than or equal to zero"));
        }
        if !condition.get("lastTransitionTime").is_set() {
            e.push(condition.get("lastTransitionTime").required(""));
        }
        if reason.is_empty() {
            e.push(reason.required(""));
        } else {
            check_text(e, &reason, condition_reason);
            if reason.len() > 1024 {
                e.push(reason.too_long(1024));
            }
        }
        if condition.get("message").len() > 32 * 1024 {
            e.push(condition.get("message").too_long(32 * 1024));
        }
    }
}

fn condition_reason(reason: &str) -> Vec<String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b',' | b':');
    let ends = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = reason.as_bytes();
    let ok = bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|b| ends(*b))
        && bytes.iter().all(|b| inner(*b));
    if ok {
        return vec![];
    }
    let rule = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric \
                characters or '_,:', and must end with an alphanumeric character or '_'";
    let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
    vec![names::regex_error(rule, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples)]
}
