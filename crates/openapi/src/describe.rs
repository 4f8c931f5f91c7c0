//! Puts the descriptions of fields into schemas; facts have none.

use crate::custom::{API_VERSION, KIND, LIST_METADATA};
use crate::paths::Flavor;
use descriptions::Descriptions;
use object::{Map, Value, json};

/// Describes the named types that upstream describes. What is described already stays.
pub(crate) fn describe(schemas: &mut Map<String, Value>, flavor: Flavor) {
    let all = Descriptions::unpack();
    schemas.iter_mut().for_each(|(name, schema)| describe_one(&all, name, schema, flavor));
}

/// Describes one named type.
pub(crate) fn describe_one(all: &Descriptions, name: &str, schema: &mut Value, flavor: Flavor) {
    let known = all.of(name);
    set(schema, known.map(|k| k.description()).unwrap_or_default());
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    // Lists are one generic type upstream, so that their fields are not described there.
    let list = name.ends_with("List") && properties.contains_key("items");
    let own =
        [("apiVersion", API_VERSION), ("kind", KIND), ("metadata", LIST_METADATA), ("items", "The objects.")];
    let own = own.iter().filter(|_| list).map(|(field, text)| ((*field).to_owned(), (*text).to_owned()));
    for (field, text) in known.into_iter().flat_map(|k| k.fields()).chain(own) {
        if let Some(property) = properties.get_mut(&field) {
            if flavor == Flavor::V3 && property.get("$ref").is_some() {
                // In v3 nothing may stand beside a reference.
                *property = json!({"allOf": [property.take()]});
            }
            set(property, text);
        }
    }
}

fn set(schema: &mut Value, text: String) {
    if let Some(map) = schema.as_object_mut().filter(|_| !text.is_empty()) {
        map.entry("description").or_insert_with(|| text.into());
    }
}
