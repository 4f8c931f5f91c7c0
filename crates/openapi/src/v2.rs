//! `/openapi/v2`: one document for everything, for clients that do not know v3.

use crate::accept::{Clause, clauses};
use crate::describe::{describe, describe_one};
use crate::packed::Packed;
use crate::paths::{self, Flavor};
use crate::{Document, Documents, aggregated, custom, facts, hash, header, not_modified, protobuf, v3};
use descriptions::Descriptions;
use http::HeaderMap;
use object::{Map, Value};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients call it that do not know that `@` has no place in a media type.
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The media type that an accepted one gets.
fn media(clause: &Clause<'_>) -> Option<&'static str> {
    if clause.takes(JSON) {
        return Some(JSON);
    }
    matches!(clause.media, PROTOBUF | OLD_PROTOBUF).then_some(PROTOBUF)
}

impl Documents {
    pub(crate) fn openapi_v2(&self, headers: &HeaderMap) -> Document {
        let accept = header(headers, http::header::ACCEPT);
        let Some(media) = clauses(&accept).iter().find_map(media) else {
            return Document::empty(406).with("vary", "Accept-Encoding").with("vary", "Accept");
        };
        let etag = format!("\"{}\"", self.kept.v2_hash.get_or_init(|| self.v2_hash()));
        let document = if not_modified(headers, &etag) {
            Document::empty(304)
        } else {
            let protobuf = media == PROTOBUF;
            let packed = self.kept.v2[usize::from(protobuf)].get_or_init(|| {
                Packed::new(&if protobuf { protobuf::encode(&self.v2_document()) } else { self.v2_text() })
            });
            Document::new(media, packed.unpacked())
        };
        document.with("etag", etag).with("vary", "Accept-Encoding").with("vary", "Accept")
    }

    fn v2_hash(&self) -> String {
        let builtin = facts::v3_hash("api/v1").unwrap_or("").as_bytes().to_vec();
        let others = self.others.iter().filter_map(|o| Some(o.openapi_v2.as_ref()?.to_string().into_bytes()));
        hash(
            std::iter::once(builtin)
                .chain(self.registry.custom().map(|r| v3::resource_digest(r)))
                .chain(others),
        )
    }

    fn v2_document(&self) -> Value {
        let mut document = built_in();
        for resource in self.registry.custom() {
            if let Some(all) = document["paths"].as_object_mut() {
                all.extend(paths::paths(resource, Flavor::V2));
            }
            if let Some(all) = document["definitions"].as_object_mut() {
                all.extend(custom::schemas(resource, Flavor::V2));
            }
        }
        if let Some(all) = document["definitions"].as_object_mut() {
            describe(all, Flavor::V2);
        }
        aggregated::merge_v2(&mut document, &self.others);
        document
    }

    /// The document as JSON. Where there are thousands of custom resources it has tens of megabytes, and several times that
    /// while it is a value: so one resource after the other is written out.
    fn v2_text(&self) -> Vec<u8> {
        if self.others.iter().any(|other| other.openapi_v2.is_some()) {
            return self.v2_document().to_string().into_bytes();
        }
        let mut document = built_in();
        let (mut definitions, mut paths) = (take(&mut document, "definitions"), take(&mut document, "paths"));
        let descriptions = Descriptions::unpack();
        for (name, schema) in &mut definitions {
            describe_one(&descriptions, name, schema, Flavor::V2);
        }
        let (mut more_definitions, mut more_paths) = (Vec::new(), Vec::new());
        for resource in self.registry.custom() {
            for (name, mut schema) in custom::schemas(resource, Flavor::V2) {
                describe_one(&descriptions, &name, &mut schema, Flavor::V2);
                definitions.remove(&name);
                append(&mut more_definitions, &name, &schema);
            }
            for (path, item) in paths::paths(resource, Flavor::V2) {
                paths.remove(&path);
                append(&mut more_paths, &path, &item);
            }
        }
        let mut text = document.to_string().into_bytes();
        for (field, first, more) in
            [("definitions", definitions, more_definitions), ("paths", paths, more_paths)]
        {
            // What is open ends where the document did.
            text.pop();
            text.extend_from_slice(format!(",\"{field}\":").as_bytes());
            text.extend_from_slice(Value::Object(first).to_string().as_bytes());
            text.pop();
            text.extend_from_slice(&more);
            text.extend_from_slice(b"}}");
        }
        text
    }
}

/// The document without custom resources and descriptions.
fn built_in() -> Value {
    serde_json::from_slice(&facts::v2_text()).unwrap_or_default()
}

fn take(document: &mut Value, field: &str) -> Map<String, Value> {
    match document.as_object_mut().and_then(|fields| fields.remove(field)) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Writes one more field of an object that has some.
fn append(text: &mut Vec<u8>, name: &str, value: &Value) {
    text.extend_from_slice(format!(",{}:{value}", Value::from(name)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinds::Registry;
    use object::json;
    use std::sync::Arc;

    #[test]
    fn the_text_says_what_the_document_does() {
        let definition = json!({"spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": {"type": "object"}}}}}],
        }});
        let mut registry = Registry::builtin();
        kinds::custom::resources(&definition).into_iter().for_each(|resource| _ = registry.insert(resource));
        let documents = Documents::new(Arc::new(registry));
        let text: Value = serde_json::from_slice(&documents.v2_text()).expect("JSON");
        assert!(text["definitions"]["com.example.stable.v1.WidgetList"].is_object());
        assert!(text["paths"]["/apis/stable.example.com/v1/widgets"].is_object());
        assert!(text == documents.v2_document(), "they differ");
    }
}
