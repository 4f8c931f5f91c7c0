//! The types of CustomResourceDefinitions that take JSON of several shapes: a schema or a bool, a schema or a list.
//!
//! They decode themselves, so nothing inside them is reported as unknown or duplicate.

use super::walk::At;
use crate::{NodeId, Schema, Types, builtin};
use serde_json::Value;
use std::sync::LazyLock;

const PREFIX: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Union {
    /// `additionalProperties`
    Bool,
    /// `items`
    Array,
    /// `dependencies`
    StringArray,
}

static UNIONS: LazyLock<[(Option<NodeId>, Union); 3]> = LazyLock::new(|| {
    [("OrBool", Union::Bool), ("OrArray", Union::Array), ("OrStringArray", Union::StringArray)]
        .map(|(suffix, union)| (builtin().names.get(format!("{PREFIX}{suffix}").as_str()).copied(), union))
});

/// Whether a place without a shape is one of them.
pub(crate) fn of(schema: Schema<'_>) -> Option<Union> {
    let types: *const Types = schema.types();
    if !std::ptr::eq(types, builtin()) {
        return None;
    }
    UNIONS.iter().find(|(id, _)| *id == Some(schema.id())).map(|(_, union)| *union)
}

/// The schema inside of them.
pub(crate) fn inner() -> Option<Schema<'static>> {
    builtin().named(PREFIX)
}

/// The canonical form of `value`.
pub(super) fn decode<E: serde::de::Error>(union: Union, value: Value, at: At<'_, '_>) -> Result<Value, E> {
    let props = |value: Value| {
        let state = at.state;
        let result = state.unreported(|| match inner() {
            Some(schema) => super::decode(schema, value, super::Strictness::Ignore),
            None => Ok(super::Decoded { value, ..Default::default() }),
        });
        result.map(|decoded| decoded.value).map_err(|error| state.fail(error.0))
    };
    match (union, value) {
        (_, Value::Object(map)) => props(Value::Object(map)),
        (Union::Bool, Value::Bool(allowed)) => Ok(allowed.into()),
        (_, Value::Null) => Ok(Value::Null),
        (Union::Bool, _) => Err(at.state.fail("boolean or JSON schema expected".into())),
        (Union::Array, Value::Array(list)) => {
            list.into_iter().map(props).collect::<Result<_, _>>().map(Value::Array)
        }
        (Union::StringArray, Value::Array(list)) => Ok(Value::Array(list)),
        _ => Ok(Value::Null),
    }
}
