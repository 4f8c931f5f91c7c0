//! The schemas of custom resources, as apiextensions publishes them.
//!
//! A definition's schema is completed (apiVersion, kind, metadata, embedded objects, int-or-string alternatives). OpenAPI v2
//! cannot say all that structural schemas can; what kubectl would misread there is dropped.

use crate::paths::{Flavor, type_name};
use kinds::Resource;
use object::{Map, Value, json};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
/// Schemas nested deeper are left as they are.
const MAX_DEPTH: usize = 128;

// Where conformance tests look for words, they are Kubernetes' own.
pub(crate) const API_VERSION: &str = "APIVersion defines the version of the schema this object is written in. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
pub(crate) const KIND: &str = "The kind of resource this object is, in CamelCase. It cannot be changed. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
pub(crate) const LIST_METADATA: &str = "The list's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// The named types a custom resource brings: its kind and its list.
pub(crate) fn schemas(resource: &Resource, flavor: Flavor) -> [(String, Value); 2] {
    let kind = type_name(resource, &resource.kind);
    let list = type_name(resource, &resource.list_kind);
    let list_schema = list_schema(resource, &kind, flavor);
    [(kind, object_schema(resource, flavor)), (list, list_schema)]
}

fn object_schema(resource: &Resource, flavor: Flavor) -> Value {
    let Some(custom) = &resource.definition else { return json!({"type": "object"}) };
    let mut schema = custom.schema.open_api();
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true || custom.preserve_unknown_fields;
    if schema.is_object() && !(flavor == Flavor::V2 && open) {
        clean(&mut schema, flavor, 0);
        add_object_fields(&mut schema, flavor);
    } else {
        // Any property would make kubectl refuse all others.
        schema = json!({"type": "object"});
    }
    schema["x-kubernetes-group-version-kind"] = json!([gvk(resource, &resource.kind)]);
    if !custom.selectable_fields.is_empty() {
        let fields = custom.selectable_fields.iter().map(|field| json!({"fieldPath": field.name}));
        schema["x-kubernetes-selectable-fields"] = fields.collect();
    }
    schema
}

fn gvk(resource: &Resource, kind: &str) -> Value {
    json!({"group": resource.gvr.group, "version": resource.gvr.version, "kind": kind})
}

fn list_schema(resource: &Resource, kind: &str, flavor: Flavor) -> Value {
    let items = json!({
        "description": format!("List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", resource.gvr.resource),
        "type": "array", "items": flavor.reference(kind),
    });
    json!({
        "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "kind": {"type": "string", "description": KIND},
            "metadata": described_reference(LIST_META, LIST_METADATA, flavor),
            "items": items,
        },
        "x-kubernetes-group-version-kind": [gvk(resource, &resource.list_kind)],
    })
}

/// In v3 nothing may stand beside a reference.
fn described_reference(name: &str, description: &str, flavor: Flavor) -> Value {
    let mut reference = flavor.reference(name);
    if flavor == Flavor::V3 {
        reference = json!({"allOf": [reference]});
    }
    reference["description"] = description.into();
    reference
}

fn add_object_fields(schema: &mut Value, flavor: Flavor) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = json!({"type": "string", "description": API_VERSION});
    schema["properties"]["kind"] = json!({"type": "string", "description": KIND});
    schema["properties"]["metadata"] = described_reference(OBJECT_META, METADATA, flavor);
}

/// Goes through a structural schema and makes of it what is published.
fn clean(schema: &mut Value, flavor: Flavor, depth: usize) {
    let Some(map) = schema.as_object_mut().filter(|_| depth < MAX_DEPTH) else { return };
    for unpublished in ["$schema", "id", "example", "externalDocs", "definitions", "dependencies"] {
        map.remove(unpublished);
    }
    for flag in ["nullable", "exclusiveMinimum", "exclusiveMaximum", "uniqueItems"] {
        if map.get(flag).is_some_and(|v| v == false) {
            map.remove(flag);
        }
    }
    match flavor {
        Flavor::V2 => simplify(map),
        Flavor::V3 => spell_int_or_string(map),
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(|property| clean(property, flavor, depth + 1));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(inner) {
            clean(inner, flavor, depth + 1);
        }
    }
    let set = |map: &Map<String, Value>, field: &str| map.get(field).is_some_and(|v| v == true);
    let open = set(map, "x-kubernetes-preserve-unknown-fields");
    if set(map, "x-kubernetes-embedded-resource") && !(flavor == Flavor::V2 && open) {
        add_object_fields(schema, flavor);
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let missing = ["kind", "apiVersion"].map(Value::from).into_iter().filter(|f| !required.contains(f));
        schema["required"] = required.iter().cloned().chain(missing).collect();
    }
}

/// Says in schema terms that a value is an integer or a string.
fn spell_int_or_string(map: &mut Map<String, Value>) {
    if map.get("x-kubernetes-int-or-string").is_none_or(|v| v != true) {
        return;
    }
    let alternatives = json!([{"type": "integer"}, {"type": "string"}]);
    let said = |value: Option<&Value>| value == Some(&alternatives);
    let in_all = map
        .get("allOf")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|s| said(s.get("anyOf"))));
    if said(map.get("anyOf")) || in_all {
        return;
    }
    if map.contains_key("anyOf") {
        let mut all = map.get("allOf").and_then(Value::as_array).cloned().unwrap_or_default();
        all.push(json!({"anyOf": alternatives}));
        map.insert("allOf".into(), all.into());
    } else {
        map.insert("anyOf".into(), alternatives);
    }
}

/// Drops what v2 has no words for, and what kubectl takes for more than it says.
fn simplify(map: &mut Map<String, Value>) {
    for junctor in ["allOf", "anyOf", "oneOf", "not"] {
        map.remove(junctor);
    }
    let nullable = |schema: Option<&Value>| schema.is_some_and(|s| s["nullable"] == true);
    if map.remove("nullable").is_some_and(|v| v == true) {
        for field in ["type", "items", "properties"] {
            map.remove(field);
        }
    }
    if map.get("x-kubernetes-preserve-unknown-fields").is_some_and(|v| v == true) {
        map.remove("items");
        map.remove("properties");
    }
    if !map.contains_key("items") && map.get("type").is_some_and(|t| t == "array") {
        map.remove("type");
    }
    let may_be_null = |map: &Map<String, Value>, field: &Value| {
        nullable(map.get("properties").and_then(|p| p.get(field.as_str().unwrap_or(""))))
    };
    if let Some(required) = map.get("required").and_then(Value::as_array) {
        let all = nullable(map.get("additionalProperties"));
        let left: Vec<Value> = required.iter().filter(|f| !all && !may_be_null(map, f)).cloned().collect();
        if left.is_empty() {
            map.remove("required");
        } else {
            map.insert("required".into(), left.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(mut schema: Value, flavor: Flavor) -> Value {
        clean(&mut schema, flavor, 0);
        schema
    }

    #[test]
    fn v2_drops_what_it_cannot_say() {
        let schema = json!({
            "type": "object", "required": ["a", "b"], "oneOf": [{}],
            "properties": {
                "a": {"type": "string", "nullable": true},
                "b": {"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": {"type": "object"}},
                "c": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            },
        });
        assert_eq!(
            cleaned(schema, Flavor::V2),
            json!({
                "type": "object", "required": ["b"],
                "properties": {"a": {}, "b": {"x-kubernetes-preserve-unknown-fields": true}, "c": {"x-kubernetes-int-or-string": true}},
            })
        );
    }

    #[test]
    fn v3_spells_what_is_meant() {
        let schema = json!({
            "type": "object",
            "properties": {"port": {"x-kubernetes-int-or-string": true}, "pod": {"type": "object", "x-kubernetes-embedded-resource": true}},
        });
        let out = cleaned(schema, Flavor::V3);
        assert_eq!(out["properties"]["port"]["anyOf"], json!([{"type": "integer"}, {"type": "string"}]));
        assert_eq!(out["properties"]["pod"]["required"], json!(["kind", "apiVersion"]));
        assert!(out["properties"]["pod"]["properties"]["metadata"]["allOf"][0]["$ref"].is_string());
    }
}
