//! Naming the structs on the way to what is owned.

use super::types::Type;
use crate::fields::{FieldSet, PathElement};

/// `set` with every named field that has something owned below it: `spec.replicas` brings `spec`, `metadata.labels.a`
/// brings `metadata` and `metadata.labels`.
pub(crate) fn with_named_fields(set: &FieldSet, ty: Option<Type<'_>>) -> FieldSet {
    let atom = ty.map(Type::atom).unwrap_or_default();
    let mut out = FieldSet::new();
    for (element, member, children) in set.children() {
        let (named, child) = match element {
            PathElement::Field(name) => {
                let named = atom.map.is_some_and(|map| map.field(name).is_some());
                (named, atom.map.and_then(|map| map.child(name)))
            }
            PathElement::Key(_) => (false, atom.list.map(|list| list.item)),
            _ => (false, None),
        };
        let member = member || (named && !children.is_empty());
        out.put(element.clone(), member, with_named_fields(children, child));
    }
    out
}
