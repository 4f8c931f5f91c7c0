//! How messages show the versions of a definition: Go's internal structs as JSON, every field by its Go name.

use object::Value;
use std::fmt::Write;

/// What a Go field of JSONSchemaProps holds.
#[derive(Clone, Copy)]
enum Holds {
    /// A string that is empty when absent.
    Text,
    /// A bool that is false when absent.
    Flag,
    /// Anything that is null when absent, shown as it is.
    Value,
    /// A schema.
    Schema,
    /// A list of schemas.
    Schemas,
    /// A map of schemas.
    Map,
    /// A schema or a list of them.
    OrArray,
    /// A schema or a bool.
    OrBool,
    /// `x-kubernetes-validations`.
    Rules,
}

const FIELDS: [(&str, &str, Holds); 43] = [
    ("ID", "id", Holds::Text),
    ("Schema", "$schema", Holds::Text),
    ("Ref", "$ref", Holds::Value),
    ("Description", "description", Holds::Text),
    ("Type", "type", Holds::Text),
    ("Nullable", "nullable", Holds::Flag),
    ("Format", "format", Holds::Text),
    ("Title", "title", Holds::Text),
    ("Default", "default", Holds::Value),
    ("Maximum", "maximum", Holds::Value),
    ("ExclusiveMaximum", "exclusiveMaximum", Holds::Flag),
    ("Minimum", "minimum", Holds::Value),
    ("ExclusiveMinimum", "exclusiveMinimum", Holds::Flag),
    ("MaxLength", "maxLength", Holds::Value),
    ("MinLength", "minLength", Holds::Value),
    ("Pattern", "pattern", Holds::Text),
    ("MaxItems", "maxItems", Holds::Value),
    ("MinItems", "minItems", Holds::Value),
    ("UniqueItems", "uniqueItems", Holds::Flag),
    ("MultipleOf", "multipleOf", Holds::Value),
    ("Enum", "enum", Holds::Value),
    ("MaxProperties", "maxProperties", Holds::Value),
    ("MinProperties", "minProperties", Holds::Value),
    ("Required", "required", Holds::Value),
    ("Items", "items", Holds::OrArray),
    ("AllOf", "allOf", Holds::Schemas),
    ("OneOf", "oneOf", Holds::Schemas),
    ("AnyOf", "anyOf", Holds::Schemas),
    ("Not", "not", Holds::Schema),
    ("Properties", "properties", Holds::Map),
    ("AdditionalProperties", "additionalProperties", Holds::OrBool),
    ("PatternProperties", "patternProperties", Holds::Map),
    ("Dependencies", "dependencies", Holds::Value),
    ("AdditionalItems", "additionalItems", Holds::OrBool),
    ("Definitions", "definitions", Holds::Map),
    ("ExternalDocs", "externalDocs", Holds::Value),
    ("Example", "example", Holds::Value),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Holds::Value),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Holds::Flag),
    ("XIntOrString", "x-kubernetes-int-or-string", Holds::Flag),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Holds::Value),
    ("XListType", "x-kubernetes-list-type", Holds::Value),
    ("XMapType", "x-kubernetes-map-type", Holds::Value),
];

/// `spec.versions`; what `shared` says all versions share stands elsewhere and is shown as null.
pub(super) fn versions(versions: &[Value], shared: impl Fn(&str) -> bool) -> String {
    let shown = versions.iter().map(|version| one(version, &shared));
    format!("[{}]", shown.collect::<Vec<_>>().join(","))
}

fn one(version: &Value, shared: &impl Fn(&str) -> bool) -> String {
    let own = |name: &str, show: fn(&Value) -> String| match &version[name] {
        Value::Null => "null".to_owned(),
        _ if shared(name) => "null".to_owned(),
        value => show(value),
    };
    let flag = |name: &str| version[name] == true;
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{},\"Subresources\":{},\
         \"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
        version["name"],
        flag("served"),
        flag("storage"),
        flag("deprecated"),
        version["deprecationWarning"],
        own("schema", |s| format!("{{\"OpenAPIV3Schema\":{}}}", schema(&s["openAPIV3Schema"]))),
        own("subresources", subresources),
        own("additionalPrinterColumns", columns),
        own("selectableFields", |fields| {
            let shown = fields
                .as_array()
                .into_iter()
                .flatten()
                .map(|f| format!("{{\"JSONPath\":{}}}", f["jsonPath"]));
            format!("[{}]", shown.collect::<Vec<_>>().join(","))
        }),
    )
}

fn subresources(value: &Value) -> String {
    let status = if value["status"].is_object() { "{}" } else { "null" };
    let scale = &value["scale"];
    let text = |name: &str| scale[name].as_str().map_or("\"\"".into(), |t| Value::from(t).to_string());
    let scale = match scale {
        Value::Null => "null".into(),
        _ => format!(
            "{{\"SpecReplicasPath\":{},\"StatusReplicasPath\":{},\"LabelSelectorPath\":{}}}",
            text("specReplicasPath"),
            text("statusReplicasPath"),
            scale["labelSelectorPath"]
        ),
    };
    format!("{{\"Status\":{status},\"Scale\":{scale}}}")
}

fn columns(value: &Value) -> String {
    let text = |column: &Value, name: &str| Value::from(column[name].as_str().unwrap_or("")).to_string();
    let shown = value.as_array().into_iter().flatten().map(|column| {
        format!(
            "{{\"Name\":{},\"Type\":{},\"Format\":{},\"Description\":{},\"Priority\":{},\"JSONPath\":{}}}",
            text(column, "name"),
            text(column, "type"),
            text(column, "format"),
            text(column, "description"),
            column["priority"].as_i64().unwrap_or(0),
            text(column, "jsonPath")
        )
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(","))
}

fn schema(value: &Value) -> String {
    if !value.is_object() {
        return "null".into();
    }
    let mut out = String::from("{");
    for (go_name, name, holds) in FIELDS {
        let _ = write!(out, "\"{go_name}\":{},", field(&value[name], holds));
    }
    let _ = write!(out, "\"XValidations\":{}}}", field(&value["x-kubernetes-validations"], Holds::Rules));
    out
}

fn field(value: &Value, holds: Holds) -> String {
    let list = |schemas: &[Value]| format!("[{}]", schemas.iter().map(schema).collect::<Vec<_>>().join(","));
    match (holds, value) {
        (Holds::Text, Value::Null) => "\"\"".into(),
        (Holds::Flag, value) => (value == true).to_string(),
        (_, Value::Null) => "null".into(),
        (Holds::Text | Holds::Value, value) => value.to_string(),
        (Holds::Schema, value) => schema(value),
        (Holds::Schemas, Value::Array(schemas)) => list(schemas),
        (Holds::Map, Value::Object(map)) => {
            let shown =
                map.iter().map(|(key, inner)| format!("{}:{}", Value::from(key.as_str()), schema(inner)));
            format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
        }
        (Holds::OrArray, Value::Array(schemas)) => {
            format!("{{\"Schema\":null,\"JSONSchemas\":{}}}", list(schemas))
        }
        (Holds::OrArray, value) => format!("{{\"Schema\":{},\"JSONSchemas\":null}}", schema(value)),
        (Holds::OrBool, Value::Bool(allows)) => format!("{{\"Allows\":{allows},\"Schema\":null}}"),
        (Holds::OrBool, value) => format!("{{\"Allows\":true,\"Schema\":{}}}", schema(value)),
        (Holds::Rules, Value::Array(rules)) => {
            format!("[{}]", rules.iter().map(rule).collect::<Vec<_>>().join(","))
        }
        (_, value) => value.to_string(),
    }
}

/// A CEL rule as messages show it.
pub fn rule(rule: &Value) -> String {
    let text = |name: &str| go_string(rule[name].as_str().unwrap_or(""));
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        rule["reason"],
        text("fieldPath"),
        rule["optionalOldSelf"]
    )
}

/// Go's JSON escapes what HTML would mind.
fn go_string(text: &str) -> String {
    Value::from(text).to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
