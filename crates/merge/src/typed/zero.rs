//! The empty object of a built-in type, as its encoder writes it.

use schema::{Schema, Shape};
use serde_json::{Map, Value, json};

/// How deep empty structs nest at most; no built-in type comes near.
const MAX_DEPTH: usize = 16;

/// What an object of this type holds before anything is set: every field that encoders always write, with its zero value.
/// Fields that still have it belong to nobody.
pub(crate) fn zero(schema: Schema<'_>) -> Value {
    object(schema, MAX_DEPTH)
}

fn object(schema: Schema<'_>, depth: usize) -> Value {
    let mut map = Map::new();
    for (field, node) in schema.fields().filter(|(field, _)| !field.omit_empty) {
        let value = match node.node().shape {
            _ if field.pointer => Value::Null,
            Shape::Object { .. } if depth > 0 => object(node, depth - 1),
            _ => empty(node),
        };
        map.insert(field.name.to_string(), value);
    }
    map.into()
}

fn empty(schema: Schema<'_>) -> Value {
    use schema::Scalar;
    match schema.node().shape {
        Shape::Scalar(Scalar::String | Scalar::Duration) => json!(""),
        Shape::Scalar(Scalar::Bool) => json!(false),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString) => json!(0),
        Shape::Scalar(Scalar::Quantity) => json!("0"),
        _ => Value::Null,
    }
}
