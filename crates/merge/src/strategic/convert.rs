//! Whether a merged document is of its type. Kubernetes turns it into a typed object without going through JSON text, and
//! says what does not fit in other words than its decoder.

use crate::go;
use object::{ApiError, FieldError, GroupKind, Path};
use schema::decode::{Strictness, decode};
use schema::{Scalar, Schema, Shape};
use serde_json::{Value, json};

/// Checks the result of `patch`.
pub(super) fn check_result(schema: Schema<'_>, result: &Value, patch: &Value) -> Result<(), ApiError> {
    check(schema, result).map_err(|message| ApiError::Invalid {
        kind: GroupKind::default(),
        name: String::new(),
        errors: vec![FieldError::invalid(&Path::new("patch"), &json!(go::plain(patch)), &message)],
    })
}

/// The depth is that of the JSON, which its parser limits.
fn check(schema: Schema<'_>, value: &Value) -> Result<(), String> {
    let kind = || go_kind(value);
    match (&schema.node().shape, value) {
        (_, Value::Null) | (Shape::Any, _) => Ok(()),
        (Shape::Object { .. }, Value::Object(map)) => {
            let known = map.iter().filter_map(|(key, value)| Some((schema.field(key)?, value)));
            known.into_iter().try_for_each(|(schema, value)| check(schema, value))
        }
        (Shape::Object { .. }, _) => Err(format!("cannot restore struct from: {}", kind())),
        (Shape::Map(id), Value::Object(map)) => {
            let inner = schema.types().resolve(*id);
            map.values().try_for_each(|value| check(inner, value))
        }
        (Shape::Map(_), _) => Err(format!("cannot restore map from {}", kind())),
        (Shape::List(id), Value::Array(items)) => {
            let inner = schema.types().resolve(*id);
            items.iter().try_for_each(|item| check(inner, item))
        }
        (Shape::List(_), _) => Err(format!("cannot restore slice from {}", kind())),
        (Shape::Scalar(scalar), value) => single(*scalar, schema, value),
        (Shape::Builtin(id), value) => check(schema.types().resolve(*id), value),
    }
}

fn single(scalar: Scalar, schema: Schema<'_>, value: &Value) -> Result<(), String> {
    let target = match scalar {
        Scalar::String => "string",
        Scalar::Bool => "bool",
        Scalar::Int32 => "int32",
        Scalar::Int64 => "int64",
        Scalar::Double => "float64",
        // These decode themselves.
        _ => {
            return decode(schema, value.clone(), Strictness::Ignore)
                .map(drop)
                .map_err(|error| error.to_string());
        }
    };
    let float = value.as_f64().filter(|_| value.is_f64());
    match (scalar, value) {
        (Scalar::String, Value::String(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Double, Value::Number(_)) => Ok(()),
        (Scalar::Int32 | Scalar::Int64, Value::Number(_)) if float.is_none_or(|f| f.fract() == 0.0) => Ok(()),
        (Scalar::Int32 | Scalar::Int64, Value::Number(_)) => {
            Err(format!("cannot convert float64 to {target}"))
        }
        // Go converts an integer to a string of one rune, so that it is this message and not the next.
        (Scalar::String, Value::Number(_)) if float.is_none() => {
            Err(format!("cannot convert int64 to {target}"))
        }
        _ => Err(format!("unrecognized type: {target}")),
    }
}

/// Go's word for the kind of a JSON value.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
