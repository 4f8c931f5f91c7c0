//! Taking away what a schema does not know.

use super::{At, META_FIELDS};
use crate::{Schema, Shape};
use serde_json::Value;

/// Removes unknown fields from the custom resource `object` and returns their paths, sorted.
pub fn prune(schema: Schema<'_>, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Some(at) = At::new(schema) {
        let mut pruner = Pruner { path: String::new(), unknown: &mut unknown };
        pruner.walk(Some(at), object, true);
    }
    unknown.sort();
    unknown
}

/// The same for a value inside of one.
pub(super) fn prune_inner(schema: Schema<'_>, value: &mut Value) {
    if let Some(at) = At::new(schema) {
        Pruner { path: String::new(), unknown: &mut Vec::new() }.walk(Some(at), value, at.check().embedded);
    }
}

struct Pruner<'u> {
    path: String,
    unknown: &'u mut Vec<String>,
}

impl Pruner<'_> {
    fn inside(&mut self, step: std::fmt::Arguments<'_>, walk: impl FnOnce(&mut Self)) {
        use std::fmt::Write;
        let length = self.path.len();
        let _ = self.path.write_fmt(step);
        walk(self);
        self.path.truncate(length);
    }

    fn key(&mut self, key: &str, walk: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.inside(format_args!("{dot}{key}"), walk);
    }

    /// `at` is nothing below places that the schema does not describe; `object` for one with apiVersion and kind.
    fn walk(&mut self, at: Option<At<'_>>, value: &mut Value, object: bool) {
        let keep = at.is_some_and(|at| at.check().preserve);
        match value {
            Value::Object(map) => map.retain(|key, value| {
                if object && META_FIELDS.contains(&key.as_str()) {
                    return true;
                }
                match at.and_then(|at| known(at, key)) {
                    Some(inner) => {
                        self.key(key, |this| this.walk(Some(inner), value, inner.check().embedded));
                        true
                    }
                    None if keep => true,
                    None => {
                        if !META_FIELDS.contains(&key.as_str()) || !self.path.is_empty() {
                            self.key(key, |this| this.unknown.push(this.path.clone()));
                        }
                        false
                    }
                }
            }),
            Value::Array(list) => {
                let items = at.and_then(At::items);
                if keep && items.is_none() {
                    return;
                }
                for (index, value) in list.iter_mut().enumerate() {
                    let embedded = items.is_some_and(|i| i.check().embedded);
                    self.inside(format_args!("[{index}]"), |this| this.walk(items, value, embedded));
                }
            }
            _ => {}
        }
    }
}

fn known<'a>(at: At<'a>, key: &str) -> Option<At<'a>> {
    match at.schema.node().shape {
        Shape::Object { .. } | Shape::Map(_) => at.field(key),
        _ => None,
    }
}
