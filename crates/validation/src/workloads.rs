//! Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs and what they share.

pub mod cron;
pub mod daemonset;
pub mod deployment;
pub mod job;
pub mod replication;
pub mod statefulset;

use crate::node::{Errors, Node, check_immutable_struct, check_non_negative};
use crate::pod;
use crate::selectors::label_selector;
use object::{FieldError, LabelSelector, names};
use serde_json::{Value, json};

/// An absolute number or a percentage, not negative.
pub fn int_or_percent(e: &mut Errors, node: &Node<'_>) {
    match node.value {
        Value::String(text) => e.extend(names::percent(text).iter().map(|m| node.invalid(m))),
        _ => check_non_negative(e, node),
    }
}

/// `N%` as N.
pub fn percent(node: &Node<'_>) -> Option<i64> {
    let digits = node.text().strip_suffix('%')?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Not more than 100%.
pub fn at_most_all(e: &mut Errors, node: &Node<'_>) {
    if percent(node).is_some_and(|n| n > 100) {
        e.push(node.invalid("must not be greater than 100%"));
    }
}

/// The number, a percentage counting as its digits.
pub fn int_or_percent_value(node: &Node<'_>) -> i64 {
    percent(node).or_else(|| node.text().parse().ok()).unwrap_or_else(|| node.int())
}

/// The selector must match the labels of the template.
pub fn selector_matches(e: &mut Errors, selector: &LabelSelector, template: &Node<'_>) {
    let labels = template.get("metadata").get("labels");
    if !selector.is_empty() && !selector.matches_labels(labels.value) {
        e.push(labels.invalid("`selector` does not match template `labels`"));
    }
}

/// A template of pods that live on: always restarted, without a deadline.
pub fn lasting_template(e: &mut Errors, template: &Node<'_>, kind: &str) {
    pod::validate_template(e, template);
    always_restarted(e, template, kind);
}

/// Pods of `kind` are always restarted and have no deadline.
pub fn always_restarted(e: &mut Errors, template: &Node<'_>, kind: &str) {
    let spec = template.get("spec");
    if spec.get("restartPolicy").text() != "Always" {
        e.push(spec.get("restartPolicy").not_supported(&["Always"]));
    }
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.is_set() {
        e.push(deadline.forbidden(&format!("activeDeadlineSeconds in {kind} is not Supported")));
    }
}

/// A strategy of a kind that nobody knows, shown as Go shows its struct.
pub fn unknown_strategy(strategy: &Node<'_>, known: &[&str]) -> FieldError {
    let rolling = match strategy.raw("rollingUpdate") {
        Value::Null => "null".to_owned(),
        rolling => {
            let value = |field: &str| rolling.get(field).map_or_else(|| "0".to_owned(), Value::to_string);
            format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", value("maxUnavailable"), value("maxSurge"))
        }
    };
    let kind = Value::from(strategy.get("type").text());
    let mut error = FieldError::not_supported(&strategy.path, &Value::Null, known);
    let shown = format!("{{\"Type\":{kind},\"RollingUpdate\":{rolling}}}");
    error.message = error.message.replacen("null", &shown, 1);
    error
}

/// A selector that must be there and select something: what it selects by, where that can be told.
pub fn own_selector(e: &mut Errors, selector: &Node<'_>, kind: &str) -> Option<LabelSelector> {
    if selector.is_set() {
        label_selector(e, selector);
        selects_something(e, selector, kind);
    } else {
        e.push(selector.required(""));
    }
    LabelSelector::from_object(selector.value).ok()
}

/// An empty selector would select everything.
pub fn selects_something(e: &mut Errors, selector: &Node<'_>, kind: &str) {
    if selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
        let detail = format!("empty selector is invalid for {kind}");
        e.push(FieldError::invalid(&selector.path, &json!({}), &detail));
    }
}

/// The selector and the template of a Deployment or a ReplicaSet.
pub fn selected_template(e: &mut Errors, spec: &Node<'_>) {
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    match own_selector(e, &selector, "deployment") {
        Some(parsed) => {
            selector_matches(e, &parsed, &template);
            lasting_template(e, &template, "ReplicaSet");
        }
        None => e.push(invalid_selector(&selector, "invalid label selector")),
    }
}

/// No count of some of the replicas exceeds that of all: `chosen`, those ready, those available.
pub fn parts_of_replicas(e: &mut Errors, status: &Node<'_>, chosen: &str) {
    let parts = [chosen, "readyReplicas", "availableReplicas"];
    not_above(e, status, &parts, "replicas", "cannot be greater than status.replicas");
    not_above(e, status, &["availableReplicas"], "readyReplicas", "cannot be greater than readyReplicas");
}

/// A selector shown as JSON, as messages quote it.
pub fn invalid_selector(selector: &Node<'_>, detail: &str) -> FieldError {
    selector.invalid_struct("*LabelSelector", detail)
}

/// The selector of a workload stays what it was.
pub fn check_selector_kept(e: &mut Errors, spec: &Node<'_>, was: &Node<'_>) {
    check_immutable_struct(e, &spec.get("selector"), &was.get("selector"), "*LabelSelector");
}

/// Counters that must not be negative.
pub fn counters(e: &mut Errors, status: &Node<'_>, fields: &[&str]) {
    for field in fields {
        check_non_negative(e, &status.get(field));
    }
}

/// None of `fields` may exceed `limit`.
pub fn not_above(e: &mut Errors, status: &Node<'_>, fields: &[&str], limit: &str, detail: &str) {
    for field in fields {
        let node = status.get(field);
        if node.int() > status.get(limit).int() {
            e.push(node.invalid_as(node.int(), detail));
        }
    }
}

/// `collisionCount` only grows.
pub fn collision_count(e: &mut Errors, status: &Node<'_>, old: &Value) {
    let (count, before) = (status.get("collisionCount"), old["status"]["collisionCount"].as_i64());
    let decremented = match (count.number(), before) {
        (None, Some(_)) => true,
        (Some(now), Some(before)) => now < before,
        _ => false,
    };
    if decremented {
        e.push(count.invalid_as(count.int(), "cannot be decremented"));
    }
}
