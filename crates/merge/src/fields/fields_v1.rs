//! FieldsV1: the JSON of a [`FieldSet`] in `metadata.managedFields`.

use super::element::ElementError;
use super::set::Entry;
use super::{FieldSet, PathElement};
use crate::go;
use serde_json::{Map, Value};

/// Why FieldsV1 cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldsV1Error(pub String);

impl FieldSet {
    /// The FieldsV1 object.
    pub fn to_value(&self) -> Value {
        self.to_map(false).into()
    }

    fn to_map(&self, member: bool) -> Map<String, Value> {
        let mut map = Map::new();
        if member && !self.is_empty() {
            map.insert(".".into(), Map::new().into());
        }
        for entry in &self.entries {
            map.insert(entry.element.to_fields_v1(), entry.children.to_map(entry.member).into());
        }
        map
    }

    /// FieldsV1 as text, in the order in which structured-merge-diff prints it (numbers in keys by size).
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, false);
        out
    }

    fn write_json(&self, out: &mut String, member: bool) {
        out.push('{');
        let mut first = true;
        if member && !self.is_empty() {
            out.push_str(r#"".":{}"#);
            first = false;
        }
        for entry in &self.entries {
            if !first {
                out.push(',');
            }
            first = false;
            go::json_string(out, &entry.element.to_fields_v1());
            out.push(':');
            entry.children.write_json(out, entry.member);
        }
        out.push('}');
    }

    /// Reads a FieldsV1 object. Elements of unknown kind are passed over.
    pub fn from_value(value: &Value) -> Result<Self, FieldsV1Error> {
        Ok(read(value)?.0)
    }
}

/// What is below, and whether the element itself is a member.
fn read(value: &Value) -> Result<(FieldSet, bool), FieldsV1Error> {
    let map = match value {
        Value::Object(map) => map,
        Value::Null => return Ok((FieldSet::new(), true)),
        _ => return Err(FieldsV1Error(format!("expect {{ or n, but found {value}"))),
    };
    let mut entries = Vec::with_capacity(map.len());
    let mut member = false;
    for (key, below) in map {
        if key == "." {
            member = true;
            continue;
        }
        match PathElement::from_fields_v1(key) {
            Ok(element) => {
                let (children, child) = read(below)?;
                entries.push(Entry { element, member: child, children });
            }
            Err(ElementError::Unknown) => {}
            Err(ElementError::Malformed(message)) => {
                return Err(FieldsV1Error(format!("parsing key as path element: {message}")));
            }
        }
    }
    let set = FieldSet::from_entries(entries);
    let member = member || set.is_empty();
    Ok((set, member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_and_prints() {
        let value = json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":443}": {".": {}, "f:name": {}}, "k:{\"port\":80}": {}}},
        });
        let set = FieldSet::from_value(&value).unwrap();
        assert_eq!(set.to_value(), value);
        assert_eq!(
            set.to_json(),
            concat!(
                r#"{"f:metadata":{"f:finalizers":{"v:\"x\"":{}},"f:labels":{".":{},"f:a":{}}},"#,
                r#""f:spec":{"f:ports":{"k:{\"port\":80}":{},"k:{\"port\":443}":{".":{},"f:name":{}}}}}"#
            )
        );
        assert_eq!(serde_json::from_str::<Value>(&set.to_json()).unwrap(), value);
    }

    #[test]
    fn passes_over_the_unknown_and_refuses_the_malformed() {
        let set = FieldSet::from_value(&json!({"x:new": {}, "f:a": {"y:new": {}}, ".": {}})).unwrap();
        assert_eq!(set, FieldSet::of_names(&[&["a"]]));
        assert!(FieldSet::from_value(&json!({"bad": {}})).is_err());
        assert!(FieldSet::from_value(&json!({"f:a": "text"})).is_err());
        assert_eq!(FieldSet::from_value(&json!(null)).unwrap(), FieldSet::new());
    }
}
