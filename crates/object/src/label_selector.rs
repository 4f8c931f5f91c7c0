//! Label selectors: parsed from a query string, from a `LabelSelector` object, or from a plain map.
//!
//! Invariants: requirements are sorted by key; an empty selector matches everything, [`LabelSelector::nothing`] nothing.
//! Errors are the texts that clients read.

use crate::error::{FieldError, quote};
use crate::names;
use crate::path::Path;
use serde_json::{Value, json};
use std::fmt;

mod parse;

/// How a requirement relates a label to its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`: also true without the label.
    NotIn,
    /// `key=a`
    Equals,
    /// `key==a`
    DoubleEquals,
    /// `key!=a`: also true without the label.
    NotEquals,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>1`
    GreaterThan,
    /// `key<1`
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// The relation.
    pub operator: Operator,
    /// Values, sorted when parsed from text.
    pub values: Vec<String>,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl Requirement {
    /// A checked requirement; the error lists everything wrong, as an aggregate.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        let mut errors = vec![];
        let key_errors = names::qualified_name(key);
        if !key_errors.is_empty() {
            errors.push(FieldError::invalid(&Path::new("key"), &json!(key), &key_errors.join("; ")));
        }
        let path = Path::new("values");
        let wrong_count = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        if let Some(detail) = wrong_count {
            // Go shows an unset list as null.
            let shown = if values.is_empty() { Value::Null } else { json!(values) };
            errors.push(FieldError::invalid(&path, &shown, detail));
        }
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (i, value) in values.iter().enumerate().filter(|(_, v)| v.parse::<i64>().is_err()) {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(FieldError::invalid(&path.index(i), &json!(value), detail));
            }
        }
        for (i, value) in values.iter().enumerate() {
            let value_errors = names::label_value(value);
            if !value_errors.is_empty() {
                errors.push(FieldError::invalid(
                    &path.index(i).key(key),
                    &json!(value),
                    &value_errors.join("; "),
                ));
            }
        }
        match aggregate(&errors) {
            None => Ok(Self { key: key.into(), operator, values }),
            Some(message) => Err(message),
        }
    }

    /// Whether a label with this value (or its absence) satisfies the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|known| known == v);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compares(value, |a, b| a > b),
            Operator::LessThan => self.compares(value, |a, b| a < b),
        }
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        match (value.and_then(number), self.values.as_slice()) {
            (Some(actual), [wanted]) => number(wanted).is_some_and(|wanted| holds(actual, wanted)),
            _ => false,
        }
    }
}

fn aggregate(errors: &[FieldError]) -> Option<String> {
    let shown: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
    match shown.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

impl LabelSelector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches no object: what an unset selector of a controller means.
    pub fn nothing() -> Self {
        Self { requirements: vec![], nothing: true }
    }

    /// Reads the query-string syntax (`a=b,c in (d,e),!f`).
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text).map(Self::of)
    }

    /// Reads a `LabelSelector` object (`matchLabels`, `matchExpressions`). Null matches nothing, an empty one everything.
    pub fn from_object(selector: &Value) -> Result<Self, String> {
        if !selector.is_object() {
            return Ok(Self::nothing());
        }
        let mut requirements = vec![];
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            requirements.push(Requirement::new(
                key,
                Operator::Equals,
                vec![value.as_str().unwrap_or("").into()],
            )?);
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or("") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{} is not a valid label selector operator", quote(other))),
            };
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(|v| Some(v.as_str()?.to_owned())).collect();
            requirements.push(Requirement::new(expression["key"].as_str().unwrap_or(""), operator, values)?);
        }
        Ok(Self::of(requirements))
    }

    /// Every label of the map must be there with that value. Not validated; an absent or empty map matches everything.
    pub fn from_map(map: &Value) -> Self {
        let equals = |(key, value): (&String, &Value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.as_str().unwrap_or("").into()],
        };
        Self::of(map.as_object().into_iter().flatten().map(equals).collect())
    }

    /// A selector of these requirements.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// True when every object matches.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// The conditions, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether labels looked up by `label` satisfy all requirements.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(label(&r.key)))
    }

    /// Whether `object`'s `metadata.labels` satisfy all requirements.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches_labels(&object["metadata"]["labels"])
    }

    /// Whether a map of labels satisfies all requirements.
    pub fn matches_labels(&self, labels: &Value) -> bool {
        self.matches(|key| labels.get(key).and_then(Value::as_str))
    }

    /// The only value that `key` may have, if the selector demands one.
    pub fn requires_exact_match(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|r| r.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// The query-string syntax; empty for both everything and nothing, as upstream.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(selector: &str, labels: Value) -> bool {
        LabelSelector::parse(selector).expect("parses").matches_labels(&labels)
    }

    #[test]
    fn operators_match() {
        let web = json!({"tier": "web", "n": "7"});
        for yes in [
            "tier=web",
            "tier==web",
            "tier!=db",
            "tier in (db,web)",
            "tier notin (db)",
            "tier",
            "!x",
            "n>5",
            "n<8",
            "",
            "x!=1",
        ] {
            assert!(hits(yes, web.clone()), "{yes}");
        }
        for no in
            ["tier=db", "tier!=web", "tier notin (web)", "!tier", "x", "n>7", "tier>1", "x in (a)", "tier,x"]
        {
            assert!(!hits(no, web.clone()), "{no}");
        }
    }

    #[test]
    fn prints_canonically() {
        let shown = |s: &str| LabelSelector::parse(s).expect("parses").to_string();
        assert_eq!(shown("z, b in (y,x),!a,c notin(),d==1"), "!a,b in (x,y),c notin (),d==1,z");
        assert_eq!(shown("x in (in,notin)"), "x in (in,notin)");
    }

    #[test]
    fn objects_and_maps() {
        let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]});
        let selector = LabelSelector::from_object(&selector).expect("valid");
        assert!(selector.matches_labels(&json!({"a": "b", "c": "d"})));
        assert!(!selector.matches_labels(&json!({"a": "b"})));
        assert!(!LabelSelector::from_object(&Value::Null).expect("valid").matches_labels(&json!({})));
        assert!(LabelSelector::from_object(&json!({})).expect("valid").is_empty());
        assert!(LabelSelector::from_map(&json!({"a": "b"})).matches_labels(&json!({"a": "b"})));
        let bad = json!({"matchExpressions": [{"key": "c", "operator": "Is"}]});
        assert_eq!(
            LabelSelector::from_object(&bad).unwrap_err(),
            "\"Is\" is not a valid label selector operator"
        );
    }
}
