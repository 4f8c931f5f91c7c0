//! The types that encode themselves: quantities, times, raw JSON and their like.

use super::{
    MAGIC, MAX_DEPTH, ProtoError, Result, decode_nested, error,
    layout::{Kind, layouts},
    read,
    wire::{Reader, put_bytes, put_int, put_message},
    write,
};
use object::{Quantity, Value, json, time};

const NANOS: i128 = 1_000_000_000;

fn broken(message: impl std::fmt::Display) -> ProtoError {
    ProtoError(message.to_string())
}

/// `{string}`
pub(super) fn quantity(bytes: &[u8]) -> Result<Value> {
    let mut text = String::from("0");
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        if tag == 1 {
            text = raw.text()?;
        }
    }
    Ok(text.into())
}

pub(super) fn put_quantity(found: &Value, out: &mut Vec<u8>) -> Result<()> {
    let text = match found {
        Value::Null => "0".to_owned(),
        found => Quantity::from_json(found).map_err(broken)?.to_string(),
    };
    put_bytes(out, 1, text.as_bytes());
    Ok(())
}

/// `{seconds, nanos}`; nothing at all is the zero time.
pub(super) fn time(bytes: &[u8], micro: bool) -> Result<Value> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        match tag {
            1 => seconds = raw.int()?,
            2 => nanos = raw.int()?,
            _ => {}
        }
    }
    let nanos = i32::try_from(nanos).map_err(broken)?;
    let time = jiff::Timestamp::new(seconds, nanos).map_err(broken)?;
    Ok(if micro { time::format_micro(time) } else { time::format(time) }.into())
}

pub(super) fn put_time(kind: &Kind, found: &Value, out: &mut Vec<u8>) -> Result<()> {
    let Some(text) = found.as_str() else { return Ok(()) };
    let parsed = if *kind == Kind::MicroTime { time::parse_micro(text) } else { time::parse(text) };
    let parsed = parsed.map_err(ProtoError)?;
    let total = parsed.as_nanosecond();
    let (seconds, nanos) = (total.div_euclid(NANOS) as i64, total.rem_euclid(NANOS) as i64);
    put_int(out, 1, seconds);
    put_int(out, 2, if *kind == Kind::MicroTime { nanos / 1000 * 1000 } else { nanos });
    Ok(())
}

/// `{duration}` in nanoseconds.
pub(super) fn duration(bytes: &[u8]) -> Result<Value> {
    let mut nanos = 0;
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        if tag == 1 {
            nanos = raw.int()?;
        }
    }
    Ok(time::duration::format(nanos).into())
}

pub(super) fn put_duration(found: &Value, out: &mut Vec<u8>) -> Result<()> {
    let nanos = found.as_str().map_or(Ok(0), time::duration::parse).map_err(ProtoError)?;
    put_int(out, 1, nanos);
    Ok(())
}

/// `{type, intVal, strVal}`
pub(super) fn int_or_string(bytes: &[u8]) -> Result<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        match tag {
            1 => is_text = raw.int()? == 1,
            2 => number = raw.int()?,
            3 => text = raw.text()?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

pub(super) fn put_int_or_string(found: &Value, out: &mut Vec<u8>) -> Result<()> {
    let text = found.as_str();
    put_int(out, 1, i64::from(text.is_some()));
    put_int(out, 2, found.as_i64().unwrap_or(0));
    put_bytes(out, 3, text.unwrap_or("").as_bytes());
    Ok(())
}

/// `{raw}`: JSON, or an envelope.
pub(super) fn raw_extension(bytes: &[u8], depth: usize) -> Result<Value> {
    if depth > MAX_DEPTH {
        return error("proto: message nested too deeply");
    }
    let mut value = Value::Null;
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        if tag == 1 {
            let raw = raw.bytes()?;
            value = match raw {
                b"" => Value::Null,
                raw if raw.starts_with(MAGIC) => decode_nested(raw, depth + 1)?,
                raw => serde_json::from_slice(raw).map_err(broken)?,
            };
        }
    }
    Ok(value)
}

pub(super) fn put_raw(found: &Value, out: &mut Vec<u8>) -> Result<()> {
    if !found.is_null() {
        put_bytes(out, 1, &serde_json::to_vec(found).map_err(broken)?);
    }
    Ok(())
}

/// A list of strings in a message of its own.
pub(super) fn texts(bytes: &[u8]) -> Result<Value> {
    let mut list = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        if tag == 1 {
            list.push(raw.text()?);
        }
    }
    Ok(json!(list))
}

pub(super) fn put_texts(tag: u32, found: &Value, out: &mut Vec<u8>) -> Result<()> {
    for text in found.as_array().into_iter().flatten().filter_map(Value::as_str) {
        put_bytes(out, tag, text.as_bytes());
    }
    Ok(())
}

fn schema_props() -> Result<usize> {
    layouts().schema_props.map_or_else(|| error("no JSONSchemaProps"), Ok)
}

/// A schema, or a bool, a list of schemas or a list of names.
pub(super) fn schema_or(kind: &Kind, bytes: &[u8], depth: usize) -> Result<Value> {
    let (mut schema, mut allows, mut list) = (None, false, Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        match (kind, tag) {
            (Kind::OrBool, 1) => allows = raw.int()? != 0,
            (Kind::OrBool, 2) | (Kind::OrArray | Kind::OrStringArray, 1) => {
                schema = Some(read::message(schema_props()?, raw.bytes()?, depth)?);
            }
            (Kind::OrArray, 2) => list.push(read::message(schema_props()?, raw.bytes()?, depth)?),
            (Kind::OrStringArray, 2) => list.push(raw.text()?.into()),
            _ => {}
        }
    }
    Ok(match (kind, schema) {
        (Kind::OrBool, None) => allows.into(),
        (_, schema) if list.is_empty() => schema.unwrap_or(Value::Null),
        _ => list.into(),
    })
}

pub(super) fn put_schema_or(kind: &Kind, found: &Value, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    let schema_tag = if *kind == Kind::OrBool { 2 } else { 1 };
    if *kind == Kind::OrBool {
        put_int(out, 1, i64::from(found == true || found.is_object()));
    }
    match (kind, found) {
        (_, Value::Object(_)) => {
            put_message(out, schema_tag, |out| write::message(schema_props()?, found, out, depth))
        }
        (Kind::OrArray, Value::Array(list)) => list.iter().try_for_each(|item| {
            put_message(out, 2, |out| write::message(schema_props()?, item, out, depth))
        }),
        (Kind::OrStringArray, found) => put_texts(2, found, out),
        _ => Ok(()),
    }
}
