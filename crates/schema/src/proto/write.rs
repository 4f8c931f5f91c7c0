//! JSON to messages. Fields that Go does not hold behind pointers are written even when absent.

use super::{
    MAX_DEPTH, Result, error,
    layout::{FieldLayout, Kind, layouts},
    special,
    wire::{put_bytes, put_double, put_int, put_message},
};
use base64::Engine;
use object::Value;

/// Writes the message of `object`; `null` stands for one without fields.
pub(super) fn message(layout: usize, object: &Value, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return error("object nested too deeply");
    }
    if !object.is_object() && !object.is_null() {
        return error("expected an object");
    }
    for field in layouts().get(layout) {
        match &field.kind {
            Kind::Inline(inner) => {
                put_message(out, field.tag, |out| message(*inner, object, out, depth + 1))?
            }
            _ => one(field, object.get(field.name).unwrap_or(&Value::Null), out, depth)
                .map_err(|e| super::ProtoError(format!("{}: {}", field.name, e.0)))?,
        }
    }
    Ok(())
}

fn one(field: &FieldLayout, found: &Value, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    match (&field.kind, found) {
        (Kind::List(item), Value::Array(list)) => {
            list.iter().try_for_each(|v| value(item, field.tag, v, out, depth))
        }
        (Kind::Map(item), Value::Object(map)) => map.iter().try_for_each(|(key, found)| {
            put_message(out, field.tag, |out| {
                put_bytes(out, 1, key.as_bytes());
                value(item, 2, found, out, depth)
            })
        }),
        (Kind::List(_) | Kind::Map(_) | Kind::Bytes | Kind::Texts, Value::Null) => Ok(()),
        (_, Value::Null) if field.pointer => Ok(()),
        (kind, found) => value(kind, field.tag, found, out, depth),
    }
}

fn value(kind: &Kind, tag: u32, found: &Value, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    match (kind, found) {
        (Kind::String, Value::String(text)) => put_bytes(out, tag, text.as_bytes()),
        (Kind::String | Kind::Bytes, Value::Null) => put_bytes(out, tag, b""),
        (Kind::Bytes, Value::String(text)) => match base64::engine::general_purpose::STANDARD.decode(text) {
            Ok(bytes) => put_bytes(out, tag, &bytes),
            Err(e) => return error(e.to_string()),
        },
        (Kind::Bool, Value::Bool(b)) => put_int(out, tag, i64::from(*b)),
        (Kind::Bool | Kind::Int, Value::Null) => put_int(out, tag, 0),
        (Kind::Int, Value::Number(n)) => match n.as_i64() {
            Some(n) => put_int(out, tag, n),
            None => return error(format!("{n} is no integer")),
        },
        (Kind::Double, Value::Number(n)) => put_double(out, tag, n.as_f64().unwrap_or(0.0)),
        (Kind::Double, Value::Null) => put_double(out, tag, 0.0),
        (Kind::Message(at) | Kind::Inline(at), found) => {
            put_message(out, tag, |out| message(*at, found, out, depth + 1))?;
        }
        (Kind::Quantity, found) => put_message(out, tag, |out| special::put_quantity(found, out))?,
        (Kind::Time | Kind::MicroTime, found) => {
            put_message(out, tag, |out| special::put_time(kind, found, out))?
        }
        (Kind::Duration, found) => put_message(out, tag, |out| special::put_duration(found, out))?,
        (Kind::IntOrString, found) => put_message(out, tag, |out| special::put_int_or_string(found, out))?,
        (Kind::Raw, found) => put_message(out, tag, |out| special::put_raw(found, out))?,
        (Kind::Texts, found) => put_message(out, tag, |out| special::put_texts(1, found, out))?,
        (Kind::OrBool | Kind::OrArray | Kind::OrStringArray, found) => {
            put_message(out, tag, |out| special::put_schema_or(kind, found, out, depth + 1))?;
        }
        (kind, found) => return error(format!("{found} does not fit {kind:?}")),
    }
    Ok(())
}
