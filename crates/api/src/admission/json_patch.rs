//! JSON patches that webhooks and policies make, and why they do not fit, in the words of the library that Kubernetes uses.

use object::Value;

/// Why a patch does not apply to an object.
pub(super) struct Unfit {
    /// For people.
    pub message: String,
    /// It was a `test` that failed.
    pub is_test: bool,
}

/// The object after a patch.
pub(super) fn apply(object: &Value, operations: &Value) -> Result<Value, Unfit> {
    merge::json_patch(object, operations).map_err(|error| {
        explain(object, operations).unwrap_or_else(|| Unfit { message: error.message(), is_test: false })
    })
}

fn explain(object: &Value, operations: &Value) -> Option<Unfit> {
    let all = operations.as_array()?;
    let after = |count: usize| merge::json_patch(object, &Value::from(all[..count].to_vec())).ok();
    // The first operation that makes the patch fail is the last of the shortest part of it that does.
    let (mut good, mut bad) = (0, all.len());
    while bad > good + 1 {
        let middle = good.midpoint(bad);
        if after(middle).is_some() { good = middle } else { bad = middle }
    }
    let (operation, before) = (all.get(bad.checked_sub(1)?)?, after(good)?);
    let (op, path) = (operation["op"].as_str().unwrap_or(""), operation["path"].as_str().unwrap_or(""));
    let (parent, key) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = before.pointer(parent).filter(|parent| parent.is_object() || parent.is_array());
    let message = match (op, parent) {
        ("test", _) => format!("testing value {path} failed: test failed"),
        ("add", None) => {
            format!("add operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        ("remove", None) => {
            format!("remove operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        ("replace", None) => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        ("remove", Some(Value::Object(_))) => {
            format!(
                "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
            )
        }
        ("replace", Some(Value::Object(_))) => {
            format!("replace operation does not apply: doc is missing key: {path}: missing value")
        }
        ("add" | "remove" | "replace" | "move" | "copy", _) => return None,
        (other, _) => format!("Unexpected kind: {other}"),
    };
    Some(Unfit { message, is_test: op == "test" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn what_does_not_fit_is_explained() {
        let object = json!({"data": {"a": "b"}});
        let why = |operations: Value| apply(&object, &operations).err().map(|unfit| unfit.message);
        let add = json!({"op": "add", "path": "/data/c", "value": "d"});
        assert_eq!(why(json!([add])), None);
        assert_eq!(
            why(json!([add, {"op": "remove", "path": "/data/none"}, add])).unwrap(),
            "error in remove for path: '/data/none': Unable to remove nonexistent key: none: missing value"
        );
        assert_eq!(why(json!([{"op": "zap", "path": "/data"}])).unwrap(), "Unexpected kind: zap");
        assert_eq!(
            why(json!([{"op": "test", "path": "/data/a", "value": 1}])).unwrap(),
            "testing value /data/a failed: test failed"
        );
    }
}
