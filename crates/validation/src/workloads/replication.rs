//! ReplicaSets, ReplicationControllers and ControllerRevisions.

use super::{
    check_selector_kept, counters, lasting_template, parts_of_replicas, selected_template, selector_matches,
};
use crate::node::{Errors, IMMUTABLE, Node, check_non_negative, same};
use object::LabelSelector;
use serde_json::Value;

/// A ReplicaSet.
pub fn replica_set(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    check_non_negative(e, &spec.get("replicas"));
    check_non_negative(e, &spec.get("minReadySeconds"));
    // Upstream's message speaks of deployments here, too.
    selected_template(e, &spec);
}

/// An update of a ReplicaSet: its selector stays.
pub fn replica_set_update(e: &mut Errors, new: &Value, old: &Value) {
    replica_set(e, new);
    check_selector_kept(e, &Node::root(new).get("spec"), &Node::root(old).get("spec"));
}

/// An update of the status of a ReplicaSet or a ReplicationController.
pub fn replica_status(e: &mut Errors, new: &Value, _old: &Value) {
    let status = Node::root(new).get("status");
    let fields = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ];
    counters(e, &status, &fields);
    parts_of_replicas(e, &status, "fullyLabeledReplicas");
}

/// A ReplicationController.
pub fn replication_controller(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    check_non_negative(e, &spec.get("minReadySeconds"));
    if spec.get("selector").is_empty() {
        e.push(spec.get("selector").required(""));
    }
    check_non_negative(e, &spec.get("replicas"));
    let template = spec.get("template");
    if template.is_set() {
        selector_matches(e, &LabelSelector::from_map(spec.raw("selector")), &template);
        lasting_template(e, &template, "ReplicationController");
    } else {
        e.push(template.required(""));
    }
}

/// An update of a ReplicationController.
pub fn replication_controller_update(e: &mut Errors, new: &Value, _old: &Value) {
    replication_controller(e, new);
}

/// A ControllerRevision.
pub fn controller_revision(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    if !root.get("data").is_set() {
        e.push(root.get("data").required("data is mandatory"));
    }
    check_non_negative(e, &root.get("revision"));
}

/// An update of a ControllerRevision: what it records stays.
pub fn controller_revision_update(e: &mut Errors, new: &Value, old: &Value) {
    controller_revision(e, new);
    let data = Node::root(new).get("data");
    if !same(data.value, &old["data"]) {
        e.push(data.invalid(IMMUTABLE));
    }
}
