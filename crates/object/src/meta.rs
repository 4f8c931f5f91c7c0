//! Reading and changing an object's `metadata` (and its `apiVersion` and `kind`) in place.

use crate::group::{GroupVersion, GroupVersionKind};
use serde_json::{Map, Value};

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

/// `metadata.name`, empty if absent.
pub fn name(object: &Value) -> &str {
    text(object, "name")
}

/// `metadata.namespace`, empty if absent.
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

/// `metadata.generateName`, empty if absent.
pub fn generate_name(object: &Value) -> &str {
    text(object, "generateName")
}

/// `metadata.uid`, empty if absent.
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// `metadata.resourceVersion`, empty if absent.
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}

/// `metadata.generation`, 0 if absent.
pub fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or(0)
}

/// `metadata.creationTimestamp` as written.
pub fn creation_timestamp(object: &Value) -> Option<&str> {
    object["metadata"]["creationTimestamp"].as_str()
}

/// `metadata.deletionTimestamp` as written; present while the object is being deleted.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    object["metadata"]["deletionTimestamp"].as_str()
}

/// One label's value.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"][key].as_str()
}

/// One annotation's value.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// All labels as pairs; what is not a string is passed over.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(&object["metadata"]["labels"])
}

/// All annotations as pairs; what is not a string is passed over.
pub fn annotations(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(&object["metadata"]["annotations"])
}

fn pairs(map: &Value) -> impl Iterator<Item = (&str, &str)> {
    map.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?)))
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// `metadata.ownerReferences`.
pub fn owner_references(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"].as_array().map_or(&[], Vec::as_slice)
}

/// The owner reference with `controller: true`.
pub fn controller_of(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|r| r["controller"] == true)
}

/// `metadata`, made if absent or not an object.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(object, "metadata")
}

/// The object under `key`, made if absent or not an object.
pub fn child_mut<'a>(parent: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !parent.is_object() {
        *parent = Value::Object(Map::new());
    }
    let child = &mut parent[key];
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child.as_object_mut().expect("just made an object")
}

/// Sets a `metadata` field.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    metadata_mut(object).insert(field.into(), value.into());
}

/// Removes a `metadata` field.
pub fn unset(object: &mut Value, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(field);
    }
}

/// Sets one annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    set_pair(object, "annotations", key, value);
}

/// Sets one label.
pub fn set_label(object: &mut Value, key: &str, value: &str) {
    set_pair(object, "labels", key, value);
}

fn set_pair(object: &mut Value, map: &str, key: &str, value: &str) {
    let metadata = metadata_mut(object);
    let entry = metadata.entry(map).or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    entry[key] = value.into();
}

/// `apiVersion` and `kind`; `None` when either is absent or malformed.
pub fn gvk(object: &Value) -> Option<GroupVersionKind> {
    let kind = object["kind"].as_str().filter(|k| !k.is_empty())?;
    Some(GroupVersion::parse(object["apiVersion"].as_str()?)?.kind(kind))
}

/// Sets `apiVersion` and `kind`.
pub fn set_gvk(object: &mut Value, gvk: &GroupVersionKind) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), gvk.api_version().into());
        map.insert("kind".into(), gvk.kind.clone().into());
    }
}

/// A reference that makes `owner` the controller of what carries it (`blockOwnerDeletion` set).
pub fn controller_reference(owner: &Value) -> Value {
    serde_json::json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}
