//! The order of merged lists: that of `$setElementOrder` before that of the patch before that of the live list.

use super::error::PatchError;
use super::list::{Merged, Places, item_kind, merge_list, merge_value, without_deletions};
use super::lookup::Lookup;
use super::{DIRECTIVE, SET_ELEMENT_ORDER, without_directives};
use crate::go;
use serde_json::{Map, Value};

/// Carries out the `$setElementOrder/<list>` directives: merges each list and brings it in order. What was merged is
/// taken out of the patch.
pub(super) fn apply_element_order(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: Lookup<'_>,
) -> Result<(), PatchError> {
    let directives: Vec<String> =
        patch.keys().filter(|key| key.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            other => return Err(PatchError::bad_type("[]interface {}", &other.unwrap_or_default())),
        };
        let key = directive.strip_prefix(SET_ELEMENT_ORDER).and_then(|rest| rest.strip_prefix('/'));
        let key = key.ok_or(PatchError::BadElementOrder)?;
        let live = list_at(original, key)?;
        let patched = list_at(patch, key)?;
        let meta = schema.list(key)?;
        check_order(patched.as_deref().unwrap_or_default(), &order, meta.merge_key)?;
        let unmerged =
            |items: &Vec<Value>| Merged { items: items.clone(), live: live.clone().unwrap_or_default() };
        let merged = match (&live, &patched) {
            (None, None) => continue,
            (Some(live), None) => unmerged(live),
            (None, Some(patched)) => {
                unmerged(&patched.iter().cloned().filter_map(without_directives).collect())
            }
            (Some(live), Some(patched)) if meta.merge => merge_list(live.clone(), patched.clone(), &meta)?,
            (Some(_), Some(patched)) => unmerged(patched),
        };
        item_kind(live.as_deref().unwrap_or_default(), patched.as_deref().unwrap_or_default())?;
        original.insert(key.to_owned(), sort(merged.items, &order, &merged.live, meta.merge_key)?.into());
        patch.remove(key);
    }
    Ok(())
}

fn list_at(map: &Map<String, Value>, key: &str) -> Result<Option<Vec<Value>>, PatchError> {
    match map.get(key) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(PatchError::bad_type("[]interface {}", other)),
    }
}

/// What the patch names must be in the order list, in the same order.
fn check_order(patch: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let items = if merge_key.is_some() { without_deletions(patch)? } else { patch.to_vec() };
    let is_directive = |item: &Value| item.as_object().is_some_and(|map| map.contains_key(DIRECTIVE));
    let (mut item, mut place) = (0, 0);
    while item < items.len() && place < order.len() {
        if is_directive(&items[item]) {
            item += 1;
            continue;
        }
        let same = match merge_key {
            Some(key) => merge_value(&items[item], key)? == merge_value(&order[place], key)?,
            None => items[item] == order[place],
        };
        item += usize::from(same);
        place += 1;
    }
    if item < items.len() && place >= order.len() {
        return Err(PatchError::Other(format!(
            "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
            go::plain(&patch.to_vec().into()),
            go::plain(&order.to_vec().into()),
        )));
    }
    Ok(())
}

/// Brings a merged list in order: the items that `order` names as there, those between them where they were live.
pub(super) fn sort(
    merged: Vec<Value>,
    order: &[Value],
    live: &[Value],
    merge_key: Option<&str>,
) -> Result<Vec<Value>, PatchError> {
    if let Some(key) = merge_key {
        for item in merged.iter().chain(order).chain(live) {
            merge_value(item, key)?;
        }
    }
    let (in_order, in_live) = (Places::new(order, merge_key), Places::new(live, merge_key));
    let (mut named, mut others): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|item| in_order.of(item).is_some());
    named.sort_by_cached_key(|item| in_order.of(item).unwrap_or(usize::MAX));
    others.sort_by_cached_key(|item| in_live.of(item).unwrap_or(usize::MAX));

    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    for other in others {
        // An item of the live list goes before the first named one that followed it there.
        while let Some(next) = named.peek() {
            let before = matches!((in_live.of(&other), in_live.of(next)), (Some(a), Some(b)) if a < b);
            if before {
                break;
            }
            out.extend(named.next());
        }
        out.push(other);
    }
    out.extend(named);
    Ok(out)
}
