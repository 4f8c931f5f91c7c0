//! From the server's OpenAPI documents to what expressions may say about a kind.

use cel_rules::{Decl, declare};
use client::Client;
use object::{GroupVersionKind, Map, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const REFERENCE: &str = "#/components/schemas/";
/// Types nested more deeply are not known.
const MAX_DEPTH: usize = 64;

/// Documents of group versions, asked for once.
pub(super) struct Documents<'c> {
    client: &'c Client,
    known: BTreeMap<String, Option<Value>>,
}

impl<'c> Documents<'c> {
    pub(super) fn new(client: &'c Client) -> Self {
        Self { client, known: BTreeMap::new() }
    }

    /// The declaration of a kind, named after it and `salt`; `None` when the server does not describe it.
    pub(super) async fn declaration(
        &mut self,
        gvk: &GroupVersionKind,
        salt: i32,
    ) -> Result<Option<Arc<Decl>>> {
        let path = match gvk.group.as_str() {
            "" => format!("/openapi/v3/api/{}", gvk.version),
            group => format!("/openapi/v3/apis/{group}/{}", gvk.version),
        };
        if !self.known.contains_key(&path) {
            let document = match self.client.raw(&path, "application/json").await {
                Err(error) if error.is_not_found() => None,
                answer => serde_json::from_slice(&answer?).ok(),
            };
            self.known.insert(path.clone(), document);
        }
        let document = self.known.get(&path).and_then(Option::as_ref);
        Ok(document.and_then(|document| declared(document, gvk, salt)))
    }
}

/// The declaration of a kind that a document describes.
pub(super) fn declared(document: &Value, gvk: &GroupVersionKind, salt: i32) -> Option<Arc<Decl>> {
    let schemas = document["components"]["schemas"].as_object()?;
    let is_it = |of: &Value| {
        (&of["group"], &of["version"], &of["kind"])
            == (&json!(gvk.group), &json!(gvk.version), &json!(gvk.kind))
    };
    let described = |schema: &Value| {
        schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|all| all.iter().any(is_it))
    };
    let (name, schema) = schemas.iter().find(|(_, schema)| described(schema))?;
    let whole = expand(schemas, schema, &mut vec![name]);
    // What has no metadata of its own gets an object's.
    let bare = whole["properties"]["metadata"]["properties"]["name"].is_null();
    declare(&whole, bare, &format!("{}{salt}", gvk.kind))
}

/// A schema without references; where types hold themselves, they are objects of which nothing is known.
fn expand<'s>(schemas: &'s Map<String, Value>, schema: &'s Value, within: &mut Vec<&'s str>) -> Value {
    let Some(name) = reference(schema) else { return parts(schemas, schema, within) };
    if within.contains(&name) || within.len() > MAX_DEPTH {
        return json!({"type": "object"});
    }
    let Some(target) = schemas.get(name) else { return Value::Null };
    within.push(name);
    let whole = parts(schemas, target, within);
    within.pop();
    whole
}

fn parts<'s>(schemas: &'s Map<String, Value>, schema: &'s Value, within: &mut Vec<&'s str>) -> Value {
    let mut whole = Map::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "properties" => {
                let fields = value.as_object().into_iter().flatten();
                let expanded = fields.map(|(name, field)| (name.clone(), expand(schemas, field, within)));
                Value::Object(expanded.collect())
            }
            "additionalProperties" | "items" if value.is_object() => expand(schemas, value, within),
            "type" | "format" | "required" | "enum" | "x-kubernetes-int-or-string" => value.clone(),
            _ => continue,
        };
        whole.insert(key.clone(), value);
    }
    if schema["format"] == "int-or-string" {
        whole.insert("x-kubernetes-int-or-string".into(), true.into());
    }
    Value::Object(whole)
}

/// A reference may be wrapped in `allOf`, to have a description beside it.
fn reference(schema: &Value) -> Option<&str> {
    let of = |schema: &'_ Value| schema["$ref"].as_str().is_some();
    let holder = if of(schema) { schema } else { schema["allOf"].as_array()?.iter().find(|s| of(s))? };
    holder["$ref"].as_str()?.strip_prefix(REFERENCE)
}
