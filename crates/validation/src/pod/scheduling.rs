//! Tolerations, scheduling gates and topology spread constraints.

use crate::metadata::label_name;
use crate::node::{Errors, Node, check_supported, check_text};
use crate::selectors::label_selector;
use object::{FieldError, names};
use serde_json::json;
use std::collections::BTreeSet;

/// The effects a taint may have.
pub const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `tolerations`.
pub fn tolerations(e: &mut Errors, tolerations: &Node<'_>) {
    for toleration in tolerations.items() {
        let (key, operator) = (toleration.get("key"), toleration.get("operator"));
        let (value, effect) = (toleration.get("value"), toleration.get("effect"));
        if !key.is_empty() {
            label_name(e, key.text(), &key.path);
        } else if operator.text() != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            e.push(operator.invalid_text(detail));
        }
        if toleration.get("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            e.push(effect.invalid_text("effect must be 'NoExecute' when `tolerationSeconds` is set"));
        }
        match operator.text() {
            "Equal" | "" => {
                let errors = names::label_value(value.text());
                if !errors.is_empty() {
                    e.push(operator.invalid_as(value.text(), &errors.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                e.push(operator.invalid_as(value.text(), "value must be empty when `operator` is 'Exists'"));
            }
            "Exists" => {}
            _ => e.push(operator.not_supported(&["Equal", "Exists"])),
        }
        if !effect.is_empty() && !TAINT_EFFECTS.contains(&effect.text()) {
            e.push(effect.not_supported(&TAINT_EFFECTS));
        }
    }
}

/// `schedulingGates`.
pub fn gates(e: &mut Errors, gates: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for gate in gates.items() {
        let name = gate.get("name").moved(gate.path.clone());
        check_text(e, &name, names::qualified_name);
        if !seen.insert(name.text()) {
            e.push(name.duplicate());
        }
    }
}

/// `topologySpreadConstraints`.
pub fn topology_spread(e: &mut Errors, constraints: &Node<'_>) {
    let kind =
        |c: &Node<'_>| format!("{{{}, {}}}", c.get("topologyKey").text(), c.get("whenUnsatisfiable").text());
    let all: Vec<_> = constraints.items().collect();
    for (i, constraint) in all.iter().enumerate() {
        let skew = constraint.get("maxSkew");
        if skew.int() <= 0 {
            e.push(skew.invalid_as(skew.int(), "must be greater than zero"));
        }
        if constraint.get("topologyKey").is_empty() {
            e.push(constraint.get("topologyKey").required("can not be empty"));
        }
        let action = constraint.get("whenUnsatisfiable");
        if !matches!(action.text(), "DoNotSchedule" | "ScheduleAnyway") {
            e.push(action.not_supported(&["DoNotSchedule", "ScheduleAnyway"]));
        }
        let own = kind(constraint);
        if all[i + 1..].iter().any(|other| kind(other) == own) {
            e.push(FieldError::duplicate(
                &constraint.path.field("{topologyKey, whenUnsatisfiable}"),
                &json!(own),
            ));
        }
        min_domains(e, &constraint.get("minDomains"), action.text());
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            check_supported(e, &constraint.get(policy), &["Honor", "Ignore"]);
        }
        super::affinity::label_keys(e, constraint);
        label_selector(e, &constraint.get("labelSelector"));
    }
}

fn min_domains(e: &mut Errors, domains: &Node<'_>, action: &str) {
    let Some(count) = domains.number() else { return };
    if count <= 0 {
        e.push(domains.invalid("must be greater than zero"));
    }
    if action != "DoNotSchedule" {
        e.push(
            domains.invalid(&format!(
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
            )),
        );
    }
}
