//! Merging two lists.

use super::error::PatchError;
use super::lookup::FieldMeta;
use super::{DIRECTIVE, go_kind, merge_map, order};
use serde_json::{Map, Value};

/// What the items of a list are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Map,
    Single,
}

/// What the items of all lists are: they must all be of one type.
pub(super) fn item_kind(a: &[Value], b: &[Value]) -> Result<ItemKind, PatchError> {
    let mut items = a.iter().chain(b);
    let first =
        items.next().ok_or_else(|| PatchError::Other("no elements in any of the given slices".into()))?;
    if first.is_array() {
        return Err(PatchError::ListOfLists);
    }
    if items.any(|item| go_kind(item) != go_kind(first)) {
        let shown = Value::Array(vec![a.to_vec().into(), b.to_vec().into()]);
        return Err(PatchError::Other(format!(
            "list element types are not identical: {}",
            crate::go::plain(&shown)
        )));
    }
    Ok(if first.is_object() { ItemKind::Map } else { ItemKind::Single })
}

/// Merges a list of a mergeable field: what the patch names comes in its order, the rest where it was.
pub(super) fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    meta: &FieldMeta<'_>,
) -> Result<Vec<Value>, PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if item_kind(&original, &patch)? == ItemKind::Single {
        let merged = deduplicated(original.iter().chain(&patch).cloned().collect());
        return order::sort(merged, &patch, &original, None);
    }
    let Some(key) = meta.merge_key else {
        return Err(PatchError::Other(format!(
            "cannot merge lists without merge key for {}",
            meta.schema.kind()
        )));
    };
    let (original, patch) = apply_directives(original, patch, key)?;
    let mut merged = original.clone();
    for item in &patch {
        let Value::Object(item) = item else {
            return Err(PatchError::bad_type("map[string]interface {}", item));
        };
        let value = item.get(key).ok_or_else(|| PatchError::no_merge_key(item, key))?;
        match find(&merged, key, value)? {
            Some(at) => {
                let old = merged[at].as_object().cloned().unwrap_or_default();
                merged[at] = merge_map(old, item.clone(), meta.schema)?.into();
            }
            None => merged.push(item.clone().into()),
        }
    }
    order::sort(merged, &patch, &original, Some(key))
}

/// Carries out the `$patch` items of a list; what is left of the patch has none.
fn apply_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let map = item.as_object().cloned().unwrap_or_default();
        let Some(directive) = map.get(DIRECTIVE) else {
            rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let value = map.get(key).ok_or_else(|| PatchError::no_merge_key(&map, key))?;
                while let Some(at) = find(&original, key, value)? {
                    original.remove(at);
                }
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(PatchError::Other("merging lists cannot yet be specified in the patch".into()));
            }
            _ => return Err(PatchError::bad_patch_type(directive, &map)),
        }
    }
    Ok(if replace { (rest, vec![]) } else { (original, rest) })
}

/// Where the first item with this key is.
pub(super) fn find(items: &[Value], key: &str, value: &Value) -> Result<Option<usize>, PatchError> {
    for (at, item) in items.iter().enumerate() {
        let Value::Object(map) = item else {
            return Err(PatchError::Other(format!("value for key {at} is not a map")));
        };
        if map.get(key) == Some(value) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Items of a patch that are not deletions.
pub(super) fn without_deletions(patch: &[Value]) -> Result<Vec<Value>, PatchError> {
    let mut out = Vec::with_capacity(patch.len());
    for item in patch {
        let Value::Object(map) = item else {
            return Err(PatchError::bad_type("map[string]interface {}", item));
        };
        if map.get(DIRECTIVE).and_then(Value::as_str) != Some("delete") {
            out.push(item.clone());
        }
    }
    Ok(out)
}

/// The merge key of an item.
pub(super) fn merge_value<'v>(item: &'v Value, key: &str) -> Result<&'v Value, PatchError> {
    let map: &Map<String, Value> =
        item.as_object().ok_or_else(|| PatchError::bad_type("map[string]interface {}", item))?;
    map.get(key).ok_or_else(|| PatchError::no_merge_key(map, key))
}

/// Single values, each once; a later duplicate gives its place to the last value.
fn deduplicated(mut items: Vec<Value>) -> Vec<Value> {
    let mut i = 0;
    while i < items.len() {
        let mut j = i + 1;
        while j < items.len() {
            if items[i] == items[j] {
                items.swap_remove(j);
            } else {
                j += 1;
            }
        }
        i += 1;
    }
    items
}
