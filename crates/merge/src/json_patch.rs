//! JSON patch (RFC 6902), with the liberties of the library that Kubernetes uses: replacing an absent map key adds it,
//! negative indexes count from the end, an absent value tests equal to null; only `replace` and `test` take the empty
//! path.
//!
//! Bounds: [`MAX_OPERATIONS`] operations, [`MAX_COPIED_BYTES`] of copies all together, [`MAX_DEPTH`] levels in the result
//! and [`MAX_WORK`] values looked at or moved; a patch that exceeds one of the last three is refused as one that fails.

use crate::error::unprocessable;
use object::ApiError;
use serde_json::{Map, Value};

/// How many operations a patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// How many bytes (as JSON) the `copy` operations of a patch may add up to.
pub const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// How deep the result may nest.
pub const MAX_DEPTH: usize = 128;

/// How many values all operations together may look at (to copy or move them) or shift (in lists).
pub const MAX_WORK: usize = 50_000_000;

/// What a patch has used up so far.
#[derive(Default)]
struct Used {
    copied: usize,
    work: usize,
}

impl Used {
    fn work(&mut self, values: usize) -> Option<()> {
        self.work = self.work.saturating_add(values);
        (self.work <= MAX_WORK).then_some(())
    }
}

/// Applies a JSON patch. All operations succeed, or none has an effect.
///
/// # Errors
/// 400 for a patch of the wrong shape, 413 for too many operations, 422 for an operation that fails.
pub fn json_patch(document: &Value, patch: &Value) -> Result<Value, ApiError> {
    let operations = decode(patch)?;
    let mut document = document.clone();
    let mut used = Used::default();
    for operation in operations {
        apply(&mut document, operation, &mut used).ok_or_else(unprocessable)?;
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
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            out.len()
        )));
    }
    Ok(out)
}

/// Go's word for the type of a JSON value.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn apply(document: &mut Value, operation: &Map<String, Value>, used: &mut Used) -> Option<()> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str);
    let path = text("path");
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match text("op")? {
        "add" => add(document, path?, value(), used),
        "remove" => remove(document, path?, used).map(drop),
        "replace" if path?.is_empty() => {
            let value = value();
            check_depth("", &value, used)?;
            *document = Some(value).filter(|value| value.is_object() || value.is_array())?;
            Some(())
        }
        "test" if path?.is_empty() => crate::fields::value_order::equal(document, &value()).then_some(()),
        "replace" => {
            let (path, value) = (path?, value());
            check_depth(path, &value, used)?;
            let (container, key) = find(document, path)?;
            get(container, &key)?;
            set(container, &key, value)
        }
        "move" => {
            let moved = remove(document, text("from")?, used)?;
            add(document, path?, moved, used)
        }
        "copy" => {
            let (container, key) = find(document, text("from")?)?;
            let source = get(container, &key)?.cloned().unwrap_or(Value::Null);
            used.copied += source.to_string().len();
            if used.copied > MAX_COPIED_BYTES {
                return None;
            }
            add(document, path?, source, used)
        }
        "test" => {
            let (container, key) = find(document, path?)?;
            let found = get(container, &key)?.unwrap_or(&Value::Null);
            crate::fields::value_order::equal(found, &value()).then_some(())
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

fn add(document: &mut Value, path: &str, value: Value, used: &mut Used) -> Option<()> {
    check_depth(path, &value, used)?;
    let (container, key) = find(document, path)?;
    match container {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(items.len() + 1, &key)?;
            used.work(items.len() - at)?;
            items.insert(at, value);
        }
        other => set(other, &key, value)?,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str, used: &mut Used) -> Option<Value> {
    let (container, key) = find(document, path)?;
    match container {
        Value::Object(map) => map.remove(&key),
        Value::Array(items) => {
            let at = index(items.len(), &key)?;
            used.work(items.len() - at)?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

/// Whether a value may be put at `path` without nesting too deep.
fn check_depth(path: &str, value: &Value, used: &mut Used) -> Option<()> {
    let room = MAX_DEPTH.checked_sub(path.matches('/').count())?;
    fits(value, room, used)
}

fn fits(value: &Value, room: usize, used: &mut Used) -> Option<()> {
    used.work(1)?;
    match value {
        Value::Object(map) => map.values().try_for_each(|value| fits(value, room.checked_sub(1)?, used)),
        Value::Array(items) => items.iter().try_for_each(|value| fits(value, room.checked_sub(1)?, used)),
        _ => Some(()),
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
        assert_eq!(patched(value("replace", "", json!({"q": 1}))), Some(json!({"q": 1})));
        assert_eq!(patched(value("replace", "", json!(1))), None);
        assert!(patched(value("test", "", json!({}))).is_none());
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
    fn does_not_nest_for_ever() {
        let mut path = String::new();
        let mut patch = Vec::new();
        for _ in 0..200 {
            path.push_str("/a");
            patch.push(json!({"op": "add", "path": path, "value": {}}));
        }
        assert_eq!(json_patch(&json!({}), &json!(patch)).unwrap_err().code(), 422);
        patch.truncate(118);
        assert!(json_patch(&json!({}), &json!(patch)).is_ok());
        // What is moved counts with its own depth.
        patch.push(json!({"op": "add", "path": "/b", "value": json!([[[[[[[[[[1]]]]]]]]]])}));
        for (levels, accepted) in [(110, true), (118, false)] {
            let to = format!("{}/b", &path[..levels * 2]);
            patch.truncate(119);
            patch.push(json!({"op": "move", "from": "/b", "path": to}));
            patch.push(json!({"op": "test", "path": "/b", "value": null}));
            assert_eq!(json_patch(&json!({}), &json!(patch)).is_ok(), accepted, "{levels}");
        }
    }

    #[test]
    fn shifts_lists_only_so_often() {
        let document = json!({"l": vec![0; 100_000]});
        let patch = vec![json!({"op": "add", "path": "/l/0", "value": 1}); 10_000];
        assert_eq!(json_patch(&document, &json!(patch)).unwrap_err().code(), 422);
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
