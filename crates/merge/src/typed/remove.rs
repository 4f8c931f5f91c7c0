//! Taking fields out of a value.

use super::key::item_element;
use super::types::{Form, Type};
use crate::fields::{FieldSet, PathElement};
use serde_json::{Map, Value};

/// `value` without the map entries and list items in `fields`; `null` when nothing is left.
pub(crate) fn remove(ty: Type<'_>, value: &Value, fields: &FieldSet) -> Value {
    match (ty.atom_for(Some(value)).form(), value) {
        (Form::Scalar(_), value) => value.clone(),
        (Form::Map(map), Value::Object(object)) if !map.atomic => {
            let mut out = Map::new();
            for (key, value) in object {
                let element = PathElement::field(key);
                if fields.has_child(&element) {
                    continue;
                }
                let kept = match (fields.below(&element), map.child(key)) {
                    (Some(below), Some(ty)) => remove(ty, value, below),
                    _ => value.clone(),
                };
                out.insert(key.clone(), kept);
            }
            if out.is_empty() { Value::Null } else { out.into() }
        }
        (Form::List(list), Value::Array(items)) if list.associative => {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let element = item_element(&list, item).ok();
                if element.as_ref().is_some_and(|element| fields.has_child(element)) {
                    continue;
                }
                let below = element.as_ref().and_then(|element| fields.below(element));
                out.push(below.map_or_else(|| item.clone(), |below| remove(list.item, item, below)));
            }
            if out.is_empty() { Value::Null } else { out.into() }
        }
        _ => Value::Null,
    }
}
