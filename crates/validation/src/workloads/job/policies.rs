//! A Job's policies: which failures count, when it has succeeded, when pods are replaced.

use super::indexes;
use super::{container_names, qualified};
use crate::node::{Errors, Node, check_non_negative};
use object::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// `podFailurePolicy`.
pub fn failure(e: &mut Errors, spec: &Node<'_>) {
    let rules = spec.get("podFailurePolicy").get("rules");
    if rules.len() > 20 {
        e.push(FieldError::too_many(&rules.path, rules.len(), 20));
    }
    let containers = container_names(spec);
    for rule in rules.items() {
        let action = rule.get("action");
        match action.text() {
            "" => e.push(action.required(&valid(&ACTIONS))),
            "FailIndex" if !spec.get("backoffLimitPerIndex").is_set() => {
                e.push(action.invalid("requires the backoffLimitPerIndex to be set"));
            }
            known if ACTIONS.contains(&known) => {}
            _ => e.push(action.not_supported(&ACTIONS)),
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.is_set() {
            exit_codes(e, &codes, &containers);
        }
        pod_conditions(e, &conditions);
        let detail = match (codes.is_set(), !conditions.is_empty()) {
            (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        e.push(without_value(&rule, detail));
    }
}

fn valid(values: &[&str]) -> String {
    let quoted: Vec<_> = values.iter().map(|v| object::error::quote(v)).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

/// `Invalid value: detail`, with no value shown.
pub fn without_value(node: &Node<'_>, detail: &str) -> FieldError {
    let mut error = FieldError::invalid(&node.path, &Value::Null, detail);
    error.message = format!("Invalid value: {detail}");
    error
}

fn exit_codes(e: &mut Errors, codes: &Node<'_>, containers: &BTreeSet<&str>) {
    let (operator, values, container) =
        (codes.get("operator"), codes.get("values"), codes.get("containerName"));
    match operator.text() {
        "" => e.push(operator.required(&valid(&["In", "NotIn"]))),
        "In" | "NotIn" => {}
        _ => e.push(operator.not_supported(&["In", "NotIn"])),
    }
    if container.is_set() && !containers.contains(container.text()) {
        e.push(container.invalid("must be one of the container or initContainer names in the pod template"));
    }
    if values.is_empty() {
        e.push(values.invalid("at least one value is required"));
    } else if values.len() > 255 {
        e.push(FieldError::too_many(&values.path, values.len(), 255));
    }
    let mut seen = BTreeSet::new();
    for value in values.items() {
        if operator.text() == "In" && value.int() == 0 {
            e.push(value.invalid("must not be 0 for the In operator"));
        }
        if !seen.insert(value.int()) {
            e.push(value.duplicate());
        }
    }
    let numbers: Vec<_> = values.list().iter().map(|v| v.as_i64().unwrap_or(0)).collect();
    if numbers.windows(2).any(|pair| pair[0] > pair[1]) {
        e.push(values.invalid("must be ordered"));
    }
}

fn pod_conditions(e: &mut Errors, conditions: &Node<'_>) {
    if conditions.len() > 20 {
        e.push(FieldError::too_many(&conditions.path, conditions.len(), 20));
    }
    for pattern in conditions.items() {
        let status = pattern.get("status");
        qualified(e, &pattern.get("type"));
        match status.text() {
            "" => e.push(status.required(&valid(&STATUSES))),
            known if STATUSES.contains(&known) => {}
            _ => e.push(status.not_supported(&STATUSES)),
        }
    }
}

/// `successPolicy`.
pub fn success(e: &mut Errors, spec: &Node<'_>) {
    let policy = spec.get("successPolicy");
    if !policy.is_set() {
        return;
    }
    let rules = policy.get("rules");
    if spec.get("completionMode").text() != "Indexed" {
        e.push(policy.invalid_struct("SuccessPolicy", "requires indexed completion mode"));
        return;
    }
    if rules.is_empty() {
        e.push(rules.required("at least one rules must be specified when the successPolicy is specified"));
    }
    if rules.len() > 20 {
        e.push(FieldError::too_many(&rules.path, rules.len(), 20));
    }
    for rule in rules.items() {
        success_rule(e, &rule, spec.get("completions").int());
    }
}

fn success_rule(e: &mut Errors, rule: &Node<'_>, completions: i64) {
    let (count, listed) = (rule.get("succeededCount"), rule.get("succeededIndexes"));
    if !count.is_set() && !listed.is_set() {
        e.push(rule.required("at least one of succeededCount or succeededIndexes must be specified"));
    }
    let mut total = 0;
    if listed.is_set() {
        if listed.len() > 64 * 1024 {
            e.push(listed.too_long(64 * 1024));
        }
        match indexes::count(listed.text(), completions) {
            Ok(found) => total = found,
            Err(problem) => e.push(listed.invalid(&format!("error parsing succeededIndexes: {problem}"))),
        }
    }
    if count.is_set() {
        check_non_negative(e, &count);
        if count.int() > completions {
            let detail =
                format!("must be less than or equal to {completions} (the number of specified completions)");
            e.push(count.invalid(&detail));
        }
        if listed.is_set() && count.int() > total {
            let detail = format!(
                "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            );
            e.push(count.invalid(&detail));
        }
    }
}

/// `podReplacementPolicy`.
pub fn replacement(e: &mut Errors, spec: &Node<'_>) {
    let policy = spec.get("podReplacementPolicy");
    let supported: &[&str] =
        if spec.get("podFailurePolicy").is_set() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    crate::node::check_supported(e, &policy, supported);
}
