//! Messages to JSON, as they come; the caller brings the result into canonical form.

use super::{
    MAX_DEPTH, Result, error,
    layout::{FieldLayout, Kind, layouts},
    special,
    wire::{Raw, Reader},
};
use base64::Engine;
use object::{Map, Value};
use serde_json::Number;

/// Reads a message.
pub(super) fn message(layout: usize, bytes: &[u8], depth: usize) -> Result<Value> {
    let mut map = Map::new();
    fields(layout, bytes, &mut map, depth)?;
    Ok(Value::Object(map))
}

fn fields(layout: usize, bytes: &[u8], map: &mut Map<String, Value>, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return error("proto: message nested too deeply");
    }
    let layout = layouts().get(layout);
    let mut reader = Reader::new(bytes);
    while let Some((tag, raw)) = reader.next()? {
        let Ok(at) = layout.binary_search_by_key(&tag, |f| f.tag) else { continue };
        let field = &layout[at];
        match &field.kind {
            Kind::Inline(inner) => fields(*inner, raw.bytes()?, map, depth + 1)?,
            Kind::List(item) => list(field, item, raw, map, depth)?,
            Kind::Map(item) => entry(field, item, raw, map, depth)?,
            kind => {
                let value = value(kind, raw, depth)?;
                map.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn list(
    field: &FieldLayout,
    item: &Kind,
    raw: Raw<'_>,
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<()> {
    let list = map.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(list) = list else { return Ok(()) };
    match (item, raw) {
        (Kind::Int | Kind::Bool, Raw::Bytes(packed)) => {
            let mut reader = Reader::new(packed);
            while !reader.is_empty() {
                let item = value(item, Raw::Varint(reader.varint()?), depth)?;
                list.push(item);
            }
        }
        _ => list.push(value(item, raw, depth)?),
    }
    Ok(())
}

fn entry(
    field: &FieldLayout,
    item: &Kind,
    raw: Raw<'_>,
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<()> {
    let (mut key, mut found) = (String::new(), None);
    let mut reader = Reader::new(raw.bytes()?);
    while let Some((tag, raw)) = reader.next()? {
        match tag {
            1 => key = raw.text()?,
            2 => found = Some(value(item, raw, depth)?),
            _ => {}
        }
    }
    let entries = map.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(entries) = entries {
        // Without a value it is the zero of its type, which canonical form writes in.
        entries.insert(key, found.unwrap_or(Value::Null));
    }
    Ok(())
}

fn value(kind: &Kind, raw: Raw<'_>, depth: usize) -> Result<Value> {
    Ok(match kind {
        Kind::String => raw.text()?.into(),
        Kind::Bytes => base64::engine::general_purpose::STANDARD.encode(raw.bytes()?).into(),
        Kind::Bool => (raw.int()? != 0).into(),
        Kind::Int => raw.int()?.into(),
        Kind::Double => match raw {
            Raw::Fixed64(bits) => Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number),
            _ => return error("proto: wrong wireType"),
        },
        Kind::Message(at) | Kind::Inline(at) => message(*at, raw.bytes()?, depth + 1)?,
        Kind::Quantity => special::quantity(raw.bytes()?)?,
        Kind::Time => special::time(raw.bytes()?, false)?,
        Kind::MicroTime => special::time(raw.bytes()?, true)?,
        Kind::Duration => special::duration(raw.bytes()?)?,
        Kind::IntOrString => special::int_or_string(raw.bytes()?)?,
        Kind::Raw => special::raw_extension(raw.bytes()?, depth + 1)?,
        Kind::Texts => special::texts(raw.bytes()?)?,
        Kind::OrBool | Kind::OrArray | Kind::OrStringArray => {
            special::schema_or(kind, raw.bytes()?, depth + 1)?
        }
        Kind::List(_) | Kind::Map(_) => return error("proto: list of lists"),
    })
}
