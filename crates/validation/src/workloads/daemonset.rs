//! DaemonSets.

use super::{
    at_most_all, check_selector_kept, collision_count, counters, int_or_percent, int_or_percent_value,
    lasting_template, selector_matches, selects_something, unknown_strategy,
};
use crate::node::{Errors, Node, check_non_negative};
use crate::selectors::label_selector;
use object::LabelSelector;
use serde_json::Value;

/// A DaemonSet.
pub fn daemon_set(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let selector = spec.get("selector");
    label_selector(e, &selector);
    if let Ok(parsed) = LabelSelector::from_object(selector.value) {
        selector_matches(e, &parsed, &spec.get("template"));
    }
    if selector.is_set() {
        selects_something(e, &selector, "daemonset");
    }
    lasting_template(e, &spec.get("template"), "DaemonSet");
    check_non_negative(e, &spec.get("minReadySeconds"));
    strategy(e, &spec.get("updateStrategy"));
    check_non_negative(e, &spec.get("revisionHistoryLimit"));
}

fn strategy(e: &mut Errors, strategy: &Node<'_>) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => {
            if rolling.is_set() {
                rolling_update(e, &rolling);
            } else {
                e.push(rolling.required(""));
            }
        }
        _ => e.push(unknown_strategy(strategy, &["RollingUpdate", "OnDelete"])),
    }
}

fn rolling_update(e: &mut Errors, rolling: &Node<'_>) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    int_or_percent(e, &unavailable);
    int_or_percent(e, &surge);
    at_most_all(e, &unavailable);
    at_most_all(e, &surge);
    let (unavailable_set, surge_set) =
        (int_or_percent_value(&unavailable) != 0, int_or_percent_value(&surge) != 0);
    if unavailable_set && surge_set {
        e.push(surge.invalid("may not be set when maxUnavailable is non-zero"));
    }
    if !unavailable_set && !surge_set {
        e.push(unavailable.required("cannot be 0 when maxSurge is 0"));
    }
}

/// An update of a DaemonSet: its selector stays.
pub fn daemon_set_update(e: &mut Errors, new: &Value, old: &Value) {
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (spec, was) = (root.get("spec"), old_root.get("spec"));
    check_selector_kept(e, &spec, &was);
    daemon_set(e, new);
}

/// An update of a DaemonSet's status.
pub fn daemon_set_status(e: &mut Errors, new: &Value, old: &Value) {
    let status = Node::root(new).get("status");
    let fields = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    counters(e, &status, &fields);
    collision_count(e, &status, old);
}
