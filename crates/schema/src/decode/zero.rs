//! Go's zero values: which are empty, which are shown.

use crate::{Field, Scalar, Schema, Shape};
use serde_json::{Map, Value};

/// What Go shows for a value that nobody set: `""`, `0`, `null` for lists and maps, a struct with its own zeros.
pub fn zero(schema: Schema<'_>) -> Value {
    match &schema.node().shape {
        Shape::Object { .. } => {
            let mut map = Map::new();
            show_zeros(schema, &mut map);
            Value::Object(map)
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => "".into(),
            Scalar::Bool => false.into(),
            Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString => 0.into(),
            Scalar::Quantity => "0".into(),
            Scalar::Duration => "0s".into(),
            Scalar::Bytes | Scalar::Time | Scalar::MicroTime => Value::Null,
        },
        Shape::Any | Shape::Map(_) | Shape::List(_) | Shape::Builtin(_) => Value::Null,
    }
}

/// Adds the fields that Go shows even when nobody set them.
pub(super) fn show_zeros(schema: Schema<'_>, map: &mut Map<String, Value>) {
    for (field, inner) in schema.fields() {
        if !field.omit_empty && !map.contains_key(&*field.name) {
            let value = if field.pointer { Value::Null } else { zero(inner) };
            map.insert(field.name.to_string(), value);
        }
    }
}

/// Whether a field's value does not outlive storing: it is left out when empty, or it is an empty list or map, which
/// protobuf (in which a real server stores built-in objects) does not tell from none.
pub(super) fn is_lost(field: &Field, schema: Schema<'_>, value: &Value) -> bool {
    (field.omit_empty || matches!(schema.node().shape, Shape::List(_) | Shape::Map(_)))
        && is_empty(schema, value)
}

/// Whether `omitempty` (for structs `omitzero`) leaves `value` out.
pub(super) fn is_empty(schema: Schema<'_>, value: &Value) -> bool {
    match (&schema.node().shape, value) {
        (_, Value::Null) => true,
        (Shape::List(_), Value::Array(list)) => list.is_empty(),
        (Shape::Map(_), Value::Object(map)) => map.is_empty(),
        (Shape::Object { .. }, value) => *value == zero(schema),
        (Shape::Scalar(Scalar::Bytes), Value::String(text)) => text.is_empty(),
        (Shape::Scalar(Scalar::Double), Value::Number(number)) => number.as_f64() == Some(0.0),
        (Shape::Scalar(_), value) => *value == zero(schema),
        _ => false,
    }
}
