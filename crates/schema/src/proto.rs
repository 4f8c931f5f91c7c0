//! Kubernetes' protobuf: built-in objects as bytes and back, by table.
//!
//! An object travels in an envelope: four bytes `k8s\0`, then a `runtime.Unknown` with its apiVersion, kind and the
//! bytes of its message. What is written equals what a Go server writes, byte for byte: fields by their tags, zero
//! values of fields that are no pointers included, maps sorted.
//!
//! Custom resources have no message; [`encode_envelope`] says so.

mod layout;
mod read;
mod special;
mod wire;
mod write;

use crate::{
    NodeId, Schema, builtin,
    decode::{Strictness, decode as canonical},
};
use object::{GroupVersion, GroupVersionKind, Value, meta};
use wire::{Reader, put_bytes, put_length, put_message};

/// The first bytes of every envelope.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// Messages nested deeper than this are refused.
const MAX_DEPTH: usize = 100;

/// Why bytes are no object, or an object has no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtoError(pub String);

impl std::fmt::Display for ProtoError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProtoError {}

type Result<T> = std::result::Result<T, ProtoError>;

fn error<T>(message: impl Into<String>) -> Result<T> {
    Err(ProtoError(message.into()))
}

/// What an envelope says of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
    /// The message (or, by `content_type`, something else).
    pub raw: &'a [u8],
    /// Empty for protobuf.
    pub content_type: String,
}

/// Opens an envelope without reading what is in it.
pub fn open_envelope(bytes: &[u8]) -> Result<Envelope<'_>> {
    let Some(body) = bytes.strip_prefix(MAGIC) else {
        return error(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        );
    };
    let mut envelope = Envelope::default();
    let mut reader = Reader::new(body);
    while let Some((tag, field)) = reader.next()? {
        match tag {
            1 => {
                let mut type_meta = Reader::new(field.bytes()?);
                while let Some((tag, field)) = type_meta.next()? {
                    match tag {
                        1 => envelope.api_version = field.text()?,
                        2 => envelope.kind = field.text()?,
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = field.bytes()?,
            4 => envelope.content_type = field.text()?,
            _ => {}
        }
    }
    Ok(envelope)
}

/// The object in an envelope, with apiVersion and kind, in canonical form.
pub fn decode_envelope(bytes: &[u8]) -> Result<Value> {
    decode_nested(bytes, 0)
}

fn decode_nested(bytes: &[u8], depth: usize) -> Result<Value> {
    let envelope = open_envelope(bytes)?;
    if envelope.content_type.ends_with("json") {
        return serde_json::from_slice(envelope.raw).map_err(|e| ProtoError(e.to_string()));
    }
    let Some(gv) = GroupVersion::parse(&envelope.api_version) else {
        return error(format!("unexpected GroupVersion string: {}", envelope.api_version));
    };
    let gvk = gv.kind(&envelope.kind);
    let Some(schema) = builtin().by_gvk(&gvk) else {
        return error(format!("no kind \"{}\" is registered for version \"{gv}\"", gvk.kind));
    };
    let mut value = decode_at(schema, envelope.raw, depth)?;
    if schema.field("kind").is_some() {
        meta::set_gvk(&mut value, &gvk);
    }
    Ok(value)
}

/// Reads a bare message of a built-in type.
pub fn decode(schema: Schema<'_>, bytes: &[u8]) -> Result<Value> {
    decode_at(schema, bytes, 0)
}

fn decode_at(schema: Schema<'_>, bytes: &[u8], depth: usize) -> Result<Value> {
    let value = read::message(layout_of(schema)?, bytes, depth)?;
    let decoded = canonical(schema, value, Strictness::Ignore).map_err(|e| ProtoError(e.0))?;
    Ok(decoded.value)
}

/// Writes an object of a built-in kind into an envelope.
pub fn encode_envelope(object: &Value) -> Result<Vec<u8>> {
    let Some(gvk) = meta::gvk(object) else { return error("object without apiVersion or kind") };
    encode_envelope_as(&gvk, object)
}

/// The same for an object that does not say its kind.
pub fn encode_envelope_as(gvk: &GroupVersionKind, object: &Value) -> Result<Vec<u8>> {
    let Some(schema) = builtin().by_gvk(gvk) else {
        return error(format!(
            "object {gvk} does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message"
        ));
    };
    let body = encode(schema, object)?;
    let mut out = envelope_head(gvk, body.len())?;
    out.extend_from_slice(&body);
    out.extend_from_slice(&ENVELOPE_TAIL);
    Ok(out)
}

/// What stands in an envelope before `length` bytes of a message.
pub fn envelope_head(gvk: &GroupVersionKind, length: usize) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(length.min(1 << 20) + 64);
    out.extend_from_slice(MAGIC);
    put_message(&mut out, 1, |out| {
        put_bytes(out, 1, gvk.api_version().as_bytes());
        put_bytes(out, 2, gvk.kind.as_bytes());
        Ok(())
    })?;
    put_length(&mut out, 2, length);
    Ok(out)
}

/// What follows the message: it has neither an encoding nor a content type of its own.
pub const ENVELOPE_TAIL: [u8; 4] = [0x1a, 0, 0x22, 0];

/// The message of an object that says its kind, without an envelope. Lists written one after the other read as one list.
pub fn encode_body(object: &Value) -> Result<Vec<u8>> {
    let schema = meta::gvk(object).and_then(|gvk| builtin().by_gvk(&gvk));
    schema.map_or_else(|| error("the type has no protobuf message"), |schema| encode(schema, object))
}

/// Writes a bare message of a built-in type.
pub fn encode(schema: Schema<'_>, object: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    write::message(layout_of(schema)?, object, &mut out, 0)?;
    Ok(out)
}

fn layout_of(schema: Schema<'_>) -> Result<usize> {
    let at = std::ptr::eq(schema.types(), builtin()).then(|| layout::layouts().of(schema.id())).flatten();
    at.map_or_else(|| error("the type has no protobuf message"), Ok)
}

/// Whether objects of a type can be written as protobuf.
pub fn has_message(schema: Schema<'_>) -> bool {
    layout_of(schema).is_ok()
}

/// A frame of a watch: four bytes of length, then a WatchEvent around the object's envelope.
pub fn watch_frame(event_type: &str, object: &Value) -> Result<Vec<u8>> {
    Ok(watch_frame_of(event_type, &encode_envelope(object)?))
}

/// The same for an envelope that is there already.
pub fn watch_frame_of(event_type: &str, envelope: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    put_bytes(&mut out, 1, event_type.as_bytes());
    let mut object = Vec::with_capacity(envelope.len() + 8);
    put_bytes(&mut object, 1, envelope);
    put_bytes(&mut out, 2, &object);
    let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}

/// The WatchEvent of a frame (without its length): its type and object.
pub fn decode_watch_event(bytes: &[u8]) -> Result<(String, Value)> {
    let (mut event_type, mut object) = (String::new(), Value::Null);
    let mut reader = Reader::new(bytes);
    while let Some((tag, field)) = reader.next()? {
        match tag {
            1 => event_type = field.text()?,
            2 => object = special::raw_extension(field.bytes()?, 0)?,
            _ => {}
        }
    }
    Ok((event_type, object))
}

/// The node of a built-in type by its OpenAPI name.
fn node_of(name: &str) -> Option<NodeId> {
    builtin().names.get(name).copied()
}

#[cfg(test)]
mod tests;
