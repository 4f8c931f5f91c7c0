//! Resources embedded in custom ones: they need an apiVersion, a kind and sound metadata.

use super::At;
use crate::{Schema, Shape};
use object::{FieldError, GroupVersion, Path, Value, names};

/// Checks the resources embedded in `object`.
pub fn validate(schema: Schema<'_>, object: &Value) -> Vec<FieldError> {
    validate_at(schema, object, &Path::root())
}

/// The same for a value that stands at `path`.
pub(super) fn validate_at(schema: Schema<'_>, value: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(at) = At::new(schema) {
        walk(at, value, path, &mut errors);
    }
    errors
}

fn walk(at: At<'_>, value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if at.check().embedded {
                resource(value, path, errors);
            }
            let is_map = matches!(at.schema.node().shape, Shape::Map(_));
            for (key, value) in map {
                if let Some(inner) = at.field(key) {
                    walk(inner, value, &if is_map { path.key(key) } else { path.field(key) }, errors);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = at.items() else { return };
            for (index, value) in list.iter().enumerate() {
                walk(items, value, &path.index(index), errors);
            }
        }
        _ => {}
    }
}

fn resource(object: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for name in ["apiVersion", "kind"] {
        let at = path.field(name);
        match object.get(name) {
            None => errors.push(FieldError::required(&at, "")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::invalid(&at, &text.as_str().into(), "must not be empty"));
            }
            Some(Value::String(text)) if name == "apiVersion" => {
                if GroupVersion::parse(text).is_none() {
                    let detail = format!("unexpected GroupVersion string: {text}");
                    errors.push(FieldError::invalid(&at, &text.as_str().into(), &detail));
                }
            }
            Some(Value::String(text)) => {
                let wrong = names::dns1035_label(&text.to_lowercase());
                if !wrong.is_empty() {
                    let detail =
                        format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                    errors.push(FieldError::invalid(&at, &text.as_str().into(), &detail));
                }
            }
            Some(other) => errors.push(FieldError::invalid(&at, other, "must be a string")),
        }
    }
}
