//! Writing in what is absent, and taking out nulls that mean nothing.

use super::At;
use crate::{Schema, Shape};
use serde_json::Value;

/// Writes the schema's defaults into `object`.
pub fn default(schema: Schema<'_>, object: &mut Value) {
    if let Some(at) = At::new(schema) {
        walk(at, object);
    }
}

fn is_plain_null(at: At<'_>, value: &Value) -> bool {
    value.is_null() && !at.schema.node().nullable
}

fn walk(at: At<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Shape::Object { fields, .. } = &at.schema.node().shape {
                for field in fields {
                    let inner = at.other(field.node);
                    let Some(default) = &inner.schema.node().default else { continue };
                    if map.get(&*field.name).is_none_or(|v| is_plain_null(inner, v)) {
                        map.insert(field.name.to_string(), default.clone());
                    }
                }
            }
            for (key, value) in map {
                if let Some(inner) = at.field(key) {
                    fill_null(inner, value);
                    walk(inner, value);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = at.items() else { return };
            for value in list {
                fill_null(items, value);
                walk(items, value);
            }
        }
        _ => {}
    }
}

fn fill_null(at: At<'_>, value: &mut Value) {
    if is_plain_null(at, value)
        && let Some(default) = &at.schema.node().default
    {
        *value = default.clone();
    }
}

/// Removes fields that are `null` where null is no value and no default waits to replace it.
pub(super) fn drop_nulls(at: At<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|key, value| match at.field(key) {
            Some(inner) if is_plain_null(inner, value) && inner.schema.node().default.is_none() => false,
            Some(inner) => {
                drop_nulls(inner, value);
                true
            }
            None => true,
        }),
        Value::Array(list) => {
            if let Some(items) = at.items() {
                list.iter_mut().for_each(|value| drop_nulls(items, value));
            }
        }
        _ => {}
    }
}
