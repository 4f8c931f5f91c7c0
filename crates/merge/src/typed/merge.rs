//! Merging an applied configuration into the live object.

use super::items::{elements, list_items};
use super::types::{Form, ListOf, MapType, Type};
use crate::fields::PathElement;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// `live` with everything that `config` names. Nothing is removed; `null` when nothing is left of either.
///
/// The items of an associative list come in the order of `config` where it names them, with the others where they were.
pub(crate) fn merge(ty: Type<'_>, live: &Value, config: &Value) -> Value {
    both(ty, Some(live), Some(config)).unwrap_or(Value::Null)
}

fn both(ty: Type<'_>, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    // The form of the configuration wins where the two differ.
    let atom = if config.is_none() { ty.atom_for(live) } else { ty.atom_for(config) };
    match atom.form() {
        Form::Scalar(_) => leaf(live, config),
        Form::Map(map) => {
            let (live_map, config_map) = (entries(live), entries(config));
            if map.atomic || (live_map.is_none_or(Map::is_empty) && config_map.is_none_or(Map::is_empty)) {
                return leaf(live, config);
            }
            maps(&map, live_map, config_map)
        }
        Form::List(list) => {
            let (live_items, config_items) = (list_items(live), list_items(config));
            if !list.associative || (live_items.is_empty() && config_items.is_empty()) {
                return leaf(live, config);
            }
            lists(&list, live_items, config_items)
        }
    }
}

fn leaf(live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    config.or(live).cloned()
}

fn entries(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn maps(
    map: &MapType<'_>,
    live: Option<&Map<String, Value>>,
    config: Option<&Map<String, Value>>,
) -> Option<Value> {
    let mut out = Map::new();
    let keys: BTreeSet<&String> = live.into_iter().chain(config).flat_map(Map::keys).collect();
    for key in keys {
        let (live, config) = (live.and_then(|m| m.get(key)), config.and_then(|m| m.get(key)));
        let merged = match map.child(key) {
            Some(ty) => both(ty, live, config),
            None => leaf(live, config),
        };
        if let Some(value) = merged {
            out.insert(key.clone(), value);
        }
    }
    (!out.is_empty()).then(|| out.into())
}

/// Interleaves two lists: shared items in the order of the configuration, live-only items kept before the shared item
/// they preceded.
fn lists(list: &ListOf<'_>, live: &[Value], config: &[Value]) -> Option<Value> {
    let live_elements = elements(list, live);
    let config_elements = elements(list, config);
    let live_by = index(&live_elements, live, true);
    let config_by = index(&config_elements, config, false);
    let item = |element: &PathElement| {
        let live = live_by.get(element).copied().flatten();
        both(list.item, live, config_by.get(element).copied().flatten())
    };

    let mut shared: VecDeque<&PathElement> =
        config_elements.iter().flatten().filter(|element| live_by.contains_key(element)).collect();
    let mut next_shared = shared.pop_front();
    let mut merged = BTreeSet::new();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < config.len() {
        let left = live_elements.get(l).map(Option::as_ref);
        let right = config_elements.get(r).map(Option::as_ref);
        // Items without a path element cannot be merged with anything; what was live stays.
        match (left, right) {
            (Some(None), _) => {
                out.push(live[l].clone());
                l += 1;
                continue;
            }
            (_, Some(None)) => {
                r += 1;
                continue;
            }
            _ => {}
        }
        let (left, right) = (left.flatten(), right.flatten());
        if let (Some(element), Some(wanted)) = (left, right) {
            if element == wanted {
                merged.insert(element);
                out.extend(item(element));
                l += 1;
                r += 1;
                next_shared = shared.pop_front();
                continue;
            }
            if config_by.contains_key(element) && next_shared.is_some_and(|next| next != element) {
                // Shared, but its turn comes later.
                l += 1;
                continue;
            }
        }
        if let Some(element) = left {
            if !config_by.contains_key(element) {
                out.extend(both(list.item, Some(&live[l]), None));
                l += 1;
                continue;
            }
            if merged.contains(element) {
                l += 1;
            }
        }
        if let Some(element) = right {
            merged.insert(element);
            out.extend(item(element));
            r += 1;
            if next_shared == Some(element) {
                next_shared = shared.pop_front();
            }
        }
    }
    (!out.is_empty()).then(|| out.into())
}

/// Items by path element. A live item that is there twice is not merged with: `None`.
fn index<'v>(
    elements: &[Option<PathElement>],
    items: &'v [Value],
    live: bool,
) -> BTreeMap<PathElement, Option<&'v Value>> {
    let mut map = BTreeMap::new();
    for (element, item) in elements.iter().zip(items) {
        if let Some(element) = element {
            map.entry(element.clone())
                .and_modify(|seen| {
                    if live {
                        *seen = None
                    }
                })
                .or_insert(Some(item));
        }
    }
    map
}
