//! PriorityClasses and RuntimeClasses.

use crate::metadata::labels;
use crate::node::{Errors, IMMUTABLE, Node, check_required_text};
use crate::pod::scheduling::tolerations;
use crate::pod::spec::preemption_policy;
use crate::resources;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SYSTEM: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
const USER_MAX: i64 = 1_000_000_000;

/// A PriorityClass.
pub fn priority_class(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let (name, value) = (root.get("metadata").get("name"), root.get("value"));
    if name.text().starts_with("system-") {
        if let Some(problem) = not_system(name.text(), value.int(), root.get("globalDefault").is_true()) {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {problem}"
            );
            e.push(name.forbidden(&detail));
        }
    } else if value.int() > USER_MAX {
        e.push(value.forbidden(&format!("maximum allowed value of a user defined priority is {USER_MAX}")));
    }
    preemption_policy(e, &root.get("preemptionPolicy"));
}

fn not_system(name: &str, value: i64, global_default: bool) -> Option<String> {
    let Some((_, expected)) = SYSTEM.iter().find(|(known, _)| *known == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if value != *expected {
        return Some(format!("value of {name} PriorityClass must be {expected}"));
    }
    global_default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

/// An update of a PriorityClass: value and preemption stay.
pub fn priority_class_update(e: &mut Errors, new: &Value, old: &Value) {
    let root = Node::root(new);
    if root.get("value").int() != old["value"].as_i64().unwrap_or(0) {
        e.push(root.get("value").forbidden("may not be changed in an update."));
    }
    let policy = root.get("preemptionPolicy");
    if policy.value != &old["preemptionPolicy"] {
        e.push(policy.invalid(IMMUTABLE));
    }
}

/// A RuntimeClass.
pub fn runtime_class(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    check_required_text(e, &root.get("handler"), names::dns1123_label);
    let overhead = root.get("overhead");
    if overhead.is_set() {
        let wrapped = json!({"limits": overhead.raw("podFixed")});
        let node = Node::at(&wrapped, overhead.path);
        resources::requirements(e, &node, resources::container_resource_name, &BTreeSet::new());
    }
    let scheduling = root.get("scheduling");
    labels(e, &scheduling.get("nodeSelector"));
    let list = scheduling.get("tolerations");
    tolerations(e, &list);
    let mut seen: Vec<&Value> = vec![];
    for toleration in list.items() {
        if seen.contains(&toleration.value) {
            let shown = crate::go::compact("Toleration", toleration.value);
            e.push(FieldError::duplicate_shown(&toleration.path, &shown));
        }
        seen.push(toleration.value);
    }
}

/// An update of a RuntimeClass: its handler stays.
pub fn runtime_class_update(e: &mut Errors, new: &Value, old: &Value) {
    runtime_class(e, new);
    let handler = Node::root(new).get("handler");
    if handler.value != &old["handler"] {
        e.push(handler.invalid_text(IMMUTABLE));
    }
}
