//! Dynamic resource allocation: devices that drivers offer and that pods claim.

pub mod claims;
pub mod slices;

use crate::node::{Errors, Node, check_text};
use crate::pod::volume_sources::csi_driver_name;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Looks at each item of a list that is not too long. Whether it is too long is all that is said of one that is.
fn each<'a>(
    e: &mut Errors,
    list: &Node<'a>,
    max: usize,
    mut item: impl FnMut(&mut Errors, Node<'a>),
) -> bool {
    let fits = list.len() <= max;
    if fits {
        list.items().for_each(|node| item(e, node));
    } else {
        e.push(FieldError::too_many(&list.path, list.len(), max));
    }
    fits
}

/// As [`each`], for a list whose items have different keys.
fn each_unique<'a>(
    e: &mut Errors,
    list: &Node<'a>,
    max: usize,
    key: fn(&Node<'a>) -> &'a str,
    item: impl FnMut(&mut Errors, Node<'a>),
) {
    if each(e, list, max, item) {
        let mut seen = BTreeSet::new();
        for node in list.items().filter(|node| !seen.insert(key(node))) {
            e.push(FieldError::duplicate(&node.path, &json!(key(&node))));
        }
    }
}

fn name_of<'a>(node: &Node<'a>) -> &'a str {
    node.get("name").text()
}

/// A C identifier, of a domain or of the driver's own.
fn qualified(e: &mut Errors, name: &str, at: &Node<'_>) {
    let parts: Vec<_> = name.split('/').collect();
    match parts[..] {
        [own] => identifier(e, own, at),
        [domain, own] => {
            if domain.is_empty() {
                e.push(at.invalid_as("", "the domain must not be empty"));
            } else {
                let value = Value::from(domain);
                csi_driver_name(e, &Node::at(&value, at.path.clone()));
            }
            if own.is_empty() {
                e.push(at.invalid_as("", "the name must not be empty"));
            } else {
                identifier(e, own, at);
            }
        }
        _ => {}
    }
}

fn identifier(e: &mut Errors, text: &str, at: &Node<'_>) {
    if text.len() > 32 {
        e.push(at.too_long(32));
    }
    e.extend(names::c_identifier(text).iter().map(|m| at.invalid_as(text, m)));
}

/// A taint, or what tolerates it.
fn effect(e: &mut Errors, effect: &Node<'_>) {
    if !effect.is_empty() && !matches!(effect.text(), "NoSchedule" | "NoExecute" | "None") {
        e.push(effect.not_supported(&["NoExecute", "NoSchedule", "None"]));
    }
}

fn taint(e: &mut Errors, taint: &Node<'_>) {
    check_text(e, &taint.get("key"), names::qualified_name);
    if !taint.get("value").is_empty() {
        check_text(e, &taint.get("value"), names::label_value);
    }
    if taint.get("effect").is_empty() {
        e.push(taint.get("effect").required(""));
    }
    effect(e, &taint.get("effect"));
}
