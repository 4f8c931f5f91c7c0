//! Label selectors, node selectors and topology selectors inside objects.

use crate::metadata::{label_name, labels};
use crate::node::{Errors, Node, check_text};
use object::{FieldError, names};
use serde_json::json;
use std::collections::BTreeSet;

/// A `LabelSelector`; nothing is wrong with an absent one.
pub fn label_selector(e: &mut Errors, selector: &Node<'_>) {
    labels(e, &selector.get("matchLabels"));
    for expression in selector.get("matchExpressions").items() {
        let (operator, values) = (expression.get("operator"), expression.get("values"));
        match operator.text() {
            "In" | "NotIn" if values.is_empty() => {
                e.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                e.push(
                    values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => e.push(operator.invalid_text("not a valid selector operator")),
        }
        label_name(e, expression.get("key").text(), &expression.path.field("key"));
        for value in values.items() {
            check_text(e, &value, names::label_value);
        }
    }
}

/// A `NodeSelector`: at least one term.
pub fn node_selector(e: &mut Errors, selector: &Node<'_>) {
    let terms = selector.get("nodeSelectorTerms");
    if terms.is_empty() {
        e.push(terms.required("must have at least one node selector term"));
    }
    for term in terms.items() {
        node_selector_term(e, &term, false);
    }
}

/// One term of a `NodeSelector`; preferences may hold invalid label values.
pub fn node_selector_term(e: &mut Errors, term: &Node<'_>, allow_invalid_values: bool) {
    for expression in term.get("matchExpressions").items() {
        node_requirement(e, &expression, allow_invalid_values);
    }
    for field in term.get("matchFields").items() {
        node_field_requirement(e, &field);
    }
}

fn node_requirement(e: &mut Errors, requirement: &Node<'_>, allow_invalid_values: bool) {
    let (operator, values) = (requirement.get("operator"), requirement.get("values"));
    match operator.text() {
        "In" | "NotIn" if values.is_empty() => {
            e.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            e.push(values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            e.push(values.required("must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        _ => e.push(operator.invalid_text("not a valid selector operator")),
    }
    label_name(e, requirement.get("key").text(), &requirement.path.field("key"));
    if !allow_invalid_values {
        for value in values.items() {
            check_text(e, &value, names::label_value);
        }
    }
}

fn node_field_requirement(e: &mut Errors, requirement: &Node<'_>) {
    let (operator, values, key) =
        (requirement.get("operator"), requirement.get("values"), requirement.get("key"));
    match operator.text() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                e.push(values.required(
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
                ));
            }
        }
        _ => e.push(operator.invalid_text("not a valid selector operator")),
    }
    if key.text() == "metadata.name" {
        for value in values.items() {
            check_text(e, &value, names::dns1123_subdomain);
        }
    } else {
        e.push(key.invalid_text("not a valid field selector key"));
    }
}

/// One `TopologySelectorTerm` of a StorageClass.
pub fn topology_selector_term(e: &mut Errors, term: &Node<'_>) {
    let mut keys = BTreeSet::new();
    for expression in term.get("matchLabelExpressions").items() {
        let (key, values) = (expression.get("key"), expression.get("values"));
        if values.is_empty() {
            e.push(values.required(""));
        }
        let mut seen = BTreeSet::new();
        for value in values.items() {
            if !seen.insert(value.text()) {
                e.push(value.duplicate());
            }
        }
        label_name(e, key.text(), &key.path);
        if !keys.insert(key.text()) {
            e.push(FieldError::duplicate(&key.path, &json!(key.text())));
        }
    }
}
