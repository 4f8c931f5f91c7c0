//! Finding the CEL rules of a schema with the values that they are about.

use super::At;
use crate::{ListType, Schema, Shape};
use object::{Path, Value};

/// A value with rules.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// Where it is.
    pub path: Path,
    /// Its schema.
    pub schema: Schema<'a>,
    /// `x-kubernetes-validations`: a list of objects with `rule`, `message` …
    pub rules: &'a Value,
    /// The value.
    pub value: &'a Value,
    /// What it was, where old and new can be told to be the same place.
    pub old: Option<&'a Value>,
}

/// Calls `found` for every value of `object` whose schema has rules, outermost first.
pub fn each_rule<'a>(
    schema: Schema<'a>,
    object: &'a Value,
    old: Option<&'a Value>,
    found: &mut dyn FnMut(Place<'a>),
) {
    if let Some(at) = At::new(schema) {
        walk(at, object, old, Path::root(), found);
    }
}

fn walk<'a>(
    at: At<'a>,
    value: &'a Value,
    old: Option<&'a Value>,
    path: Path,
    found: &mut dyn FnMut(Place<'a>),
) {
    if value.is_null() {
        return;
    }
    if let Some(rules) = at.check().more().and_then(|m| m.rules.as_ref()) {
        found(Place { path: path.clone(), schema: at.schema, rules, value, old });
    }
    match value {
        Value::Object(map) => {
            let is_map = matches!(at.schema.node().shape, Shape::Map(_));
            for (key, value) in map {
                if let Some(inner) = at.field(key) {
                    let inner_path = if is_map { path.key(key) } else { path.field(key) };
                    walk(inner, value, old.and_then(|o| o.get(key)), inner_path, found);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = at.items() else { return };
            for (index, value) in list.iter().enumerate() {
                let old = old.and_then(|o| correlated(at, o, value));
                walk(items, value, old, path.index(index), found);
            }
        }
        _ => {}
    }
}

/// The item of the `old` list that is the same as `item`: only list maps can tell.
pub(super) fn correlated<'a>(list: At<'_>, old: &'a Value, item: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = &list.schema.node().list_type else { return None };
    old.as_array()?.iter().find(|candidate| keys.iter().all(|key| candidate.get(&**key) == item.get(&**key)))
}
