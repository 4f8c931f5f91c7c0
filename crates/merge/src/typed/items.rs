//! The items of an associative list, gathered by path element; lists of old objects may hold duplicates.

use super::key::item_element;
use super::types::ListOf;
use crate::fields::PathElement;
use serde_json::Value;
use std::collections::BTreeMap;

/// The path element of every item in order; `None` for items that have none.
pub(super) fn elements(list: &ListOf<'_>, items: &[Value]) -> Vec<Option<PathElement>> {
    items.iter().map(|item| item_element(list, item).ok()).collect()
}

/// All items by path element.
pub(super) fn by_element<'v>(list: &ListOf<'_>, items: &'v [Value]) -> BTreeMap<PathElement, Vec<&'v Value>> {
    let mut map: BTreeMap<PathElement, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Ok(element) = item_element(list, item) {
            map.entry(element).or_default().push(item);
        }
    }
    map
}

/// The items of a value that is a list; none if it is absent or null.
pub(super) fn list_items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
