//! List sets and list maps hold nothing twice.

use super::At;
use crate::{ListType, Schema, Shape};
use object::{FieldError, Map, Path, Value};
use std::collections::HashMap;

/// Checks the lists of `object`; what was wrong in `old` already is not held against it.
pub fn validate(schema: Schema<'_>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let Some(at) = At::new(schema) else { return Vec::new() };
    let check = |value: &Value| {
        let mut errors = Vec::new();
        walk(at, value, &Path::root(), &mut errors);
        errors
    };
    match old {
        Some(old) if !check(old).is_empty() => Vec::new(),
        _ => check(object),
    }
}

fn walk(at: At<'_>, value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            let is_map = matches!(at.schema.node().shape, Shape::Map(_));
            for (key, value) in map {
                if let Some(inner) = at.field(key) {
                    walk(inner, value, &if is_map { path.key(key) } else { path.field(key) }, errors);
                }
            }
        }
        Value::Array(list) => {
            match &at.schema.node().list_type {
                ListType::Set => repeated(list.iter().collect(), path, errors, |at| list[at].clone()),
                ListType::Map(keys) => list_map(keys, list, path, errors),
                ListType::Atomic => {}
            }
            if let Some(items) = at.items() {
                for (index, value) in list.iter().enumerate() {
                    walk(items, value, &path.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

fn list_map(keys: &[Box<str>], list: &[Value], path: &Path, errors: &mut Vec<FieldError>) {
    if let Some(at) = list.iter().position(|item| !item.is_object() && !item.is_null()) {
        let detail = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(&path.index(at), &list[at], detail));
        return;
    }
    let key_of = |item: &Value| {
        let present = keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
        Value::Object(present.collect::<Map<_, _>>())
    };
    let found: Vec<Value> = list.iter().map(key_of).collect();
    repeated(found.iter().collect(), path, errors, |at| found[at].clone());
}

/// Reports each value that comes a second time, once.
fn repeated(values: Vec<&Value>, path: &Path, errors: &mut Vec<FieldError>, shown: impl Fn(usize) -> Value) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, value) in values.iter().enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            errors.push(FieldError::duplicate(&path.index(index), &shown(index)));
        }
    }
}
