//! What a definition says of single fields: printer columns, the scale subresource, selectable fields.

use crate::node::{Errors, Node};
use object::{FieldError, error::quote};
use serde_json::Value;
use std::collections::BTreeSet;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const MAX_SELECTABLE: usize = 8;

/// An item of `additionalPrinterColumns`.
pub fn column(e: &mut Errors, column: &Node<'_>) {
    if column.get("name").is_empty() {
        e.push(column.get("name").required(""));
    }
    let (kind, format) = (column.get("type"), column.get("format"));
    let detail = format!("must be one of {}", COLUMN_TYPES.join(","));
    if kind.is_empty() {
        e.push(kind.required(&detail));
    } else if !COLUMN_TYPES.contains(&kind.text()) {
        e.push(kind.invalid(&detail));
    }
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format.text()) {
        e.push(format.invalid(&format!("must be one of {}", COLUMN_FORMATS.join(","))));
    }
    let path = column.get("jsonPath").moved(column.path.field("JSONPath"));
    if path.is_empty() {
        e.push(path.required(""));
    } else {
        simple_path(e, &path);
    }
}

fn simple_path(e: &mut Errors, path: &Node<'_>) -> bool {
    let simple = path.text().starts_with('.');
    if !simple {
        e.push(path.invalid("must be a simple json path starting with ."));
    }
    simple
}

/// `subresources`.
pub fn subresources(e: &mut Errors, subresources: &Node<'_>) {
    let scale = subresources.get("scale");
    if !scale.is_set() {
        return;
    }
    for (field, place) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let path = scale.get(field);
        if path.is_empty() {
            e.push(path.required(""));
        } else if simple_path(e, &path) && !path.text().starts_with(&format!("{place}.")) {
            e.push(path.invalid(&format!("should be a json path under {place}")));
        }
    }
    let path = scale.get("labelSelectorPath");
    let placed = [".spec.", ".status."].iter().any(|place| path.text().starts_with(place));
    if !path.is_empty() && simple_path(e, &path) && !placed {
        e.push(path.invalid("should be a json path under either .spec or .status"));
    }
}

/// `selectableFields`, of objects that `schema` describes.
pub fn selectable(e: &mut Errors, fields: &Node<'_>, schema: &Value) {
    let mut seen = BTreeSet::new();
    for field in fields.items() {
        let path = field.get("jsonPath");
        if path.is_empty() {
            e.push(path.required(""));
            continue;
        }
        let found = match find(path.text(), schema) {
            Ok(found) => found,
            Err(reason) => {
                e.push(path.invalid(&format!("is an invalid path: {reason}")));
                continue;
            }
        };
        if path.text().strip_prefix(".metadata").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        {
            e.push(path.invalid("must not point to fields in metadata"));
        }
        if !["string", "boolean", "integer"].iter().any(|t| found["type"] == *t) {
            e.push(path.invalid(
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats \
                 are allowed.",
            ));
        }
        if !seen.insert(path.text()) {
            e.push(path.duplicate());
        }
    }
    if seen.len() > MAX_SELECTABLE {
        e.push(FieldError::too_many(&fields.path, seen.len(), MAX_SELECTABLE));
    }
}

/// The schema a simple path leads to, or why it leads nowhere.
fn find<'a>(path: &str, schema: &'a Value) -> Result<&'a Value, String> {
    const NOWHERE: &str = "does not refer to a valid field";
    let Some(rest) = path.strip_prefix('.') else {
        let first = path.split(['.', '[', ']']).next().unwrap_or(path);
        return Err(match path.as_bytes().first() {
            Some(b'[') => "array notation is not allowed".to_owned(),
            Some(b']') => "expected [ or . but got: ]".to_owned(),
            _ => format!("expected [ or . but got: {first}"),
        });
    };
    let mut at = schema;
    for name in rest.split('.') {
        let (name, bracket) = match name.find(['[', ']']) {
            Some(end) => (&name[..end], name[end..].chars().next()),
            None => (name, None),
        };
        if name.is_empty() && bracket.is_none() {
            return Err("unexpected end of JSON path".to_owned());
        }
        at = if at["properties"].is_object() {
            at["properties"].get(name).ok_or(NOWHERE)?
        } else {
            at.get("additionalProperties").filter(|a| a.is_object()).ok_or(NOWHERE)?
        };
        match bracket {
            Some('[') => return Err("array notation is not allowed".to_owned()),
            Some(other) => {
                return Err(format!(
                    "expected [ or . but got: {}",
                    quote(&other.to_string()).replace('"', "")
                ));
            }
            None => {}
        }
    }
    Ok(at)
}
