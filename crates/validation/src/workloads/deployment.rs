//! Deployments.

use super::{
    at_most_all, check_selector_kept, collision_count, counters, int_or_percent, int_or_percent_value,
    parts_of_replicas, selected_template, unknown_strategy,
};
use crate::node::{Errors, Node, check_non_negative};
use serde_json::Value;

/// A Deployment.
pub fn deployment(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    check_non_negative(e, &spec.get("replicas"));
    selected_template(e, &spec);
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
        _ => e.push(unknown_strategy(strategy, &["Recreate", "RollingUpdate"])),
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
    check_selector_kept(e, &Node::root(new).get("spec"), &Node::root(old).get("spec"));
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
    parts_of_replicas(e, &status, "updatedReplicas");
    collision_count(e, &status, old);
}
