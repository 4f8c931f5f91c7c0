//! What the schema of a CustomResourceDefinition may say, checked when the definition is written.
//!
//! CEL rules are not compiled here; whoever does adds their errors behind these, where there are none.

use super::{
    compile::compile_value,
    embedded,
    prune::prune_inner,
    structural::{self, flag, properties, text},
    validate,
};
use object::{FieldError, Map, Path, Value};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
/// The fields that a schema keeps when its status is validated on its own.
const AT_ROOT: [&str; 23] = [
    "type",
    "description",
    "format",
    "title",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "required",
    "items",
    "properties",
    "externalDocs",
    "example",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

/// Checks an `openAPIV3Schema`. `path` is where it stands, `spec.validation.openAPIV3Schema` for one that all versions share.
pub fn check_definition(schema: &Value, path: &Path, status_subresource: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if status_subresource {
        root(schema, path, &mut errors);
    }
    if flag(schema, "nullable") {
        errors.push(FieldError::forbidden(&path.field("nullable"), "nullable cannot be true at the root"));
    }
    if is_convertible(schema) {
        let found = structural::check(schema, path);
        if found.is_empty() {
            defaults(schema, path, true, &mut errors);
        }
        errors.extend(found);
    }
    let context = Context { root: true, ..Context::default() };
    let mut found = Vec::new();
    place(schema, path, context, &mut found);
    if found.is_empty() && says_schema(schema, path) {
        found.push(FieldError::invalid(path, &"".into(), "OpenAPIV3Schema 'schema' is not supported"));
    }
    errors.extend(found);
    errors
}

/// Is there a `$schema` anywhere? It is told of the whole.
fn says_schema(schema: &Value, path: &Path) -> bool {
    !text(schema, "$schema").is_empty()
        || inner_schemas(schema, path).iter().any(|(at, inner)| says_schema(inner, at))
}

fn root(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let type_name = text(schema, "type");
    if !type_name.is_empty() && type_name != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(FieldError::invalid(&path.field("type"), &type_name.into(), detail));
        return;
    }
    let odd = |name: &String| !AT_ROOT.contains(&name.as_str());
    if schema.as_object().into_iter().flat_map(Map::keys).any(odd) {
        let detail = "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength \
                      Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example \
                      XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled";
        errors.push(FieldError::invalid(path, schema, detail));
    }
}

/// Schemas with these are refused by the checks of single places; their structure is not looked at.
fn is_convertible(schema: &Value) -> bool {
    let set = |name: &str| match &schema[name] {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    let unsupported =
        ["id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"];
    if unsupported.iter().any(|name| set(name))
        || schema["x-kubernetes-preserve-unknown-fields"] == false
        || schema["items"].is_array()
    {
        return false;
    }
    inner_schemas(schema, &Path::root()).iter().all(|(_, inner)| is_convertible(inner))
}

/// All schemas directly inside of one.
fn inner_schemas<'a>(schema: &'a Value, path: &Path) -> Vec<(Path, &'a Value)> {
    let mut found = Vec::new();
    for name in ["additionalProperties", "not", "items"] {
        if let Some(inner) = schema.get(name).filter(|s| s.is_object()) {
            found.push((path.field(name), inner));
        }
    }
    for (name, inner) in properties(schema) {
        found.push((path.field("properties").key(name), inner));
    }
    for name in ["allOf", "oneOf", "anyOf"] {
        for (index, inner) in schema[name].as_array().into_iter().flatten().enumerate() {
            found.push((path.field(name).index(index), inner));
        }
    }
    found
}

/// What a place inherits from those around it.
#[derive(Clone, Copy, Default)]
struct Context {
    root: bool,
    inside_metadata: bool,
    /// Why defaults are forbidden.
    no_default: Option<&'static str>,
}

fn place(schema: &Value, path: &Path, context: Context, errors: &mut Vec<FieldError>) {
    unsupported(schema, path, context, errors);
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(&path.field("uniqueItems"), detail));
    }
    let additional = &schema["additionalProperties"];
    if properties(schema).next().is_some() && (additional.is_object() || additional == false) {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(&path.field("additionalProperties"), detail));
    }
    let owns_metadata = context.root || flag(schema, "x-kubernetes-embedded-resource");
    for (at, inner) in inner_schemas(schema, path) {
        let mut below = Context { root: false, ..context };
        let name = at.as_str().strip_prefix(path.field("properties").as_str()).unwrap_or("");
        if owns_metadata && ["[metadata]", "[kind]", "[apiVersion]"].contains(&name) {
            below.inside_metadata = true;
            if context.root {
                below.no_default = Some(match name {
                    "[metadata]" => "in top-level metadata",
                    "[kind]" => "in top-level kind",
                    _ => "in top-level apiVersion",
                });
            }
        }
        if context.inside_metadata && at == path.field("additionalProperties") {
            below.no_default = Some("inside additionalProperties applying to object metadata");
        }
        place(inner, &at, below, errors);
    }
    map_type(schema, path, errors);
    list_type(schema, path, errors);
    list_items(schema, path, errors);
    rules(schema, path, errors);
}

fn unsupported(schema: &Value, path: &Path, context: Context, errors: &mut Vec<FieldError>) {
    let type_name = text(schema, "type");
    if !type_name.is_empty() && !TYPES.contains(&type_name) {
        errors.push(FieldError::not_supported(&path.field("type"), &type_name.into(), &TYPES));
    }
    if let Some(reason) = context.no_default.filter(|_| schema.get("default").is_some_and(|d| !d.is_null())) {
        errors.push(FieldError::forbidden(&path.field("default"), &format!("must not be set {reason}")));
    }
    for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        let set = match &schema[name] {
            Value::Null => false,
            Value::String(text) => name == "$ref" || !text.is_empty(),
            Value::Object(map) => name == "additionalItems" || name == "dependencies" || !map.is_empty(),
            _ => true,
        };
        if set {
            errors.push(FieldError::forbidden(&path.field(name), &format!("{name} is not supported")));
        }
    }
    if type_name == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(&path.field("type"), detail));
    }
    if schema["items"].is_array() {
        errors.push(FieldError::forbidden(
            &path.field("items"),
            "items must be a schema object and not an array",
        ));
    }
    if context.inside_metadata && flag(schema, "x-kubernetes-embedded-resource") {
        let at = path.field("x-kubernetes-embedded-resource");
        errors.push(FieldError::forbidden(&at, "must not be used inside of resource meta"));
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let at = path.field("x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(&at, &false.into(), "must be true or undefined"));
    }
}

fn map_type(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let Some(map_type) = schema["x-kubernetes-map-type"].as_str() else { return };
    needs_type(schema, "object", "x-kubernetes-map-type", path, errors);
    if !["atomic", "granular"].contains(&map_type) {
        let at = path.field("x-kubernetes-map-type");
        errors.push(FieldError::not_supported(&at, &map_type.into(), &["atomic", "granular"]));
    }
}

fn needs_type(
    schema: &Value,
    wanted: &str,
    because: &str,
    path: &Path,
    errors: &mut Vec<FieldError>,
) -> bool {
    let detail = format!("must be {wanted} if {because} is specified");
    let at = path.field("type");
    match text(schema, "type") {
        "" => errors.push(FieldError::required(&at, &detail)),
        other if other != wanted => errors.push(FieldError::invalid(&at, &other.into(), &detail)),
        _ => return true,
    }
    false
}

fn list_type(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let at = path.field("x-kubernetes-list-type");
    let keys = schema["x-kubernetes-list-map-keys"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(list_type) = schema["x-kubernetes-list-type"].as_str() else {
        if !keys.is_empty() {
            errors.push(FieldError::required(&at, "must be map if x-kubernetes-list-map-keys is non-empty"));
        }
        return;
    };
    let items = &schema["items"];
    if needs_type(schema, "array", "x-kubernetes-list-type", path, errors) && list_type == "set" {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let name =
            if text(items, "type") == "array" { "x-kubernetes-list-type" } else { "x-kubernetes-map-type" };
        let wrong = match text(items, "type") {
            "array" => items.get(name).is_some_and(|t| t != "atomic"),
            "object" => items.get(name).is_none_or(|t| t != "atomic"),
            _ => false,
        };
        if wrong {
            errors.push(FieldError::invalid(
                &path.field("items").field(name),
                &items["x-kubernetes-list-type"],
                detail,
            ));
        }
    }
    if !["atomic", "set", "map"].contains(&list_type) {
        errors.push(FieldError::not_supported(&at, &list_type.into(), &["atomic", "set", "map"]));
    }
    if !keys.is_empty() && list_type != "map" {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(FieldError::invalid(&at, &list_type.into(), detail));
    }
    if list_type == "map" {
        list_map(schema, keys, path, errors);
    }
}

fn list_map(schema: &Value, keys: &[Value], path: &Path, errors: &mut Vec<FieldError>) {
    let at = path.field("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(FieldError::required(&at, "must not be empty if x-kubernetes-list-type is map"));
    }
    let items = &schema["items"];
    if items.is_null() {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(&path.field("items"), detail));
        return;
    }
    if text(items, "type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(
            &path.field("items").field("type"),
            &text(items, "type").into(),
            detail,
        ));
        return;
    }
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or("");
        match items["properties"].get(name) {
            None => errors.push(FieldError::invalid(
                &at,
                &keys.into(),
                "entries must all be names of item properties",
            )),
            Some(property) if ["array", "object"].contains(&text(property, "type")) => {
                let at = path.field("items").field("properties").key(name).field("type");
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.push(FieldError::invalid(&at, &text(items, "type").into(), detail));
            }
            Some(_) => {}
        }
        if keys[..index].contains(key) {
            errors.push(FieldError::invalid(&at, &keys.into(), "must not contain duplicate entries"));
        }
    }
}

/// The items of sets and maps are never null, and always have their keys.
fn list_items(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let list_type = text(schema, "x-kubernetes-list-type");
    let items = &schema["items"];
    if !["set", "map"].contains(&list_type) || !items.is_object() {
        return;
    }
    let at = path.field("items");
    if flag(items, "nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(&at.field("nullable"), &detail));
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
    for key in keys.filter(|_| list_type == "map").filter_map(Value::as_str) {
        let Some(property) = items["properties"].get(key) else { continue };
        let at = at.field("properties").key(key);
        let required = items["required"].as_array().is_some_and(|r| r.iter().any(|name| name == key));
        if !required && property.get("default").is_none_or(Value::is_null) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(&at.field("default"), detail));
        }
        if flag(property, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(&at.field("nullable"), detail));
        }
    }
}

/// What a rule says besides its expressions.
fn rules(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let has_newlines = |text: &str| text.contains(['\n', '\r']);
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let at = path.field("x-kubernetes-validations").index(index);
        let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
        if expression.is_empty() {
            errors.push(FieldError::required(&at.field("rule"), "rule is not specified"));
        } else if !message.is_empty() && message.trim().is_empty() {
            errors.push(FieldError::invalid(
                &at.field("message"),
                &message.into(),
                "must be non-empty if specified",
            ));
        } else if has_newlines(message.trim()) {
            errors.push(FieldError::invalid(
                &at.field("message"),
                &message.into(),
                "must not contain line breaks",
            ));
        } else if has_newlines(expression) && message.trim().is_empty() {
            errors.push(FieldError::required(
                &at.field("message"),
                "message must be specified if rule contains line breaks",
            ));
        }
        let message_expression = text(rule, "messageExpression");
        if !message_expression.is_empty() && message_expression.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            errors.push(FieldError::required(&at.field("messageExpression"), detail));
        }
        if let Some(reason) = rule["reason"].as_str().filter(|r| !REASONS.contains(r)) {
            errors.push(FieldError::not_supported(&at.field("reason"), &reason.into(), &REASONS));
        }
        field_path(schema, text(rule, "fieldPath"), &at.field("fieldPath"), errors);
    }
}

fn field_path(schema: &Value, field: &str, at: &Path, errors: &mut Vec<FieldError>) {
    if field.is_empty() {
        return;
    }
    if field.trim().is_empty() {
        errors.push(FieldError::invalid(at, &field.into(), "must be non-empty if specified"));
    }
    if field.contains(['\n', '\r']) {
        errors.push(FieldError::invalid(at, &field.into(), "must not contain line breaks"));
    }
    if super::field_path(schema, field).is_none() {
        errors.push(FieldError::invalid(at, &field.into(), "must be a valid path"));
    }
}

/// Defaults are valid themselves and hold nothing unknown.
/// Defaults of integers or strings may be of any type, as Kubernetes has it.
fn without_unions(schema: &Value) -> Value {
    match schema {
        Value::Object(map) if schema["x-kubernetes-int-or-string"] == true => {
            let mut open = map.clone();
            open.remove("x-kubernetes-int-or-string");
            open.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
            Value::Object(open)
        }
        Value::Object(map) => map.iter().map(|(key, inner)| (key.clone(), without_unions(inner))).collect(),
        Value::Array(list) => list.iter().map(without_unions).collect(),
        other => other.clone(),
    }
}

fn defaults(schema: &Value, path: &Path, root: bool, errors: &mut Vec<FieldError>) {
    if let Some(default) = schema.get("default").filter(|d| !d.is_null()) {
        let at = path.field("default");
        let compiled = compile_value(schema);
        let mut pruned = default.clone();
        prune_inner(compiled.schema(), &mut pruned);
        if pruned != *default {
            errors.push(FieldError::invalid(&at, default, "must not have unknown fields"));
        }
        let mut found = embedded::validate_at(compiled.schema(), default, &at);
        if found.is_empty() {
            let compiled = compile_value(&without_unions(schema));
            found = validate::validate_default(compiled.schema(), default, &at);
        }
        errors.extend(found);
    }
    if let Some(items) = schema.get("items").filter(|i| i.is_object()) {
        defaults(items, &path.field("items"), false, errors);
    }
    for (name, property) in properties(schema) {
        let own = root || flag(schema, "x-kubernetes-embedded-resource");
        if !(own && super::META_FIELDS.contains(&name.as_str())) {
            defaults(property, &path.field("properties").key(name), false, errors);
        }
    }
}
