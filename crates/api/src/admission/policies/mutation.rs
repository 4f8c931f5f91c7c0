//! What mutating policies make of an object.

use super::compiled::{Mutation, Policy};
use super::context::Context;
use crate::managed;
use crate::pipeline::Write;
use cel_rules::{Key, Value as Cel};
use object::{Value, json, meta};

/// How deep a made value may be.
const MAX_DEPTH: usize = 64;

/// The object after all mutations of a policy; `None` when the policy is not about it.
pub(super) fn apply<'a>(
    write: &Write<'_>,
    policy: &'a Policy,
    context: &Context<'a>,
    object: &Value,
) -> Result<Option<Value>, String> {
    if !super::conditions(policy, context)? {
        return Ok(None);
    }
    let mut object = object.clone();
    for mutation in &policy.mutations {
        object = match mutation {
            Mutation::Apply(expression) => {
                let mut config = to_json(&context.value(expression)?, 0)?;
                if !config.is_object() {
                    return Err("must evaluate to an Object".into());
                }
                config["apiVersion"] = object["apiVersion"].clone();
                config["kind"] = object["kind"].clone();
                managed::merged(write.call, write.target, &object, &config).map_err(|e| e.message())?
            }
            Mutation::JsonPatch(expression) => {
                let operations = to_json(&context.value(expression)?, 0)?;
                merge::json_patch(&object, &operations).map_err(|e| e.message())?
            }
        };
    }
    if meta::name(&object).is_empty() && object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    Ok(Some(object))
}

/// A value that an expression made, as JSON.
fn to_json(value: &Cel<'_>, depth: usize) -> Result<Value, String> {
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
        Cel::Optional(Some(value)) => to_json(value, depth + 1)?,
        Cel::Object(map, _) => Value::Object((*map).clone()),
        Cel::List(list) => {
            let items = list.to_vec().map_err(|e| e.message)?;
            items.iter().map(|item| to_json(item, depth + 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Cel::Map(map) => {
            let mut out = object::Map::new();
            for (key, value) in map.entries().map_err(|e| e.message)?.iter() {
                let Key::String(key) = key else { return Err("keys must be strings".into()) };
                out.insert(key.to_string(), to_json(value, depth + 1)?);
            }
            out.into()
        }
        Cel::Struct(made) => {
            let mut out = object::Map::new();
            for (field, value) in &made.fields {
                if !matches!(value, Cel::Optional(None)) {
                    out.insert(field.to_string(), to_json(value, depth + 1)?);
                }
            }
            out.into()
        }
        other => return Err(format!("a value of type {} cannot be part of an object", other.type_of())),
    })
}
