//! Merging two lists.

use super::error::PatchError;
use super::lookup::FieldMeta;
use super::{DIRECTIVE, go_kind, merge_map, order};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

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

/// A merged list.
pub(super) struct Merged {
    pub(super) items: Vec<Value>,
    /// The live list that `$setElementOrder` then goes by. Kubernetes merges in place, so that new items are in it where
    /// others were deleted, which decides where they end up.
    pub(super) live: Vec<Value>,
}

/// Merges a list of a mergeable field: what the patch names comes in its order, the rest where it was.
pub(super) fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    meta: &FieldMeta<'_>,
) -> Result<Merged, PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(Merged { items: original, live: vec![] });
    }
    if item_kind(&original, &patch)? == ItemKind::Single {
        let merged = deduplicated(original.iter().chain(&patch).cloned().collect());
        let items = order::sort(merged, &patch, &original, None)?;
        return Ok(Merged { items, live: original });
    }
    let Some(key) = meta.merge_key else {
        return Err(PatchError::Other(format!(
            "cannot merge lists without merge key for {}",
            meta.schema.kind()
        )));
    };
    let places_in_live = original.len();
    let (original, patch) = apply_directives(original, patch, key)?;
    let mut merged = original.clone();
    let mut places = Places::new(&merged, Some(key));
    for item in &patch {
        let Value::Object(map) = item else {
            return Err(PatchError::bad_type("map[string]interface {}", item));
        };
        merge_value(item, key)?;
        match places.of(item) {
            Some(at) => {
                let old = merged[at].as_object().cloned().unwrap_or_default();
                merged[at] = merge_map(old, map.clone(), meta.schema)?.into();
            }
            None => {
                places.add(item, merged.len());
                merged.push(item.clone());
            }
        }
    }
    let live = merged[..merged.len().min(places_in_live)].to_vec();
    Ok(Merged { items: order::sort(merged, &patch, &original, Some(key))?, live })
}

/// Carries out the `$patch` items of a list; what is left of the patch has none.
fn apply_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    let mut deleted = HashSet::new();
    for item in patch {
        let Some(directive) = item.get(DIRECTIVE) else {
            rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                deleted.insert(merge_value(&item, key)?.to_string());
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(PatchError::Other("merging lists cannot yet be specified in the patch".into()));
            }
            _ => return Err(PatchError::bad_patch_type(directive, item.as_object().unwrap_or(&Map::new()))),
        }
    }
    if !deleted.is_empty() {
        original.retain(|item| !item.get(key).is_some_and(|value| deleted.contains(&value.to_string())));
    }
    Ok(if replace { (rest, vec![]) } else { (original, rest) })
}

/// Where items are in a list: the first of those with the same merge key, or of the same values.
pub(super) struct Places<'a> {
    key: Option<&'a str>,
    places: HashMap<String, usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(items: &[Value], key: Option<&'a str>) -> Self {
        let mut places = Self { key, places: HashMap::with_capacity(items.len()) };
        for (at, item) in items.iter().enumerate() {
            places.add(item, at);
        }
        places
    }

    fn add(&mut self, item: &Value, at: usize) {
        if let Some(identity) = self.identity(item) {
            self.places.entry(identity).or_insert(at);
        }
    }

    pub(super) fn of(&self, item: &Value) -> Option<usize> {
        self.places.get(&self.identity(item)?).copied()
    }

    fn identity(&self, item: &Value) -> Option<String> {
        match self.key {
            Some(key) => item.get(key).map(ToString::to_string),
            None => Some(item.to_string()),
        }
    }
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

/// Single values, each once.
fn deduplicated(mut items: Vec<Value>) -> Vec<Value> {
    let mut seen = HashSet::with_capacity(items.len());
    items.retain(|item| seen.insert(item.to_string()));
    items
}
