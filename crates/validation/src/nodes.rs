//! Nodes.

use crate::ip;
use crate::metadata::label_name;
use crate::node::{Errors, Node};
use crate::pod::scheduling::TAINT_EFFECTS;
use crate::resources::quantity_value;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A Node.
pub fn node(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let spec = root.get("spec");
    taints(e, &spec.get("taints"));
    amounts(e, &root.get("status"));
    let cidrs = spec.get("podCIDRs");
    for cidr in cidrs.items() {
        ip::legacy_cidr(e, &cidr, &[]);
    }
    let listed = cidrs.texts();
    if listed.len() > 1 {
        if !ip::is_dual_stack(&listed) || listed.len() > 2 {
            e.push(cidrs.invalid("may specify no more than one CIDR for each IP family"));
        }
        let mut seen = BTreeSet::new();
        e.extend(cidrs.items().filter(|c| !seen.insert(c.text())).map(|c| c.duplicate()));
    }
}

/// Taints stand under `spec`, yet their errors name `metadata.taints`, as upstream.
fn taints(e: &mut Errors, taints: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for taint in taints.moved(object::Path::new("metadata.taints")).items() {
        let (key, value, effect) = (taint.get("key"), taint.get("value"), taint.get("effect"));
        label_name(e, key.text(), &key.path);
        let errors = names::label_value(value.text());
        if !errors.is_empty() {
            e.push(value.invalid(&errors.join(";")));
        }
        if effect.is_empty() {
            e.push(effect.required(""));
        } else if !TAINT_EFFECTS.contains(&effect.text()) {
            e.push(effect.not_supported(&TAINT_EFFECTS));
        }
        if !seen.insert((effect.text(), key.text())) {
            let mut error = FieldError::duplicate(&taint.path, &Value::Null);
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":null}}",
                json!(key.text()),
                json!(value.text()),
                json!(effect.text())
            );
            error.message = format!("Duplicate value: {shown}: taints must be unique by key and effect pair");
            e.push(error);
        }
    }
}

fn amounts(e: &mut Errors, status: &Node<'_>) {
    for list in ["capacity", "allocatable"] {
        for (name, amount) in status.get(list).entries() {
            quantity_value(e, name, &amount.moved(status.path.field(list).field(name)));
        }
    }
}

/// An update of a Node, which Kubernetes judges as a new one, too.
pub fn node_update(e: &mut Errors, new: &Value, old: &Value) {
    node(e, new);
    node_status(e, new, old);
}

/// An update of a Node or of its status.
pub fn node_status(e: &mut Errors, new: &Value, old: &Value) {
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (spec, was) = (root.get("spec"), old_root.get("spec"));
    amounts(e, &root.get("status"));
    let mut seen: Vec<&Value> = vec![];
    for address in root.get("status").get("addresses").items() {
        if seen.contains(&address.value) {
            e.push(address.duplicate());
        }
        seen.push(address.value);
    }
    let (cidrs, before) = (spec.get("podCIDRs").texts(), was.get("podCIDRs").texts());
    if !before.is_empty() && cidrs != before {
        let differing = if cidrs.len() == before.len() {
            cidrs.iter().zip(&before).filter(|(a, b)| a != b).count()
        } else {
            1
        };
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        e.extend((0..differing).map(|_| spec.get("podCIDRs").forbidden(detail)));
    }
    let provider = spec.get("providerID");
    if !was.get("providerID").is_empty() && provider.text() != was.get("providerID").text() {
        e.push(provider.forbidden("node updates may not change providerID except from \"\" to valid"));
    }
    taints(e, &spec.get("taints"));
    if spec.get("externalID").text() != was.get("externalID").text() {
        e.push(spec.get("externalID").forbidden("may not be updated"));
    }
}
