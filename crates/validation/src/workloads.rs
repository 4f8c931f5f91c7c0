//! Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs and what they share.

pub mod cron;
pub mod daemonset;
pub mod deployment;
pub mod job;
pub mod replication;
pub mod statefulset;

use crate::node::{Errors, Node, check_immutable_struct, check_non_negative};
use crate::pod;
use object::{FieldError, LabelSelector, names};
use serde_json::Value;

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

/// A strategy as Go shows its struct.
pub fn shown_strategy(kind: &str, rolling: &Node<'_>) -> String {
    let rolling = match rolling.value {
        Value::Null => "null".to_owned(),
        _ => {
            let value =
                |field: &str| rolling.value.get(field).map_or_else(|| "0".to_owned(), Value::to_string);
            format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", value("maxUnavailable"), value("maxSurge"))
        }
    };
    format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", Value::from(kind))
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
