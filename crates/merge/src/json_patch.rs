//! JSON patch (RFC 6902), with the liberties of the library that Kubernetes uses: replacing an absent map key adds it,
//! negative indexes count from the end, an absent value tests equal to null.
//!
//! Bounds: [`MAX_OPERATIONS`] operations, and [`MAX_COPIED_BYTES`] of copies all together.

use crate::error::unprocessable;
use object::ApiError;
use serde_json::{Map, Value};

/// How many operations a patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// How many bytes (as JSON) the `copy` operations of a patch may add up to.
pub const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Applies a JSON patch. All operations succeed, or none has an effect.
///
/// # Errors
/// 400 for a patch of the wrong shape, 413 for too many operations, 422 for an operation that fails.
pub fn json_patch(document: &Value, patch: &Value) -> Result<Value, ApiError> {
    let operations = decode(patch)?;
    let mut document = document.clone();
    let mut copied = 0;
    for operation in operations {
        apply(&mut document, operation, &mut copied).ok_or_else(unprocessable)?;
    }
    Ok(document)
}

/// The operations, with the types of their fields checked.
fn decode(patch: &Value) -> Result<Vec<&Map<String, Value>>, ApiError> {
    let wrong = |value: &Value, target: &str| {
        ApiError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {} into Go {target}",
            json_type(value)
        ))
    };
    let operations = patch.as_array().ok_or_else(|| wrong(patch, "value of type []handlers.jsonPatchOp"))?;
    let mut out = Vec::with_capacity(operations.len().min(MAX_OPERATIONS));
    for operation in operations {
        let map =
            operation.as_object().ok_or_else(|| wrong(operation, "value of type handlers.jsonPatchOp"))?;
        for field in ["op", "from", "path"] {
            if let Some(value) = map.get(field).filter(|value| !value.is_string() && !value.is_null()) {
                return Err(wrong(value, &format!("struct field jsonPatchOp.{field} of type string")));
            }
        }
        out.push(map);
    }
    if out.len() > MAX_OPERATIONS {
        return Err(ApiError::TooLarge(format!(
            "Request entity is too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            out.len()
        )));
    }
    Ok(out)
}

/// Go's word for the type of a JSON value.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn apply(document: &mut Value, operation: &Map<String, Value>, copied: &mut usize) -> Option<()> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str);
    let path = text("path");
    let value = operation.get("value").cloned().unwrap_or(Value::Null);
    match text("op")? {
        "add" => add(document, path?, value),
        "remove" => remove(document, path?).map(drop),
        "replace" => {
            let (container, key) = find(document, path?)?;
            get(container, &key)?;
            set(container, &key, value)
        }
        "move" => {
            let moved = remove(document, text("from")?)?;
            add(document, path?, moved)
        }
        "copy" => {
            let (container, key) = find(document, text("from")?)?;
            let source = get(container, &key)?.cloned().unwrap_or(Value::Null);
            *copied += source.to_string().len();
            if *copied > MAX_COPIED_BYTES {
                return None;
            }
            add(document, path?, source)
        }
        "test" => {
            let (container, key) = find(document, path?)?;
            let found = get(container, &key)?.unwrap_or(&Value::Null);
            crate::fields::value_order::equal(found, &value).then_some(())
        }
        _ => None,
    }
}

/// The map or list that holds what `path` names, and the last step.
fn find<'d>(document: &'d mut Value, path: &str) -> Option<(&'d mut Value, String)> {
    let (parents, last) = path.rsplit_once('/')?;
    let mut container = document;
    // What comes before the first slash is nobody's name.
    for step in parents.split('/').skip(1) {
        let step = unescape(step);
        container = match container {
            Value::Object(map) => map.get_mut(&step)?,
            Value::Array(items) => {
                let at = index(items.len(), &step)?;
                items.get_mut(at)?
            }
            _ => return None,
        };
    }
    (container.is_object() || container.is_array()).then(|| (container, unescape(last)))
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// A list index below `length`; negative ones count from the end.
fn index(length: usize, key: &str) -> Option<usize> {
    let at: i64 = key.parse().ok()?;
    let at = if at < 0 { at + i64::try_from(length).ok()? } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// What is under `key`: `None` if there can be nothing, `Some(None)` for a key that the map does not have.
fn get<'d>(container: &'d Value, key: &str) -> Option<Option<&'d Value>> {
    match container {
        Value::Object(map) => Some(map.get(key)),
        Value::Array(items) => Some(Some(&items[index(items.len(), key)?])),
        _ => None,
    }
}

fn set(container: &mut Value, key: &str, value: Value) -> Option<()> {
    match container {
        Value::Object(map) => {
            map.insert(key.into(), value);
        }
        Value::Array(items) => {
            let at = index(items.len(), key)?;
            items[at] = value;
        }
        _ => return None,
    }
    Some(())
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (container, key) = find(document, path)?;
    match container {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(items.len() + 1, &key)?;
            items.insert(at, value);
        }
        other => set(other, &key, value)?,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    let (container, key) = find(document, path)?;
    match container {
        Value::Object(map) => map.remove(&key),
        Value::Array(items) => {
            let at = index(items.len(), &key)?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(patch: Value) -> Option<Value> {
        let document = json!({"a": {"b": 1, "n": null}, "l": [1, 2, 3], "x/y": {"~": 0}});
        json_patch(&document, &patch).ok()
    }

    fn value(op: &str, path: &str, value: Value) -> Value {
        json!([{"op": op, "path": path, "value": value}])
    }

    #[test]
    fn adds_removes_and_replaces() {
        assert_eq!(patched(value("add", "/a/c", json!(2))).unwrap()["a"]["c"], 2);
        assert_eq!(patched(value("add", "/l/-", json!(4))).unwrap()["l"], json!([1, 2, 3, 4]));
        assert_eq!(patched(value("add", "/l/0", json!(0))).unwrap()["l"], json!([0, 1, 2, 3]));
        assert_eq!(patched(value("add", "/l/3", json!(4))).unwrap()["l"], json!([1, 2, 3, 4]));
        assert_eq!(patched(value("add", "/l/-1", json!(9))).unwrap()["l"], json!([1, 2, 3, 9]));
        assert_eq!(patched(value("add", "/l/4", json!(4))), None);
        assert_eq!(patched(value("add", "/none/c", json!(4))), None);
        assert_eq!(patched(value("add", "", json!({}))), None);
        assert_eq!(patched(value("replace", "/a/new", json!(4))).unwrap()["a"]["new"], 4);
        assert_eq!(patched(value("replace", "/l/3", json!(4))), None);
        assert_eq!(patched(value("replace", "/x~1y/~0", json!(4))).unwrap()["x/y"]["~"], 4);
        assert_eq!(patched(value("remove", "/l/-1", json!(null))).unwrap()["l"], json!([1, 2]));
        assert_eq!(patched(value("remove", "/a/none", json!(null))), None);
    }

    #[test]
    fn moves_copies_and_tests() {
        let moved = patched(json!([{"op": "move", "from": "/a/b", "path": "/m"}])).unwrap();
        assert_eq!((&moved["m"], moved["a"].get("b")), (&json!(1), None));
        assert_eq!(
            patched(json!([{"op": "copy", "from": "/l", "path": "/m"}])).unwrap()["m"],
            json!([1, 2, 3])
        );
        assert_eq!(patched(json!([{"op": "copy", "from": "/l/7", "path": "/m"}])), None);
        assert!(patched(value("test", "/a/b", json!(1.0))).is_some());
        assert!(patched(value("test", "/a/none", json!(null))).is_some());
        assert!(patched(value("test", "/a/n", json!(null))).is_some());
        assert!(patched(value("test", "/a/b", json!("1"))).is_none());
        assert!(patched(value("frob", "/a/b", json!("1"))).is_none());
        assert!(patched(json!([{"op": "add", "value": 1}])).is_none());
    }

    #[test]
    fn refuses_wrong_shapes_in_words() {
        let message = |patch: Value| json_patch(&json!({}), &patch).unwrap_err().message();
        assert_eq!(
            message(json!({})),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
        assert_eq!(
            message(json!([{"op": 1}])),
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"
        );
        assert_eq!(
            message(json!([{"op": "frob", "path": "/a"}])),
            "the server rejected our request due to an error in our request"
        );
    }

    #[test]
    fn is_bounded() {
        let operation = json!({"op": "add", "path": "/a", "value": 1});
        let error = json_patch(&json!({}), &Value::Array(vec![operation; 10_001])).unwrap_err();
        assert_eq!(error.code(), 413);
        // Each copy doubles the document.
        let mut patch = vec![json!({"op": "add", "path": "/a", "value": "x".repeat(1000)})];
        patch.extend((0..40).map(|n| json!({"op": "copy", "from": "", "path": format!("/{n}")})));
        patch.extend((0..40).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/b{n}")})));
        assert_eq!(json_patch(&json!({}), &patch.into()).unwrap_err().code(), 422);
        let mut patch = vec![json!({"op": "add", "path": "/a", "value": {"x": "x".repeat(1000)}})];
        patch.extend((0..40).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")})));
        assert_eq!(json_patch(&json!({}), &patch.into()).unwrap_err().code(), 422);
    }
}
