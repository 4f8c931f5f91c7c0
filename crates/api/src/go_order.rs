//! JSON text with the metadata in the order of Go's structs, for messages that quote an object.

use object::{Map, Value};

const METADATA: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
const MANAGED: [&str; 7] =
    ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];

/// The object as text.
pub(crate) fn to_string(object: &Value) -> String {
    let Some(fields) = object.as_object() else { return object.to_string() };
    let metadata = |value: &Value| match value.as_object() {
        Some(map) => ordered(map, &METADATA, |key, value| match (key, value.as_array()) {
            ("managedFields", Some(entries)) => {
                let entries = entries.iter().map(|entry| match entry.as_object() {
                    Some(entry) => ordered(entry, &MANAGED, |_, value| value.to_string()),
                    None => entry.to_string(),
                });
                format!("[{}]", entries.collect::<Vec<_>>().join(","))
            }
            _ => value.to_string(),
        }),
        None => value.to_string(),
    };
    ordered(fields, &[], |key, value| if key == "metadata" { metadata(value) } else { value.to_string() })
}

/// A map with the fields of `order` first.
fn ordered(map: &Map<String, Value>, order: &[&str], text: impl Fn(&str, &Value) -> String) -> String {
    let first = order.iter().filter_map(|key| map.get_key_value(*key));
    let rest = map.iter().filter(|(key, _)| !order.contains(&key.as_str()));
    let fields =
        first.chain(rest).map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), text(key, value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn metadata_comes_as_in_go() {
        let object = json!({"kind": "K", "apiVersion": "v1", "metadata": {
            "uid": "u", "name": "n", "managedFields": [{"apiVersion": "v1", "manager": "m"}], "labels": {"a": "b"},
        }});
        assert_eq!(
            to_string(&object),
            r#"{"apiVersion":"v1","kind":"K","metadata":{"name":"n","uid":"u","labels":{"a":"b"},"managedFields":[{"manager":"m","apiVersion":"v1"}]}}"#
        );
    }
}
