//! The path element of a list item.

use super::types::{Form, ListOf, Type, is_builtin};
use crate::fields::PathElement;
use schema::{Scalar, Shape};
use serde_json::{Value, json};

/// How an item of an associative list is told from the others, or what is wrong with it.
pub(super) fn item_element(list: &ListOf<'_>, item: &Value) -> Result<PathElement, String> {
    if !list.keys.is_empty() {
        return keyed(list, item);
    }
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
        single => Ok(PathElement::value(single.clone())),
    }
}

fn keyed(list: &ListOf<'_>, item: &Value) -> Result<PathElement, String> {
    let map = match item {
        Value::Object(map) => map,
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let mut fields = Vec::with_capacity(list.keys.len());
    for key in list.keys {
        match map.get(&**key) {
            Some(value) => fields.push((key.clone(), value.clone())),
            None => fields.extend(key_default(list.item, key).map(|value| (key.clone(), value))),
        }
    }
    if fields.is_empty() {
        let keys: Vec<_> = list.keys.iter().map(|key| object::error::quote(key)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] \
             (and doesn't have default values for any key fields)",
            keys.join(" ")
        ));
    }
    Ok(PathElement::key(fields))
}

/// What an absent key field stands for: the default that the type's OpenAPI declares. For built-in types that is the zero
/// value of every field that encoders always write.
fn key_default(item: Type<'_>, key: &str) -> Option<Value> {
    let Type::Schema { schema, .. } = item else { return None };
    let Form::Map(map) = item.atom().form() else { return None };
    let Type::Schema { schema: field_schema, .. } = map.field(key)? else { return None };
    if let Some(default) = &field_schema.node().default {
        return Some(default.clone());
    }
    let (field, _) = schema.fields().find(|(field, _)| &*field.name == key)?;
    if !is_builtin(schema) || field.omit_empty || field.pointer {
        return None;
    }
    match field_schema.node().shape {
        Shape::Scalar(Scalar::String) => Some(json!("")),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64) => Some(json!(0)),
        Shape::Scalar(Scalar::Bool) => Some(json!(false)),
        _ => None,
    }
}
