//! Node affinity, pod affinity and pod anti-affinity.

use crate::metadata::label_name;
use crate::node::{Errors, Node};
use crate::selectors::{label_selector, node_selector, node_selector_term};
use object::{FieldError, names};
use serde_json::json;
use std::collections::BTreeMap;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `affinity`.
pub fn validate(e: &mut Errors, affinity: &Node<'_>) {
    let node = affinity.get("nodeAffinity");
    if node.get(REQUIRED).is_set() {
        node_selector(e, &node.get(REQUIRED));
    }
    for term in node.get(PREFERRED).items() {
        weight(e, &term);
        node_selector_term(e, &term.get("preference"), true);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.get(kind);
        for term in pods.get(REQUIRED).items() {
            pod_term(e, &term);
        }
        for term in pods.get(PREFERRED).items() {
            weight(e, &term);
            pod_term(e, &term.get("podAffinityTerm"));
        }
    }
}

fn weight(e: &mut Errors, term: &Node<'_>) {
    let weight = term.get("weight");
    if !(1..=100).contains(&weight.int()) {
        e.push(weight.invalid_as(weight.int(), "must be in the range 1-100"));
    }
}

fn pod_term(e: &mut Errors, term: &Node<'_>) {
    label_selector(e, &term.get("labelSelector"));
    label_selector(e, &term.get("namespaceSelector"));
    for namespace in term.get("namespaces").texts() {
        for message in names::dns1123_label(namespace) {
            e.push(FieldError::invalid(&term.path.field("namespace"), &json!(namespace), &message));
        }
    }
    label_keys(e, term);
    let key = term.get("topologyKey");
    if key.is_empty() {
        e.push(key.required("can not be empty"));
    }
    label_name(e, key.text(), &key.path);
}

/// `matchLabelKeys` and `mismatchLabelKeys`, whose selectors have been merged into the label selector already.
pub fn label_keys(e: &mut Errors, term: &Node<'_>) {
    let selector = term.get("labelSelector");
    for list in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.get(list);
        if keys.is_empty() {
            continue;
        }
        if !selector.is_set() {
            e.push(keys.forbidden("must not be specified when labelSelector is not set"));
            continue;
        }
        for key in keys.items() {
            label_name(e, key.text(), &key.path);
        }
    }
    let matching = term.get("matchLabelKeys");
    let index: BTreeMap<_, _> = matching.texts().into_iter().enumerate().map(|(i, key)| (key, i)).collect();
    let mut seen: std::collections::BTreeSet<_> =
        selector.get("matchLabels").entries().map(|(key, _)| key).collect();
    for expression in selector.get("matchExpressions").items() {
        let key = expression.get("key").text();
        if let Some(i) = index.get(key).filter(|_| seen.contains(key)) {
            let detail = "exists in both matchLabelKeys and labelSelector";
            e.push(FieldError::invalid(&term.path.index(*i), &json!(key), detail));
        }
        seen.insert(key);
    }
    let mismatching = term.get("mismatchLabelKeys").texts();
    for key in matching.items().filter(|key| mismatching.contains(&key.text())) {
        e.push(key.invalid("exists in both matchLabelKeys and mismatchLabelKeys"));
    }
}
