//! The OpenAPI v2 document as protobuf (gnostic's `openapi.v2.Document`), which kubectl before 1.27 asks for.
//!
//! Messages are tables: JSON field, tag and how its value is written. Vendor extensions travel as YAML text, for which
//! their JSON serves.

use object::Value;

/// How a field's value is written.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Flag,
    Integer,
    Number,
    /// Anything, as YAML text.
    Any,
    Anys,
    One(&'static Message),
    Many(&'static Message),
    /// A JSON object as a message whose field 1 repeats pairs of name and value.
    Named(&'static Message),
    /// What JSON and protobuf shape too differently for a row.
    Special(fn(&Value) -> Vec<u8>),
}

struct Message {
    fields: &'static [(&'static str, u32, Kind)],
    /// The tag of vendor extensions; 0 without.
    extensions: u32,
}

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Kind::Text),
        ("info", 2, Kind::One(&INFO)),
        ("paths", 8, Kind::Special(paths)),
        ("definitions", 9, Kind::Named(&SCHEMA)),
        ("parameters", 10, Kind::Special(parameter_definitions)),
        ("security", 12, Kind::Special(security)),
        ("securityDefinitions", 13, Kind::Special(security_definitions)),
    ],
    extensions: 16,
};

static INFO: Message = Message {
    fields: &[("title", 1, Kind::Text), ("version", 2, Kind::Text), ("description", 3, Kind::Text)],
    extensions: 7,
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, Kind::One(&OPERATION)),
        ("put", 3, Kind::One(&OPERATION)),
        ("post", 4, Kind::One(&OPERATION)),
        ("delete", 5, Kind::One(&OPERATION)),
        ("options", 6, Kind::One(&OPERATION)),
        ("head", 7, Kind::One(&OPERATION)),
        ("patch", 8, Kind::One(&OPERATION)),
        ("parameters", 9, Kind::Many(&PARAMETERS_ITEM)),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Kind::Texts),
        ("description", 3, Kind::Text),
        ("operationId", 5, Kind::Text),
        ("produces", 6, Kind::Texts),
        ("consumes", 7, Kind::Texts),
        ("parameters", 8, Kind::Many(&PARAMETERS_ITEM)),
        ("responses", 9, Kind::Special(responses)),
        ("schemes", 10, Kind::Texts),
        ("deprecated", 11, Kind::Flag),
    ],
    extensions: 13,
};

/// A reference to a shared parameter (its own fields), or the parameter (see [`message`]).
static PARAMETERS_ITEM: Message = Message { fields: &[], extensions: 0 };

static REFERENCE: Message =
    Message { fields: &[("$ref", 1, Kind::Text), ("description", 2, Kind::Text)], extensions: 0 };

static BODY: Message = Message {
    fields: &[
        ("description", 1, Kind::Text),
        ("name", 2, Kind::Text),
        ("in", 3, Kind::Text),
        ("required", 4, Kind::Flag),
        ("schema", 5, Kind::One(&SCHEMA)),
    ],
    extensions: 6,
};

static QUERY: Message = Message {
    fields: &[
        ("required", 1, Kind::Flag),
        ("in", 2, Kind::Text),
        ("description", 3, Kind::Text),
        ("name", 4, Kind::Text),
        ("type", 6, Kind::Text),
        ("format", 7, Kind::Text),
        ("uniqueItems", 20, Kind::Flag),
    ],
    extensions: 23,
};

static IN_PATH: Message = Message {
    fields: &[
        ("required", 1, Kind::Flag),
        ("in", 2, Kind::Text),
        ("description", 3, Kind::Text),
        ("name", 4, Kind::Text),
        ("type", 5, Kind::Text),
        ("format", 6, Kind::Text),
        ("uniqueItems", 19, Kind::Flag),
    ],
    extensions: 22,
};

static RESPONSE: Message = Message {
    fields: &[("description", 1, Kind::Text), ("schema", 2, Kind::Special(schema_item))],
    extensions: 5,
};

static API_KEY: Message = Message {
    fields: &[
        ("type", 1, Kind::Text),
        ("name", 2, Kind::Text),
        ("in", 3, Kind::Text),
        ("description", 4, Kind::Text),
    ],
    extensions: 5,
};

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Kind::Text),
        ("format", 2, Kind::Text),
        ("title", 3, Kind::Text),
        ("description", 4, Kind::Text),
        ("default", 5, Kind::Any),
        ("multipleOf", 6, Kind::Number),
        ("maximum", 7, Kind::Number),
        ("exclusiveMaximum", 8, Kind::Flag),
        ("minimum", 9, Kind::Number),
        ("exclusiveMinimum", 10, Kind::Flag),
        ("maxLength", 11, Kind::Integer),
        ("minLength", 12, Kind::Integer),
        ("pattern", 13, Kind::Text),
        ("maxItems", 14, Kind::Integer),
        ("minItems", 15, Kind::Integer),
        ("uniqueItems", 16, Kind::Flag),
        ("maxProperties", 17, Kind::Integer),
        ("minProperties", 18, Kind::Integer),
        ("required", 19, Kind::Texts),
        ("enum", 20, Kind::Anys),
        ("additionalProperties", 21, Kind::Special(additional_properties)),
        ("type", 22, Kind::Special(type_item)),
        ("items", 23, Kind::Special(items_item)),
        ("allOf", 24, Kind::Many(&SCHEMA)),
        ("properties", 25, Kind::Named(&SCHEMA)),
    ],
    extensions: 31,
};

/// The document's bytes.
pub(crate) fn encode(document: &Value) -> Vec<u8> {
    message(document, &DOCUMENT)
}

fn message(value: &Value, shape: &'static Message) -> Vec<u8> {
    if std::ptr::eq(shape, &raw const PARAMETERS_ITEM) {
        return parameters_item(value);
    }
    let mut out = Vec::new();
    for (name, tag, kind) in shape.fields {
        if let Some(field) = value.get(name) {
            write(&mut out, *tag, *kind, field);
        }
    }
    for (name, extension) in
        value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"))
    {
        if shape.extensions != 0 {
            put(&mut out, shape.extensions, &pair(name, &any(extension)));
        }
    }
    out
}

fn write(out: &mut Vec<u8>, tag: u32, kind: Kind, value: &Value) {
    match kind {
        Kind::Text => put(out, tag, value.as_str().unwrap_or("").as_bytes()),
        Kind::Texts => {
            list(value).iter().for_each(|item| put(out, tag, item.as_str().unwrap_or("").as_bytes()))
        }
        Kind::Flag => {
            if value == true {
                varint(out, u64::from(tag) << 3);
                varint(out, 1);
            }
        }
        Kind::Integer => {
            varint(out, u64::from(tag) << 3);
            varint(out, value.as_i64().unwrap_or(0).cast_unsigned());
        }
        Kind::Number => {
            varint(out, (u64::from(tag) << 3) | 1);
            out.extend(value.as_f64().unwrap_or(0.0).to_le_bytes());
        }
        Kind::Any => put(out, tag, &any(value)),
        Kind::Anys => list(value).iter().for_each(|item| put(out, tag, &any(item))),
        Kind::One(shape) => put(out, tag, &message(value, shape)),
        Kind::Many(shape) => list(value).iter().for_each(|item| put(out, tag, &message(item, shape))),
        Kind::Named(shape) => put(out, tag, &named(value, 1, |item| message(item, shape))),
        Kind::Special(encode) => put(out, tag, &encode(value)),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A length-delimited field.
fn put(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    varint(out, (u64::from(tag) << 3) | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A message of one field.
fn wrapped(tag: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 6);
    put(&mut out, tag, bytes);
    out
}

fn pair(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = wrapped(1, name.as_bytes());
    put(&mut out, 2, value);
    out
}

fn any(value: &Value) -> Vec<u8> {
    wrapped(2, format!("{value}\n").as_bytes())
}

/// A JSON object as repeated pairs in field `tag`.
fn named(map: &Value, tag: u32, encode: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in map.as_object().into_iter().flatten() {
        put(&mut out, tag, &pair(name, &encode(value)));
    }
    out
}

fn paths(value: &Value) -> Vec<u8> {
    named(value, 2, |item| message(item, &PATH_ITEM))
}

fn responses(value: &Value) -> Vec<u8> {
    named(value, 1, |response| wrapped(1, &message(response, &RESPONSE)))
}

fn schema_item(value: &Value) -> Vec<u8> {
    wrapped(1, &message(value, &SCHEMA))
}

fn additional_properties(value: &Value) -> Vec<u8> {
    match value {
        Value::Bool(allowed) => vec![2 << 3, u8::from(*allowed)],
        schema => wrapped(1, &message(schema, &SCHEMA)),
    }
}

fn type_item(value: &Value) -> Vec<u8> {
    wrapped(1, value.as_str().unwrap_or("").as_bytes())
}

fn items_item(value: &Value) -> Vec<u8> {
    wrapped(1, &message(value, &SCHEMA))
}

fn parameters_item(value: &Value) -> Vec<u8> {
    if value.get("$ref").is_some() {
        wrapped(2, &message(value, &REFERENCE))
    } else {
        wrapped(1, &parameter(value))
    }
}

fn parameter(value: &Value) -> Vec<u8> {
    match value["in"].as_str() {
        Some("body") => wrapped(1, &message(value, &BODY)),
        Some("path") => wrapped(2, &wrapped(4, &message(value, &IN_PATH))),
        _ => wrapped(2, &wrapped(3, &message(value, &QUERY))),
    }
}

fn parameter_definitions(value: &Value) -> Vec<u8> {
    named(value, 1, parameter)
}

fn security_definitions(value: &Value) -> Vec<u8> {
    named(value, 1, |item| wrapped(2, &message(item, &API_KEY)))
}

/// Only one way to be authenticated is known, and it has no scopes.
fn security(value: &Value) -> Vec<u8> {
    let empty = Value::Null;
    named(list(value).first().unwrap_or(&empty), 1, |_| Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn writes_gnostic_messages() {
        let document = json!({"swagger": "2.0", "definitions": {"A": {"type": "object", "x-k": [1]}}});
        let mut schema = vec![0xb2, 0x01, 8, 0x0a, 6];
        schema.extend(b"object");
        schema.extend([0xfa, 0x01, 13, 0x0a, 3]);
        schema.extend(b"x-k");
        schema.extend([0x12, 6, 0x12, 4]);
        schema.extend(b"[1]\n");
        let mut wanted = vec![0x0a, 3];
        wanted.extend(b"2.0");
        wanted.extend([
            0x4a,
            schema.len() as u8 + 7,
            0x0a,
            schema.len() as u8 + 5,
            0x0a,
            1,
            b'A',
            0x12,
            schema.len() as u8,
        ]);
        wanted.extend(schema);
        assert_eq!(encode(&document), wanted);
    }

    #[test]
    fn parameters_are_told_apart() {
        assert_eq!(parameters_item(&json!({"$ref": "r"})), [0x12, 3, 0x0a, 1, b'r']);
        assert_eq!(parameters_item(&json!({"in": "body"}))[..2], [0x0a, 8]);
        assert_eq!(
            parameters_item(&json!({"in": "path", "required": true}))[..6],
            [0x0a, 12, 0x12, 10, 0x22, 8]
        );
    }
}
