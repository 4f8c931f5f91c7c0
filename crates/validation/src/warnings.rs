//! Warnings.

use object::GroupVersionKind;
use serde_json::Value;

/// Warnings about an object.
pub fn warnings(_gvk: &GroupVersionKind, _object: &Value, _old: Option<&Value>) -> Vec<String> {
    vec![]
}
