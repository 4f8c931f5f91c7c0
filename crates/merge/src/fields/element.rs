//! One step of a field path, its order and its two spellings: `f:name` in FieldsV1, `.name` in messages.

use super::value_order;
use crate::go;
use object::error::quote;
use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Selects a child of a map or list.
///
/// Ordered as in structured-merge-diff: fields, then keys, values and indexes, each by content.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A field of a map (`f:name`).
    Field(Arc<str>),
    /// The item of an associative list with these key fields, sorted by name (`k:{"name":"a"}`).
    Key(Arc<[(Box<str>, Value)]>),
    /// The item of a set with this value (`v:"a"`).
    Value(Arc<Value>),
    /// The item at this index (`i:0`).
    Index(i64),
}

/// Why the text of a path element cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ElementError {
    /// An element of a kind that a later version may know: passed over.
    Unknown,
    /// Anything else.
    Malformed(String),
}

impl PathElement {
    /// The field `name`.
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// The list item with these key fields.
    pub fn key(mut fields: Vec<(Box<str>, Value)>) -> Self {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Key(fields.into())
    }

    /// The set item `value`.
    pub fn value(value: Value) -> Self {
        Self::Value(Arc::new(value))
    }

    /// The spelling in FieldsV1.
    pub fn to_fields_v1(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let mut out = String::from("k:{");
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    go::json_string(&mut out, name);
                    out.push(':');
                    go::json(&mut out, value);
                }
                out.push('}');
                out
            }
            Self::Value(value) => {
                let mut out = String::from("v:");
                go::json(&mut out, value);
                out
            }
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads the spelling in FieldsV1.
    pub(crate) fn from_fields_v1(text: &str) -> Result<Self, ElementError> {
        let malformed = |message: String| ElementError::Malformed(message);
        let bytes = text.as_bytes();
        if bytes.len() < 2 {
            return Err(malformed("key must be 2 characters long:".into()));
        }
        if bytes[1] != b':' {
            return Err(malformed(format!("missing colon: {text}")));
        }
        let rest = &text[2..];
        match bytes[0] {
            b'f' => Ok(Self::field(rest)),
            b'v' => serde_json::from_str(rest).map(Self::value).map_err(|e| malformed(e.to_string())),
            b'k' => match serde_json::from_str(rest) {
                Ok(Value::Object(map)) => {
                    Ok(Self::key(map.into_iter().map(|(k, v)| (k.into(), v)).collect()))
                }
                Ok(_) => Err(malformed(format!("key is not an object: {text}"))),
                Err(error) => Err(malformed(error.to_string())),
            },
            b'i' => rest.parse().map(Self::Index).map_err(|_| malformed(format!("invalid index: {rest}"))),
            _ => Err(ElementError::Unknown),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => compare_keys(a, b),
            (Self::Value(a), Self::Value(b)) => value_order::compare(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn compare_keys(a: &[(Box<str>, Value)], b: &[(Box<str>, Value)]) -> Ordering {
    for ((name_a, value_a), (name_b, value_b)) in a.iter().zip(b) {
        let order = name_a.cmp(name_b).then_with(|| value_order::compare(value_a, value_b));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

/// As messages spell it: `.name`, `[name="a"]`, `[="a"]`, `[0]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let shown: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{name}={}", show(value))).collect();
                write!(f, "[{}]", shown.join(","))
            }
            Self::Value(value) => write!(f, "[={}]", show(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::String(s) => quote(s),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k}={}", show(v))).collect(),
        other => go::plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spellings_round_trip() {
        for text in [
            r#"f:name"#,
            r#"f:example.com/a:b"#,
            r#"k:{"port":80,"protocol":"TCP"}"#,
            r#"v:"x""#,
            "v:1",
            "i:3",
            "f:",
        ] {
            let element = PathElement::from_fields_v1(text).unwrap();
            assert_eq!(element.to_fields_v1(), text);
        }
    }

    #[test]
    fn refuses_what_is_malformed_and_passes_over_the_unknown() {
        assert_eq!(PathElement::from_fields_v1("x:1").unwrap_err(), ElementError::Unknown);
        for text in ["", "f", "fx", "k:[]", "k:{", "v:", "i:x", "k:{}x"] {
            assert!(matches!(PathElement::from_fields_v1(text), Err(ElementError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn shows_itself_in_messages() {
        let key = PathElement::key(vec![("protocol".into(), json!("TCP")), ("port".into(), json!(80))]);
        assert_eq!(key.to_string(), r#"[port=80,protocol="TCP"]"#);
        assert_eq!(PathElement::value(json!("q")).to_string(), r#"[="q"]"#);
        assert_eq!(PathElement::Index(2).to_string(), "[2]");
    }

    #[test]
    fn numbers_in_keys_compare_as_numbers() {
        let port = |n: i64| PathElement::key(vec![("port".into(), json!(n))]);
        assert!(port(80) < port(443));
        assert_eq!(PathElement::value(json!(1)), PathElement::value(json!(1.0)));
        assert!(PathElement::field("z") < port(1));
    }
}
