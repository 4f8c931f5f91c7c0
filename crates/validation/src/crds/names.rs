//! The names of a custom kind.

use crate::node::{Errors, Node};
use object::names::dns1035_label;

/// What a spec must name.
pub fn required(e: &mut Errors, names: &Node<'_>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        if names.get(field).is_empty() {
            e.push(names.get(field).required(""));
        }
    }
}

/// What names look like, in a spec and in a status.
pub fn rules(e: &mut Errors, names: &Node<'_>) {
    for field in ["plural", "singular"] {
        label(e, &names.get(field));
    }
    for field in ["kind", "listKind"] {
        let name = names.get(field);
        let errors = dns1035_label(&name.text().to_lowercase());
        if !name.is_empty() && !errors.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", errors.join(","));
            e.push(name.invalid(&detail));
        }
    }
    names.get("shortNames").items().for_each(|n| listed(e, &n));
    let (kind, list_kind) = (names.get("kind"), names.get("listKind"));
    if !kind.is_empty() && kind.text() == list_kind.text() {
        e.push(list_kind.invalid("kind and listKind may not be the same"));
    }
    names.get("categories").items().for_each(|n| listed(e, &n));
}

fn label(e: &mut Errors, name: &Node<'_>) {
    if !name.is_empty() {
        listed(e, name);
    }
}

fn listed(e: &mut Errors, name: &Node<'_>) {
    let errors = dns1035_label(name.text());
    if !errors.is_empty() {
        e.push(name.invalid_text(&errors.join(",")));
    }
}
