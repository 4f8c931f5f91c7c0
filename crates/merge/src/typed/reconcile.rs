//! Ownership that was recorded when the type was granular, read now that it is atomic.

use super::types::{Atom, Form, Type};
use crate::fields::{FieldSet, PathElement};

/// `set` with what is at or below a field that is atomic by now replaced by that field; `None` if there is no such field.
pub(crate) fn reconcile(set: &FieldSet, ty: Type<'_>) -> Option<FieldSet> {
    is_affected(set, ty).then(|| below(set, ty))
}

fn is_affected(set: &FieldSet, ty: Type<'_>) -> bool {
    let atom = ty.atom();
    set.children().filter(|(_, _, children)| !children.is_empty()).any(|(element, _, children)| {
        child_type(&atom, element).is_some_and(|child| is_atomic(child) || is_affected(children, child))
    })
}

fn below(set: &FieldSet, ty: Type<'_>) -> FieldSet {
    let atom = ty.atom();
    let mut out = FieldSet::new();
    for (element, member, children) in set.children() {
        match child_type(&atom, element) {
            None => out.put(element.clone(), member, children.clone()),
            Some(child) if !children.is_empty() && is_atomic(child) => {
                out.put(element.clone(), true, FieldSet::new())
            }
            Some(child) => out.put(element.clone(), member, below(children, child)),
        }
    }
    out
}

/// The type of a child; none where types do not change: below deduced ones.
fn child_type<'a>(atom: &Atom<'a>, element: &PathElement) -> Option<Type<'a>> {
    match (atom.form(), element) {
        (Form::Map(map), _) if map.is_free() => None,
        (Form::Map(map), PathElement::Field(name)) => map.child(name),
        (Form::List(list), _) => Some(list.item),
        _ => None,
    }
}

fn is_atomic(ty: Type<'_>) -> bool {
    match ty.atom().form() {
        Form::Map(map) => map.atomic && !map.is_free(),
        Form::List(list) => !list.associative,
        Form::Scalar(_) => false,
    }
}
