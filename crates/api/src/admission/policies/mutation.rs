//! What mutating policies make of an object.

use super::compiled::{Expression, Mutation};
use super::context::Context;
use crate::admission::json_patch;
use crate::managed;
use crate::pipeline::Write;
use cel_rules::{Key, Value as Cel};
use object::{Value, json};

/// How deep a made value may be.
const MAX_DEPTH: usize = 64;
/// How large: characters and parts.
const MAX_SIZE: usize = 4 << 20;

/// The object after a mutation; `None` when it is to stay as it is.
pub(super) fn apply<'a>(
    write: &Write<'_>,
    mutation: &'a Mutation,
    context: &Context<'a>,
    object: &Value,
) -> Result<Option<Value>, String> {
    match mutation {
        Mutation::Apply(expression) => {
            let made = value(expression, context)?;
            let mut config = to_json(&made, 0, &mut { MAX_SIZE })?;
            // Only now is it known to be of a size to walk.
            check_names(&made, "Object", 0).map_err(|e| format!("type mismatch: {e}"))?;
            if !config.is_object() {
                return Err("must evaluate to an Object".into());
            }
            config["apiVersion"] = object["apiVersion"].clone();
            config["kind"] = object["kind"].clone();
            let merged = managed::merged(write.call, write.target, object, &config);
            merged.map(Some).map_err(|e| format!("error applying patch: {}", e.message()))
        }
        Mutation::JsonPatch(expression) => {
            let operations = to_json(&value(expression, context)?, 0, &mut { MAX_SIZE })?;
            match json_patch::apply(object, &operations) {
                Ok(patched) => Ok(Some(patched)),
                // A test that fails leaves the object as it is.
                Err(unfit) if unfit.is_test => Ok(None),
                Err(unfit) => Err(format!("JSON Patch: {}", unfit.message)),
            }
        }
    }
}

fn value<'a>(expression: &'a Expression, context: &Context<'a>) -> Result<Cel<'a>, String> {
    expression.program.as_ref().map_err(Clone::clone)?;
    context.value(expression).map_err(|e| format!("expression '{}' resulted in error: {e}", expression.text))
}

/// Objects are named after the fields that hold them: `Object.spec` in `spec`.
fn check_names(value: &Cel<'_>, expected: &str, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("the value is nested too deeply".into());
    }
    match value {
        Cel::Struct(made) => {
            if *made.name != *expected {
                return Err(format!(
                    "unexpected type name {:?}, expected {expected:?}, which matches field name path from root Object type",
                    made.name
                ));
            }
            made.fields
                .iter()
                .try_for_each(|(field, value)| check_names(value, &format!("{expected}.{field}"), depth + 1))
        }
        Cel::List(cel_rules::List::Items(items)) => {
            items.iter().try_for_each(|item| check_names(item, expected, depth + 1))
        }
        Cel::Map(cel_rules::Map::Entries(entries)) => {
            entries.values().try_for_each(|value| check_names(value, expected, depth + 1))
        }
        _ => Ok(()),
    }
}

/// A value that an expression made, as JSON.
fn to_json(value: &Cel<'_>, depth: usize, left: &mut usize) -> Result<Value, String> {
    // One value may stand in many places of another.
    let size = if let Cel::String(text) = value { text.len() } else { 1 };
    *left = left.checked_sub(size).ok_or("the value is too large")?;
    if depth > MAX_DEPTH {
        return Err("the value is nested too deeply".into());
    }
    Ok(match value {
        Cel::Null | Cel::Optional(None) => Value::Null,
        Cel::Bool(b) => (*b).into(),
        Cel::Int(n) => (*n).into(),
        Cel::Uint(n) => (*n).into(),
        Cel::Double(n) => json!(n),
        Cel::String(text) => text.as_str().into(),
        Cel::Optional(Some(value)) => to_json(value, depth + 1, left)?,
        Cel::Object(map, _) => Value::Object((*map).clone()),
        Cel::List(list) => {
            let items = list.to_vec().map_err(|e| e.message)?;
            items.iter().map(|item| to_json(item, depth + 1, left)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Cel::Map(map) => {
            let mut out = object::Map::new();
            for (key, value) in map.entries().map_err(|e| e.message)?.iter() {
                let Key::String(key) = key else { return Err("keys must be strings".into()) };
                out.insert(key.to_string(), to_json(value, depth + 1, left)?);
            }
            out.into()
        }
        Cel::Struct(made) => {
            let mut out = object::Map::new();
            for (field, value) in &made.fields {
                if !matches!(value, Cel::Optional(None)) {
                    out.insert(field.to_string(), to_json(value, depth + 1, left)?);
                }
            }
            out.into()
        }
        other => return Err(format!("a value of type {} cannot be part of an object", other.type_of())),
    })
}
