//! The fields that a value names: what an applier owns.

use super::items::by_element;
use super::types::{Form, ListOf, MapType, Type};
use crate::fields::{FieldSet, PathElement};
use serde_json::{Map, Value};

/// Every leaf and every item that `value` names. Structs and maps with named fields do not count themselves, map entries,
/// list items, nulls and empty maps do.
pub(crate) fn to_set(ty: Type<'_>, value: &Value) -> FieldSet {
    below(ty, value).1
}

/// Whether the value is a leaf itself, and what it names below.
fn below(ty: Type<'_>, value: &Value) -> (bool, FieldSet) {
    match (ty.atom_for(Some(value)).form(), value) {
        (Form::Scalar(_), _) => (true, FieldSet::new()),
        (Form::Map(map), _) if map.atomic => (true, FieldSet::new()),
        (Form::List(list), _) if !list.associative => (true, FieldSet::new()),
        (Form::Map(map), Value::Object(object)) => (false, map_set(&map, object)),
        (Form::List(list), Value::Array(items)) => (false, list_set(&list, items)),
        _ => (false, FieldSet::new()),
    }
}

fn map_set(map: &MapType<'_>, object: &Map<String, Value>) -> FieldSet {
    let mut set = FieldSet::new();
    for (key, value) in object {
        let Some(ty) = map.child(key) else { continue };
        let (leaf, children) = below(ty, value);
        let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        set.put(PathElement::field(key), leaf || empty || map.field(key).is_none(), children);
    }
    set
}

fn list_set(list: &ListOf<'_>, items: &[Value]) -> FieldSet {
    let mut set = FieldSet::new();
    for (element, same) in by_element(list, items) {
        let children = match same.as_slice() {
            [one] => below(list.item, one).1,
            _ => FieldSet::new(),
        };
        set.put(element, true, children);
    }
    set
}
