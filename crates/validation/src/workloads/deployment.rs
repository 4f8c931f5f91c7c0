//! Deployments.

use super::{
    at_most_all, check_selector_kept, collision_count, counters, int_or_percent, int_or_percent_value,
    invalid_selector, lasting_template, not_above, selector_matches,
};
use crate::node::{Errors, Node, check_non_negative};
use crate::selectors::label_selector;
use object::{FieldError, LabelSelector};
use serde_json::{Value, json};

/// A Deployment.
pub fn deployment(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    check_non_negative(e, &spec.get("replicas"));
    let selector = spec.get("selector");
    if !selector.is_set() {
        e.push(selector.required(""));
    } else {
        label_selector(e, &selector);
        if selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
            e.push(FieldError::invalid(
                &selector.path,
                &json!({}),
                "empty selector is invalid for deployment",
            ));
        }
    }
    match LabelSelector::from_object(selector.value) {
        Ok(parsed) => {
            selector_matches(e, &parsed, &spec.get("template"));
            lasting_template(e, &spec.get("template"), "ReplicaSet");
        }
        Err(_) => e.push(invalid_selector(&selector, "invalid label selector")),
    }
    strategy(e, &spec.get("strategy"));
    for field in ["minReadySeconds", "revisionHistoryLimit"] {
        check_non_negative(e, &spec.get(field));
    }
    let deadline = spec.get("progressDeadlineSeconds");
    check_non_negative(e, &deadline);
    if deadline.number().is_some_and(|seconds| seconds <= spec.get("minReadySeconds").int()) {
        e.push(deadline.invalid("must be greater than minReadySeconds"));
    }
}

fn strategy(e: &mut Errors, strategy: &Node<'_>) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "Recreate" => {
            if rolling.is_set() {
                e.push(rolling.forbidden("may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            if rolling.is_set() {
                rolling_update(e, &rolling);
            } else {
                e.push(rolling.required("this should be defaulted and never be nil"));
            }
        }
        other => {
            let shown = super::shown_strategy(other, &rolling);
            let mut error =
                FieldError::not_supported(&strategy.path, &Value::Null, &["Recreate", "RollingUpdate"]);
            error.message = error.message.replacen("null", &shown, 1);
            e.push(error);
        }
    }
}

fn rolling_update(e: &mut Errors, rolling: &Node<'_>) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    int_or_percent(e, &unavailable);
    int_or_percent(e, &surge);
    if int_or_percent_value(&unavailable) == 0 && int_or_percent_value(&surge) == 0 {
        e.push(unavailable.invalid("may not be 0 when `maxSurge` is 0"));
    }
    at_most_all(e, &unavailable);
}

/// An update of a Deployment: its selector stays.
pub fn deployment_update(e: &mut Errors, new: &Value, old: &Value) {
    deployment(e, new);
    let (root, old_root) = (Node::root(new), Node::root(old));
    check_selector_kept(e, &root.get("spec"), &old_root.get("spec"));
}

/// An update of a Deployment's status.
pub fn deployment_status(e: &mut Errors, new: &Value, old: &Value) {
    let status = Node::root(new).get("status");
    let fields = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    counters(e, &status, &fields);
    let replicas = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    not_above(e, &status, &replicas, "replicas", "cannot be greater than status.replicas");
    not_above(e, &status, &["availableReplicas"], "readyReplicas", "cannot be greater than readyReplicas");
    collision_count(e, &status, old);
}
