//! Versions as Kubernetes shows them in messages: the JSON of its internal Go types, every field spelled out.

use serde_json::Value;

/// How a Go field is shown.
#[derive(Clone, Copy)]
enum As {
    /// A text, empty if absent.
    Text,
    /// A bool, false if absent.
    Bool,
    /// Whatever is there, or null.
    Any,
    Schema,
    Schemas,
    SchemaMap,
    /// A schema or something else in its place.
    Items,
    SchemaOrBool,
    Rules,
    Docs,
}

use As::{Any, Bool, Docs, Items, Rules, Schema, SchemaMap, SchemaOrBool, Schemas, Text};

const SCHEMA: [(&str, &str, As); 43] = [
    ("ID", "id", Text),
    ("Schema", "$schema", Text),
    ("Ref", "$ref", Any),
    ("Description", "description", Text),
    ("Type", "type", Text),
    ("Nullable", "nullable", Bool),
    ("Format", "format", Text),
    ("Title", "title", Text),
    ("Default", "default", Any),
    ("Maximum", "maximum", Any),
    ("ExclusiveMaximum", "exclusiveMaximum", Bool),
    ("Minimum", "minimum", Any),
    ("ExclusiveMinimum", "exclusiveMinimum", Bool),
    ("MaxLength", "maxLength", Any),
    ("MinLength", "minLength", Any),
    ("Pattern", "pattern", Text),
    ("MaxItems", "maxItems", Any),
    ("MinItems", "minItems", Any),
    ("UniqueItems", "uniqueItems", Bool),
    ("MultipleOf", "multipleOf", Any),
    ("Enum", "enum", Any),
    ("MaxProperties", "maxProperties", Any),
    ("MinProperties", "minProperties", Any),
    ("Required", "required", Any),
    ("Items", "items", Items),
    ("AllOf", "allOf", Schemas),
    ("OneOf", "oneOf", Schemas),
    ("AnyOf", "anyOf", Schemas),
    ("Not", "not", Schema),
    ("Properties", "properties", SchemaMap),
    ("AdditionalProperties", "additionalProperties", SchemaOrBool),
    ("PatternProperties", "patternProperties", SchemaMap),
    ("Dependencies", "dependencies", Any),
    ("AdditionalItems", "additionalItems", SchemaOrBool),
    ("Definitions", "definitions", SchemaMap),
    ("ExternalDocs", "externalDocs", Docs),
    ("Example", "example", Any),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Any),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Bool),
    ("XIntOrString", "x-kubernetes-int-or-string", Bool),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Any),
    ("XListType", "x-kubernetes-list-type", Any),
    ("XMapType", "x-kubernetes-map-type", Any),
];

const RULE: [(&str, &str, As); 6] = [
    ("Rule", "rule", Text),
    ("Message", "message", Text),
    ("MessageExpression", "messageExpression", Text),
    ("Reason", "reason", Any),
    ("FieldPath", "fieldPath", Text),
    ("OptionalOldSelf", "optionalOldSelf", Any),
];

const VERSION: [(&str, &str, As); 5] = [
    ("Name", "name", Text),
    ("Served", "served", Bool),
    ("Storage", "storage", Bool),
    ("Deprecated", "deprecated", Bool),
    ("DeprecationWarning", "deprecationWarning", Any),
];

const COLUMN: [(&str, &str, As); 6] = [
    ("Name", "name", Text),
    ("Type", "type", Text),
    ("Format", "format", Text),
    ("Description", "description", Text),
    ("Priority", "priority", Any),
    ("JSONPath", "jsonPath", Text),
];

const SCALE: [(&str, &str, As); 3] = [
    ("SpecReplicasPath", "specReplicasPath", Text),
    ("StatusReplicasPath", "statusReplicasPath", Text),
    ("LabelSelectorPath", "labelSelectorPath", Any),
];

/// All versions of a definition.
pub fn versions(list: &[Value]) -> String {
    format!("[{}]", list.iter().map(version).collect::<Vec<_>>().join(","))
}

fn version(version: &Value) -> String {
    let mut fields = fields(version, &VERSION);
    let schema = match &version["schema"] {
        Value::Null => "null".to_owned(),
        holder => format!("{{\"OpenAPIV3Schema\":{}}}", show(&holder["openAPIV3Schema"], Schema)),
    };
    fields.push(format!("\"Schema\":{schema}"));
    fields.push(format!("\"Subresources\":{}", subresources(&version["subresources"])));
    fields
        .push(format!("\"AdditionalPrinterColumns\":{}", list(&version["additionalPrinterColumns"], column)));
    let selectable = list(&version["selectableFields"], |f| object(&[("JSONPath", "jsonPath", Text)], f));
    fields.push(format!("\"SelectableFields\":{selectable}"));
    format!("{{{}}}", fields.join(","))
}

fn column(column: &Value) -> String {
    object(&COLUMN, column).replace("\"Priority\":null", "\"Priority\":0")
}

fn subresources(subresources: &Value) -> String {
    if subresources.is_null() {
        return "null".to_owned();
    }
    let status = if subresources["status"].is_null() { "null" } else { "{}" };
    let scale = match &subresources["scale"] {
        Value::Null => "null".to_owned(),
        scale => object(&SCALE, scale),
    };
    format!("{{\"Status\":{status},\"Scale\":{scale}}}")
}

fn fields(value: &Value, fields: &[(&str, &str, As)]) -> Vec<String> {
    fields.iter().map(|(go, name, how)| format!("\"{go}\":{}", show(&value[*name], *how))).collect()
}

fn object(known: &[(&str, &str, As)], value: &Value) -> String {
    format!("{{{}}}", fields(value, known).join(","))
}

fn list(value: &Value, item: impl Fn(&Value) -> String) -> String {
    match value.as_array() {
        Some(items) => format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(",")),
        None => "null".to_owned(),
    }
}

fn show(value: &Value, how: As) -> String {
    match (how, value) {
        (Text, Value::Null) => "\"\"".to_owned(),
        (Bool, Value::Null) => "false".to_owned(),
        (_, Value::Null) => "null".to_owned(),
        (Schema, schema) => {
            let mut all = fields(schema, &SCHEMA);
            all.push(format!("\"XValidations\":{}", show(&schema["x-kubernetes-validations"], Rules)));
            format!("{{{}}}", all.join(","))
        }
        (Schemas, schemas) => list(schemas, |s| show(s, Schema)),
        (SchemaMap, Value::Object(map)) => {
            let entries =
                map.iter().map(|(k, v)| format!("{}:{}", json(&Value::from(k.as_str())), show(v, Schema)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        (Items, Value::Array(_)) => format!("{{\"Schema\":null,\"JSONSchemas\":{}}}", show(value, Schemas)),
        (Items, _) => format!("{{\"Schema\":{},\"JSONSchemas\":null}}", show(value, Schema)),
        (SchemaOrBool, Value::Bool(allows)) => format!("{{\"Allows\":{allows},\"Schema\":null}}"),
        (SchemaOrBool, _) => format!("{{\"Allows\":true,\"Schema\":{}}}", show(value, Schema)),
        (Rules, rules) => list(rules, |r| object(&RULE, r)),
        (Docs, docs) => object(&[("Description", "description", Text), ("URL", "url", Text)], docs),
        _ => json(value),
    }
}

/// As Go writes JSON: safe inside of HTML.
fn json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
