//! A merged document as an object of its type. Kubernetes turns it into a typed object without going through JSON text: it
//! says what does not fit in other words than its decoder, and cuts numbers to size without a word.

use crate::go;
use object::{ApiError, FieldError, GroupKind, Path};
use schema::decode::{Strictness, decode};
use schema::{Scalar, Schema, Shape};
use serde_json::{Value, json};

/// Converts the result of `patch`.
pub(crate) fn convert_result(schema: Schema<'_>, result: &mut Value, patch: &Value) -> Result<(), ApiError> {
    to_typed(schema, result).map_err(|message| ApiError::Invalid {
        kind: GroupKind::default(),
        name: String::new(),
        errors: vec![FieldError::invalid(&Path::new("patch"), &json!(go::plain(patch)), &message)],
    })
}

/// Makes `value` fit the type, as Go does where it knows a document as maps and slices. Unknown fields stay.
///
/// The depth is that of the JSON, which its parser limits.
///
/// # Errors
/// What Go says to a value that does not fit.
pub fn to_typed(schema: Schema<'_>, value: &mut Value) -> Result<(), String> {
    let kind = go_kind(value);
    match (&schema.node().shape, value) {
        (_, Value::Null) | (Shape::Any, _) => Ok(()),
        (Shape::Object { .. }, Value::Object(map)) => {
            let known = map.iter_mut().filter_map(|(key, value)| Some((schema.field(key)?, value)));
            known.into_iter().try_for_each(|(schema, value)| to_typed(schema, value))
        }
        (Shape::Object { .. }, _) => Err(format!("cannot restore struct from: {kind}")),
        (Shape::Map(id), Value::Object(map)) => {
            let inner = schema.types().resolve(*id);
            map.values_mut().try_for_each(|value| to_typed(inner, value))
        }
        (Shape::Map(_), _) => Err(format!("cannot restore map from {kind}")),
        (Shape::List(id), Value::Array(items)) => {
            let inner = schema.types().resolve(*id);
            items.iter_mut().try_for_each(|item| to_typed(inner, item))
        }
        (Shape::List(_), _) => Err(format!("cannot restore slice from {kind}")),
        (Shape::Scalar(scalar), value) => single(*scalar, schema, value),
        (Shape::Builtin(id), value) => to_typed(schema.types().resolve(*id), value),
    }
}

fn single(scalar: Scalar, schema: Schema<'_>, value: &mut Value) -> Result<(), String> {
    let target = match scalar {
        Scalar::String => "string",
        Scalar::Bool => "bool",
        Scalar::Int32 => "int32",
        Scalar::Int64 => "int64",
        Scalar::Double => "float64",
        // These decode themselves.
        _ => {
            let refused = decode(schema, value.clone(), Strictness::Ignore).err();
            let decoder = if scalar == Scalar::Bytes { "error decoding from json: " } else { "" };
            return refused.map_or(Ok(()), |error| Err(format!("{decoder}{error}")));
        }
    };
    match (scalar, &*value) {
        (Scalar::String, Value::String(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Double, Value::Number(_)) => Ok(()),
        (Scalar::Int32 | Scalar::Int64, Value::Number(_)) => {
            let whole = integer(value).ok_or_else(|| format!("cannot convert float64 to {target}"))?;
            *value = if scalar == Scalar::Int32 { (whole as i32).into() } else { whole.into() };
            Ok(())
        }
        // Go converts an integer to a string of one rune, so that it is this message and not the next.
        (Scalar::String, Value::Number(number)) if number.is_i64() => {
            Err(format!("cannot convert int64 to {target}"))
        }
        _ => Err(format!("unrecognized type: {target}")),
    }
}

/// A number without a fraction. What no `int64` can hold becomes the least one, as on the machines that Kubernetes runs on.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0)?;
        let fits = (-9.2e18..9.2e18).contains(&float);
        Some(if fits { float as i64 } else { i64::MIN })
    })
}

/// Go's word for the kind of a JSON value.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a value of a Deployment's or a Secret's field, or what Go says to it.
    fn converted(kind: &str, field: &str, value: Value) -> String {
        let schema = schema::builtin().named(kind).expect("a built-in type");
        let mut object = json!({field: value});
        to_typed(schema, &mut object).map_or_else(|error| error, |()| object[field].to_string())
    }

    #[test]
    fn numbers_are_cut_to_size() {
        let replicas = |value| converted("io.k8s.api.apps.v1.DeploymentSpec", "replicas", value);
        for (value, wanted) in [
            (json!(3), "3"),
            (json!(3.0), "3"),
            (json!(2_147_483_648_i64), "-2147483648"),
            (json!(9_223_372_036_854_775_808_u64), "0"),
            (json!(1.5), "cannot convert float64 to int32"),
            (json!("3"), "unrecognized type: int32"),
            (json!([]), "unrecognized type: int32"),
        ] {
            assert_eq!(replicas(value.clone()), wanted, "{value}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_in_the_converters_words() {
        let secret = |field, value| converted("io.k8s.api.core.v1.Secret", field, value);
        for (field, value, wanted) in [
            ("data", json!({"a": "YQ=="}), r#"{"a":"YQ=="}"#),
            ("data", json!({"a": "!"}), "error decoding from json: illegal base64 data at input byte 0"),
            ("data", json!([]), "cannot restore map from slice"),
            ("metadata", json!("x"), "cannot restore struct from: string"),
            ("type", json!(1), "cannot convert int64 to string"),
            ("type", json!(1.5), "unrecognized type: string"),
        ] {
            assert_eq!(secret(field, value.clone()), wanted, "{value}");
        }
    }
}
