//! PodDisruptionBudgets.

use crate::node::{Errors, Node, check_non_negative, check_supported};
use crate::selectors::label_selector;
use crate::workloads::{at_most_all, int_or_percent};
use object::FieldError;
use serde_json::Value;

/// A PodDisruptionBudget.
pub fn budget(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let (min, max, policy) =
        (spec.get("minAvailable"), spec.get("maxUnavailable"), spec.get("unhealthyPodEvictionPolicy"));
    if min.is_set() && max.is_set() {
        // Go shows its own struct.
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            min.value,
            spec.raw("selector"),
            max.value,
            policy.value
        );
        let detail = "minAvailable and maxUnavailable cannot be both set";
        e.push(FieldError::invalid_shown(&spec.path, &shown, detail));
    }
    for node in [min, max].iter().filter(|n| n.is_set()) {
        int_or_percent(e, node);
        at_most_all(e, node);
    }
    label_selector(e, &spec.get("selector"));
    check_supported(e, &policy, &["AlwaysAllow", "IfHealthyBudget"]);
}

/// An update of a PodDisruptionBudget.
pub fn budget_update(e: &mut Errors, new: &Value, _old: &Value) {
    budget(e, new);
}

/// An update of a PodDisruptionBudget's status.
pub fn budget_status(e: &mut Errors, new: &Value, _old: &Value) {
    let status = Node::root(new).get("status");
    crate::apiservices::standard_conditions(e, &status.get("conditions"));
    for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        check_non_negative(e, &status.get(field));
    }
}
