//! From an `openAPIV3Schema` to a [`Decl`]: what expressions may say about values of that schema, and how large those get.

use crate::types::{Decl, Field, ListKind, Object, Shape, Type};
use object::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nothing larger than this is sent to the server.
pub(crate) const MAX_REQUEST_BYTES: u64 = 3 * 1024 * 1024;
const MAX_DEPTH: usize = 128;

/// The declaration of a schema; `None` for places that expressions do not see. `root` for custom and embedded resources.
pub fn declare(schema: &Value, root: bool, name: &str) -> Option<Arc<Decl>> {
    at(schema, root, name, 0)
}

/// A property name as expressions write it; `None` if they cannot.
pub fn escape(name: &str) -> Option<String> {
    if crate::is_keyword(name) {
        return Some(format!("__{name}__"));
    }
    let first = name.chars().next()?;
    if first.is_ascii_digit() {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let (taken, text) = match c {
            '_' if rest.starts_with("__") => (2, "__underscores__"),
            '.' => (1, "__dot__"),
            '-' => (1, "__dash__"),
            '/' => (1, "__slash__"),
            c if c == '_' || c.is_ascii_alphanumeric() => (1, &rest[..1]),
            _ => return None,
        };
        out.push_str(text);
        rest = &rest[taken..];
    }
    Some(out)
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema[name].as_str().unwrap_or("")
}

fn limit(schema: &Value, name: &str) -> Option<u64> {
    schema[name].as_i64().map(|n| n.max(0) as u64)
}

fn sized(ty: Type, max: u64, min: u64) -> Option<Arc<Decl>> {
    Some(Arc::new(Decl { ty, max_elements: Some(max), min_size: min, shape: Shape::Scalar }))
}

fn plain(ty: Type, min: u64) -> Option<Arc<Decl>> {
    Some(Arc::new(Decl { ty, max_elements: None, min_size: min, shape: Shape::Scalar }))
}

fn at(schema: &Value, root: bool, name: &str, depth: usize) -> Option<Arc<Decl>> {
    if depth > MAX_DEPTH {
        return None;
    }
    if schema["x-kubernetes-int-or-string"] == true {
        let max = limit(schema, "maxLength").map_or(MAX_REQUEST_BYTES - 2, |n| n.saturating_mul(4));
        return Some(Arc::new(Decl {
            ty: Type::Dyn,
            max_elements: Some(max),
            min_size: 1,
            shape: Shape::Any,
        }));
    }
    match if root { "object" } else { text(schema, "type") } {
        "array" => list(schema, name, depth),
        "object" => object(schema, root, name, depth),
        "string" => string(schema),
        "boolean" => plain(Type::Bool, 4),
        "number" => plain(Type::Double, 1),
        "integer" => plain(Type::Int, 1),
        _ => None,
    }
}

fn inner(schema: &Value, name: &str, depth: usize) -> Option<Arc<Decl>> {
    at(schema, schema["x-kubernetes-embedded-resource"] == true, name, depth + 1)
}

fn list(schema: &Value, name: &str, depth: usize) -> Option<Arc<Decl>> {
    let items = inner(schema.get("items").filter(|i| i.is_object())?, &format!("{name}.@idx"), depth)?;
    let max = limit(schema, "maxItems").unwrap_or((MAX_REQUEST_BYTES - 2) / (items.min_size + 1));
    let kind = match text(schema, "x-kubernetes-list-type") {
        "set" => ListKind::Set,
        "map" => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            ListKind::Map(keys.filter_map(Value::as_str).map(Into::into).collect())
        }
        _ => ListKind::Atomic,
    };
    let ty = Type::list(items.ty.clone());
    Some(Arc::new(Decl { ty, max_elements: Some(max), min_size: 2, shape: Shape::List(items, kind) }))
}

fn object(schema: &Value, root: bool, name: &str, depth: usize) -> Option<Arc<Decl>> {
    if let Some(values) = schema.get("additionalProperties").filter(|a| a.is_object()) {
        let values = inner(values, &format!("{name}.@elem"), depth)?;
        let max = limit(schema, "maxProperties").unwrap_or((MAX_REQUEST_BYTES - 2) / (values.min_size + 6));
        let ty = Type::map(Type::String, values.ty.clone());
        return Some(Arc::new(Decl { ty, max_elements: Some(max), min_size: 2, shape: Shape::Map(values) }));
    }
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut fields = BTreeMap::new();
    let mut min_size = 2;
    for (property, inner_schema) in properties {
        let meta = root && ["apiVersion", "kind", "metadata"].contains(&property.as_str());
        if meta {
            continue;
        }
        let Some(decl) = inner(inner_schema, &format!("{name}.{property}"), depth) else { continue };
        if required.contains(&property.as_str()) && inner_schema.get("default").is_none_or(Value::is_null) {
            min_size += property.len() as u64 + decl.min_size + 4;
        }
        if let Some(escaped) = escape(property) {
            fields.insert(escaped.into(), Field { json: property.as_str().into(), decl });
        }
    }
    if root {
        let string = sized(Type::String, MAX_REQUEST_BYTES - 2, 2)?;
        let metadata = Decl::object(
            &format!("{name}.metadata"),
            [("name", string.clone()), ("generateName", string.clone())],
        );
        for (field, decl) in [("apiVersion", string.clone()), ("kind", string), ("metadata", metadata)] {
            fields.insert(field.into(), Field { json: field.into(), decl });
        }
    }
    let object = Arc::new(Object { name: name.to_owned(), fields, open: false });
    let ty = Type::Struct(object.clone());
    Some(Arc::new(Decl { ty, max_elements: None, min_size, shape: Shape::Object(object) }))
}

fn string(schema: &Value) -> Option<Arc<Decl>> {
    let whole = MAX_REQUEST_BYTES - 2;
    match text(schema, "format") {
        "byte" => sized(Type::Bytes, limit(schema, "maxLength").unwrap_or(whole), 2),
        "duration" => sized(Type::Duration, 32, 3),
        "date" => sized(Type::Timestamp, 12, 12),
        "date-time" => sized(Type::Timestamp, 32, 21),
        _ => {
            let choices = schema["enum"].as_array().filter(|e| !e.is_empty());
            let longest =
                choices.map(|e| e.iter().filter_map(Value::as_str).map(str::len).max().unwrap_or(0));
            let max = limit(schema, "maxLength").map(|n| n.saturating_mul(4)).or(longest.map(|n| n as u64));
            sized(Type::String, max.unwrap_or(whole), 2)
        }
    }
}
