//! JSON text of an object that a patch made, as messages quote it.
//!
//! Kubernetes patches the text of an object: what the patch went through becomes a Go map, whose keys are sorted, and all
//! else stays in the order of Go's structs.

use object::{Map, Value};
use schema::Schema;
use std::collections::BTreeMap;

/// What a patch went through: the keys and indices below an object or list.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    below: BTreeMap<String, Touched>,
    /// All that is below, at any depth.
    wholly: bool,
}

impl Touched {
    /// By a merge patch: its own objects, and lists with all that they hold.
    pub fn by_merge(patch: &Value) -> Self {
        let fields = patch.as_object().into_iter().flatten();
        let fields = fields.filter(|(_, value)| value.is_object() || value.is_array());
        let below = fields.map(|(key, value)| (key.clone(), Self::by_merge(value))).collect();
        Self { below, wholly: patch.is_array() }
    }

    fn get(&self, step: &str) -> Option<&Self> {
        if self.wholly { Some(self) } else { self.below.get(step) }
    }

    /// By a JSON patch: whatever has what its operations read and write.
    pub fn by_operations(operations: &Value) -> Self {
        let mut all = Self::default();
        for operation in operations.as_array().into_iter().flatten() {
            for pointer in ["path", "from"].iter().filter_map(|field| operation[field].as_str()) {
                let mut at = &mut all;
                let parents = pointer.rsplit_once('/').map_or("", |(parents, _)| parents);
                for step in parents.split('/').skip(1) {
                    let step = step.replace("~1", "/").replace("~0", "~");
                    at = at.below.entry(step).or_default();
                }
            }
        }
        all
    }
}

/// `object` of type `schema` as text; sorted where the type is not known.
pub(crate) fn to_string(schema: Option<Schema<'_>>, object: &Value, touched: &Touched) -> String {
    let mut text = String::new();
    write(&mut text, schema, object, Some(touched));
    text
}

fn write(text: &mut String, schema: Option<Schema<'_>>, value: &Value, touched: Option<&Touched>) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            let order = |key: &str| schema.and_then(|s| s.order(key)).unwrap_or(u16::MAX);
            match touched {
                Some(_) => keys.sort(),
                None => keys.sort_by_key(|key| order(key)),
            }
            object(text, schema, map, &keys, touched);
        }
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                let touched = touched.and_then(|touched| touched.get(&i.to_string()));
                write(text, schema.and_then(Schema::items), item, touched);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn object(
    text: &mut String,
    schema: Option<Schema<'_>>,
    map: &Map<String, Value>,
    keys: &[&String],
    touched: Option<&Touched>,
) {
    text.push('{');
    for (i, key) in keys.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(key.as_str()).to_string());
        text.push(':');
        let touched = touched.and_then(|touched| touched.get(key));
        write(text, schema.and_then(|schema| schema.field(key)), &map[*key], touched);
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn what_a_patch_went_through_is_sorted() {
        let pod = schema::builtin().named("io.k8s.api.core.v1.Pod").unwrap();
        let object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {
            "uid": "u", "name": "n", "managedFields": [{"apiVersion": "v1", "manager": "m"}], "labels": {"a": "b"},
        }});
        assert_eq!(
            to_string(Some(pod), &object, &Touched::by_merge(&json!({"spec": {"nodeName": 1}}))),
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"n","uid":"u","labels":{"a":"b"},"managedFields":[{"manager":"m","apiVersion":"v1"}]}}"#
        );
        let listed = json!({"metadata": {"managedFields": [{"manager": "m", "apiVersion": "v1"}], "uid": "u", "name": "n"}});
        assert_eq!(
            to_string(Some(pod), &listed, &Touched::by_merge(&listed)),
            r#"{"metadata":{"managedFields":[{"apiVersion":"v1","manager":"m"}],"name":"n","uid":"u"}}"#
        );
        let operations = json!([{"op": "remove", "path": "/metadata/managedFields/0/x"}]);
        assert_eq!(
            to_string(Some(pod), &object, &Touched::by_operations(&operations)),
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":"b"},"managedFields":[{"apiVersion":"v1","manager":"m"}],"name":"n","uid":"u"}}"#
        );
    }
}
