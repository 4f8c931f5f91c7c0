//! Namespaces.

use crate::metadata::kube_finalizer;
use crate::node::{Errors, Node};
use object::names;
use serde_json::Value;

/// A Namespace.
pub fn namespace(e: &mut Errors, object: &Value) {
    let finalizers = Node::root(object).get("spec").get("finalizers");
    for finalizer in finalizers.items() {
        let finalizer = finalizer.moved(finalizers.path.clone());
        one(e, &finalizer);
    }
}

fn one(e: &mut Errors, finalizer: &Node<'_>) {
    e.extend(names::qualified_name(finalizer.text()).iter().map(|m| finalizer.invalid(m)));
    kube_finalizer(e, finalizer);
}

/// The `finalize` subresource.
pub fn finalize(e: &mut Errors, object: &Value) {
    for finalizer in Node::root(object).get("spec").get("finalizers").items() {
        one(e, &finalizer);
    }
}

/// The phase says whether the namespace is being deleted.
pub fn status(e: &mut Errors, new: &Value, _old: &Value) {
    let root = Node::root(new);
    let status = root.get("status");
    let phase = status.get("phase").moved(status.path.field("Phase"));
    let deleting = root.get("metadata").get("deletionTimestamp").is_set();
    if !deleting && phase.text() != "Active" {
        e.push(phase.invalid_text("may only be 'Active' if `deletionTimestamp` is empty"));
    }
    if deleting && phase.text() != "Terminating" {
        e.push(phase.invalid_text("may only be 'Terminating' if `deletionTimestamp` is not empty"));
    }
}
