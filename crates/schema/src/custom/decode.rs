//! Reading a custom resource: metadata by its type, the rest pruned, nulls dropped, defaults written in.

use super::{At, META_FIELDS, constraints::TypeSet, default, default::drop_nulls, prune};
use crate::{
    Schema, builtin,
    decode::{DecodeError, Decoded, Strictness, decode as decode_typed, decode_untyped},
};
use object::Value;

/// Reads a JSON text as a custom resource of this schema.
pub fn decode_json(schema: Schema<'_>, text: &[u8], strictness: Strictness) -> Result<Decoded, DecodeError> {
    let read = decode_untyped(text, strictness)?;
    let mut decoded = decode(schema, read.value, strictness)?;
    decoded.problems.splice(..0, read.problems);
    Ok(decoded)
}

/// Makes `value` a custom resource of this schema.
pub fn decode(schema: Schema<'_>, mut value: Value, strictness: Strictness) -> Result<Decoded, DecodeError> {
    let mut unknown = Vec::new();
    take_metadata(&mut value, "", strictness, &mut unknown)?;
    unknown.extend(prune(schema, &mut value));
    if let Some(at) = At::new(schema) {
        drop_nulls(at, &mut value);
        let mut embedded = Vec::new();
        coerce(at, &mut value, &mut String::new(), strictness, &mut embedded)?;
        embedded.sort();
        unknown.extend(embedded);
    }
    default(schema, &mut value);
    whole_numbers(At::new(schema), &mut value);
    let problems = match strictness {
        Strictness::Ignore => Vec::new(),
        _ => unknown.iter().map(|path| format!("unknown field {}", object::error::quote(path))).collect(),
    };
    Ok(Decoded { value, problems, ..Default::default() })
}

/// Brings the metadata of the object at `path` into the form of its type.
fn take_metadata(
    object: &mut Value,
    path: &str,
    strictness: Strictness,
    unknown: &mut Vec<String>,
) -> Result<(), DecodeError> {
    let Some(metadata) = object.get_mut("metadata") else { return Ok(()) };
    let Some(schema) = builtin().named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") else {
        return Ok(());
    };
    let given = match metadata.take() {
        Value::Null => Value::Object(object::Map::new()),
        given => given,
    };
    let decoded = decode_typed(schema, given, strictness)?;
    *metadata = decoded.value;
    for problem in decoded.problems {
        // `unknown field "x"` of the metadata alone
        if let Some(field) = problem.split('"').nth(1) {
            unknown.push(format!("{path}metadata.{field}"));
        }
    }
    Ok(())
}

/// Does the same for the resources embedded in this one.
fn coerce(
    at: At<'_>,
    value: &mut Value,
    path: &mut String,
    strictness: Strictness,
    unknown: &mut Vec<String>,
) -> Result<(), DecodeError> {
    let length = path.len();
    if at.check().embedded && value.is_object() {
        for key in ["apiVersion", "kind"] {
            if value.get(key).is_some_and(|v| !v.is_string()) {
                let shown = object::FieldError::invalid(
                    &object::Path::new(format!("{path}.{key}")),
                    &value[key],
                    "must be a string",
                );
                return Err(DecodeError(format!("{}: {}", shown.path, shown.message)));
            }
        }
        let given = value["metadata"].clone();
        take_metadata(value, &format!("{path}."), strictness, unknown).map_err(|error| {
            let at = object::Path::new(format!("{path}.metadata"));
            let shown = object::FieldError::invalid(&at, &given, &error.0);
            DecodeError(format!("{}: {}", shown.path, shown.message))
        })?;
    }
    match value {
        Value::Object(map) => {
            let object = at.check().embedded;
            for (key, value) in map.iter_mut().filter(|(k, _)| !(object && META_FIELDS.contains(&k.as_str())))
            {
                let Some(inner) = at.field(key) else { continue };
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                coerce(inner, value, path, strictness, unknown)?;
                path.truncate(length);
            }
        }
        Value::Array(list) => {
            let Some(items) = at.items() else { return Ok(()) };
            for (index, value) in list.iter_mut().enumerate() {
                path.push_str(&format!("[{index}]"));
                coerce(items, value, path, strictness, unknown)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// `2.0` is written `2`. Where a number is wrong it stays as it is, for the message to tell.
fn whole_numbers(at: Option<At<'_>>, value: &mut Value) {
    const MAX: f64 = 1e18;
    match value {
        Value::Number(number) if number.is_f64() => {
            let types = at.map(|at| at.check().types).unwrap_or_default();
            let float = number.as_f64().unwrap_or(0.5);
            let wanted = types.is_empty() || types.has(TypeSet::INTEGER) || types.has(TypeSet::NUMBER);
            if wanted && float.fract() == 0.0 && float.abs() < MAX {
                *value = (float as i64).into();
            }
        }
        Value::Object(map) => {
            map.iter_mut().for_each(|(key, value)| whole_numbers(at.and_then(|at| at.field(key)), value))
        }
        Value::Array(list) => list.iter_mut().for_each(|value| whole_numbers(at.and_then(At::items), value)),
        _ => {}
    }
}
