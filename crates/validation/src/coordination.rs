//! Leases.

use crate::node::{Errors, NEGATIVE, Node};
use serde_json::Value;

/// A Lease.
pub fn lease(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let (duration, transitions) = (spec.get("leaseDurationSeconds"), spec.get("leaseTransitions"));
    if duration.number().is_some_and(|seconds| seconds <= 0) {
        e.push(duration.invalid("must be greater than 0"));
    }
    if transitions.int() < 0 {
        e.push(transitions.invalid(NEGATIVE));
    }
}

/// An update of a Lease.
pub fn lease_update(e: &mut Errors, new: &Value, _old: &Value) {
    lease(e, new);
}
