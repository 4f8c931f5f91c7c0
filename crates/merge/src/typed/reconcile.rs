//! Ownership that was recorded when the type was granular, read now that it is atomic.

use super::types::{Form, Type};
use crate::fields::{FieldSet, PathElement};

/// `set` with what is at or below a field that is atomic by now replaced by that field.
pub(crate) fn reconcile(set: &FieldSet, ty: Type<'_>) -> FieldSet {
    below(set, ty)
}

fn below(set: &FieldSet, ty: Type<'_>) -> FieldSet {
    let atom = ty.atom();
    let mut out = FieldSet::new();
    for (element, member, children) in set.children() {
        let child = match (atom.form(), element) {
            (Form::Map(map), _) if map.is_free() => None,
            (Form::Map(map), PathElement::Field(name)) => map.child(name),
            (Form::List(list), _) => Some(list.item),
            _ => None,
        };
        let Some(child) = child else {
            out.put(element.clone(), member, children.clone());
            continue;
        };
        if !children.is_empty() && is_atomic(child) {
            out.put(element.clone(), true, FieldSet::new());
        } else {
            out.put(element.clone(), member, below(children, child));
        }
    }
    out
}

fn is_atomic(ty: Type<'_>) -> bool {
    match ty.atom().form() {
        Form::Map(map) => map.atomic && !map.is_free(),
        Form::List(list) => !list.associative,
        Form::Scalar(_) => false,
    }
}
