//! Whether the schema of a CustomResourceDefinition is structural: every place has a type, and what stands under
//! `allOf`, `anyOf`, `oneOf` and `not` only demands, of places that are specified outside of them.

use super::regex::go_regex_error;
use object::{FieldError, Map, Path, Value, json};

/// Where a schema stands in its parent.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What makes the schema at `path` not structural, sorted as upstream sorts it.
pub(super) fn check(schema: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    invariants(schema, Level::Root, path, &mut errors);
    demands_complete(schema, Some(schema), path, path, &mut errors);
    errors.sort_by_cached_key(|e| format!("{}: {}", e.path, e.message));
    errors
}

pub(super) fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema[name].as_str().unwrap_or("")
}

pub(super) fn flag(schema: &Value, name: &str) -> bool {
    schema[name] == true
}

/// The schemas in `properties`.
pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn nested<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema.get(name).filter(|s| s.is_object())
}

/// `allOf`, `anyOf`, `oneOf` and `not` with their paths.
fn demands<'a>(schema: &'a Value, path: &'a Path) -> impl Iterator<Item = (Path, &'a Value)> {
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(move |name| {
        let list = schema[name].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().enumerate().map(move |(index, inner)| (path.field(name).index(index), inner))
    });
    lists.chain(nested(schema, "not").map(|not| (path.field("not"), not)))
}

fn invariants(schema: &Value, level: Level, path: &Path, errors: &mut Vec<FieldError>) {
    if text(schema, "type") == "array" && schema.get("items").is_none_or(Value::is_null) {
        errors.push(FieldError::required(&path.field("items"), "must be specified"));
    }
    if let Some(items) = nested(schema, "items") {
        invariants(items, Level::Item, &path.field("items"), errors);
    }
    for (name, property) in properties(schema) {
        invariants(property, Level::Field, &path.field("properties").key(name), errors);
    }
    let additional = schema.get("additionalProperties").filter(|a| !a.is_null());
    if let Some(additional) = additional {
        let at = path.field("additionalProperties");
        if level == Level::Root {
            errors.push(FieldError::forbidden(&at, "must not be used at the root"));
        }
        if additional.is_object() {
            invariants(additional, Level::Field, &at, errors);
        }
    }
    extensions(schema, path, errors);
    pattern(schema, path, errors);
    for (at, inner) in demands(schema, path) {
        if !is_int_or_string_pattern(schema, &at, path) {
            only_demands(inner, &at, is_int_or_string(inner), errors);
        }
    }
    types(schema, level, additional.is_some(), path, errors);
    metadata(schema, level, path, errors);
}

/// `anyOf: [{type: integer}, {type: string}]`, which an int-or-string may say.
fn is_int_or_string(schema: &Value) -> bool {
    schema["anyOf"] == json!([{"type": "integer"}, {"type": "string"}])
}

fn is_int_or_string_pattern(schema: &Value, at: &Path, path: &Path) -> bool {
    is_int_or_string(schema) && at.as_str().starts_with(path.field("anyOf[").as_str())
}

fn extensions(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if flag(schema, "x-kubernetes-int-or-string") {
        for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if flag(schema, name) {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                errors.push(FieldError::invalid(&path.field(name), &true.into(), detail));
            }
        }
    }
}

fn pattern(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let pattern = text(schema, "pattern");
    if let Some(error) = Some(pattern).filter(|p| !p.is_empty()).and_then(go_regex_error) {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(FieldError::invalid(&path.field("pattern"), &pattern.into(), &detail));
    }
}

fn types(schema: &Value, level: Level, has_additional: bool, path: &Path, errors: &mut Vec<FieldError>) {
    let type_name = text(schema, "type");
    let at = path.field("type");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
    if embedded && type_name != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match type_name {
            "" => FieldError::required(&at, detail),
            other => FieldError::invalid(&at, &other.into(), detail),
        });
    } else if type_name.is_empty() && !flag(schema, "x-kubernetes-int-or-string") && !preserve {
        let place = match level {
            Level::Root => "at the root",
            Level::Item => "for specified array items",
            Level::Field => "for specified object fields",
        };
        errors.push(FieldError::required(&at, &format!("must not be empty {place}")));
    }
    if embedded && has_additional {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(&path.field("additionalProperties"), detail));
    }
    if level == Level::Root && !type_name.is_empty() && type_name != "object" {
        errors.push(FieldError::invalid(&at, &type_name.into(), "must be object at the root"));
    }
    if embedded && !preserve && properties(schema).next().is_none() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(&path.field("properties"), detail));
    }
}

/// apiVersion, kind and metadata have types of their own; only names may be restricted.
fn metadata(schema: &Value, level: Level, path: &Path, errors: &mut Vec<FieldError>) {
    let is_object = level == Level::Root || flag(schema, "x-kubernetes-embedded-resource");
    let at = |name: &str| path.field("properties").key(name);
    for name in ["kind", "apiVersion"] {
        if let Some(property) =
            nested(&schema["properties"], name).filter(|p| is_object && text(p, "type") != "string")
        {
            errors.push(FieldError::invalid(
                &at(name).field("type"),
                &text(property, "type").into(),
                "must be string",
            ));
        }
    }
    let Some(metadata) = nested(&schema["properties"], "metadata") else { return };
    if is_object && text(metadata, "type") != "object" {
        errors.push(FieldError::invalid(
            &at("metadata").field("type"),
            &text(metadata, "type").into(),
            "must be object",
        ));
    }
    let names_only = properties(metadata).all(|(name, _)| name == "name" || name == "generateName");
    let mut rest: Map<String, Value> = metadata.as_object().cloned().unwrap_or_default();
    rest.retain(|name, _| {
        !(["type", "default"].contains(&name.as_str()) || (name == "properties" && names_only))
    });
    if level == Level::Root && !rest.is_empty() {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(&at("metadata"), detail));
    }
}

/// Under a junctor nothing of structure may be said.
fn only_demands(schema: &Value, path: &Path, skip_any_of: bool, errors: &mut Vec<FieldError>) {
    pattern(schema, path, errors);
    for (at, inner) in demands(schema, path) {
        if !(skip_any_of && is_int_or_string_pattern(schema, &at, path)) {
            only_demands(inner, &at, false, errors);
        }
    }
    if let Some(items) = nested(schema, "items") {
        only_demands(items, &path.field("items"), false, errors);
    }
    for (name, property) in properties(schema) {
        only_demands(property, &path.field("properties").key(name), false, errors);
    }
    let is_set = |name: &str| match &schema[name] {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    for (name, must) in [
        ("type", "be empty"),
        ("additionalProperties", "be undefined"),
        ("default", "be undefined"),
        ("title", "be empty"),
        ("description", "be empty"),
        ("nullable", "be false"),
        ("x-kubernetes-preserve-unknown-fields", "be false"),
        ("x-kubernetes-embedded-resource", "be false"),
        ("x-kubernetes-int-or-string", "be false"),
        ("x-kubernetes-list-map-keys", "be empty"),
        ("x-kubernetes-list-type", "be undefined"),
        ("x-kubernetes-map-type", "be undefined"),
        ("x-kubernetes-validations", "be empty"),
    ] {
        if is_set(name) || (name == "default" && schema[name] == false) {
            errors.push(FieldError::forbidden(&path.field(name), &format!("must {must} to be structural")));
        }
    }
    if schema["properties"].get("metadata").is_some() {
        let at = path.field("properties").key("metadata");
        errors.push(FieldError::forbidden(&at, "must not be specified in a nested context"));
    }
}

/// What is demanded of a place must be specified outside of the junctors too. `structure` is that place there.
fn demands_complete(
    schema: &Value,
    structure: Option<&Value>,
    place: &Path,
    path: &Path,
    errors: &mut Vec<FieldError>,
) {
    for (at, inner) in demands(schema, path) {
        nested_complete(inner, structure, place, &at, errors);
    }
}

fn nested_complete(
    schema: &Value,
    structure: Option<&Value>,
    place: &Path,
    path: &Path,
    errors: &mut Vec<FieldError>,
) {
    let Some(structure) = structure else {
        errors.push(FieldError::required(place, &format!("because it is defined in {path}")));
        return;
    };
    demands_complete(schema, Some(structure), place, path, errors);
    if let Some(items) = nested(schema, "items") {
        nested_complete(
            items,
            nested(structure, "items"),
            &place.field("items"),
            &path.field("items"),
            errors,
        );
    }
    for (name, property) in properties(schema) {
        let there = nested(&structure["properties"], name);
        let (place, path) = (place.field("properties").key(name), path.field("properties").key(name));
        nested_complete(property, there, &place, &path, errors);
    }
}
