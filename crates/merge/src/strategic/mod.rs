//! Strategic merge patch: a merge patch that knows which lists merge by which key.
//!
//! The patch carries directives: `$patch: replace|delete` in a map or list item, `$retainKeys`,
//! `$deleteFromPrimitiveList/<list>` and `$setElementOrder/<list>`.

mod error;
mod list;
mod lookup;
mod order;

use crate::convert::convert_result;
use error::PatchError;
use lookup::Lookup;
use object::ApiError;
use schema::Schema;
use serde_json::{Map, Value};
use std::collections::HashSet;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// Applies a strategic merge patch to a document of a built-in type.
///
/// # Errors
/// 400 if the patch is not an object or a directive is malformed, 422 for lists of lists and for a result that is not of
/// the type, a 500 without a reason for whatever else does not fit, as Kubernetes answers.
pub fn strategic_merge_patch(schema: Schema<'_>, document: &Value, patch: &Value) -> Result<Value, ApiError> {
    let Value::Object(map) = patch else {
        return Err(ApiError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            crate::json_patch::json_type(patch)
        )));
    };
    let document = document.as_object().cloned().unwrap_or_default();
    let merged =
        merge_map(document, map.clone(), Lookup::Type(schema)).map_err(PatchError::into_api_error)?;
    let mut merged = merged.into();
    convert_result(schema, &mut merged, patch)?;
    Ok(merged)
}

fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Lookup<'_>,
) -> Result<Map<String, Value>, PatchError> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(PatchError::bad_patch_type(directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order::apply_element_order(&mut original, &mut patch, schema)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST) {
            Some(rest) => {
                let list = rest.strip_prefix('/').ok_or(PatchError::BadPrimitiveList)?;
                delete_from_list(&mut original, list, value, schema)?;
            }
            None => merge_field(&mut original, key, value, schema)?,
        }
    }
    Ok(original)
}

fn merge_field(
    original: &mut Map<String, Value>,
    key: String,
    patch: Value,
    schema: Lookup<'_>,
) -> Result<(), PatchError> {
    if patch.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.remove(&key), patch) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let meta = schema.field(&key)?;
            if meta.replace { Some(new.into()) } else { Some(merge_map(old, new, meta.schema)?.into()) }
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let meta = schema.list(&key)?;
            if meta.merge { Some(list::merge_list(old, new, &meta)?.items.into()) } else { Some(new.into()) }
        }
        (Some(old), mut new) if go_kind(&old) != go_kind(&new) => {
            discard_nulls(&mut new);
            without_directives(new)
        }
        (Some(_), new) => without_directives(new),
        (None, mut new) => {
            discard_nulls(&mut new);
            without_directives(new)
        }
    };
    if let Some(value) = merged {
        original.insert(key, value);
    }
    Ok(())
}

/// `$deleteFromPrimitiveList/<list>`: takes values out of a list of single values.
fn delete_from_list(
    original: &mut Map<String, Value>,
    key: &str,
    patch: Value,
    schema: Lookup<'_>,
) -> Result<(), PatchError> {
    if patch.is_null() {
        original.remove(key);
        return Ok(());
    }
    if let (Some(Value::Array(old)), Value::Array(gone)) = (original.get_mut(key), &patch) {
        schema.list(key)?;
        if old.is_empty() && gone.is_empty() {
            return Ok(());
        }
        list::item_kind(old, gone)?;
        let gone: HashSet<String> = gone.iter().map(ToString::to_string).collect();
        old.retain(|item| !gone.contains(&item.to_string()));
    }
    Ok(())
}

/// `$retainKeys`: only the keys it lists survive.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let keys = directive.as_array().ok_or(PatchError::BadRetainKeys)?;
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let listed = |key: &str| keys.contains(key);
    for (key, value) in patch.iter() {
        let directive = key.starts_with(DELETE_FROM_PRIMITIVE_LIST) || key.starts_with(SET_ELEMENT_ORDER);
        if !value.is_null() && !directive && !listed(key) {
            return Err(PatchError::BadRetainKeys);
        }
    }
    original.retain(|key, _| listed(key));
    Ok(())
}

/// `value` without whatever in it carries a directive; `None` if it does itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter().filter_map(|(k, v)| Some((k, without_directives(v)?))).collect(),
        )),
        Value::Array(items) => {
            Some(items.into_iter().filter_map(without_directives).collect::<Vec<_>>().into())
        }
        other => Some(other),
    }
}

/// Drops nulls from the maps of a value that is newly set.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// The Go type that JSON decodes into.
fn go_kind(value: &Value) -> &'static str {
    crate::go::type_name(value)
}

#[cfg(test)]
mod tests;
