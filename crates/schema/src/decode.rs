//! From JSON to a typed object, as Go's decoder of the API server does it.
//!
//! The result is what a real server would store and show: unknown fields are gone, quantities and times are in
//! canonical form, zero values that Go omits are absent and those that it shows (`status: {}`) are there. What was wrong
//! comes in Go's words: a [`DecodeError`] that refuses the whole object, or strict errors (unknown and duplicate
//! fields) that the caller turns into warnings or a refusal.
//!
//! Field names match exactly; Kubernetes does not fold case. A JSON text is read once, in its own order, so that the
//! first error is the one Go reports.

mod go_names;
mod scalar;
mod syntax;
mod unions;
mod walk;
mod zero;

pub use syntax::check as check_json;
pub use zero::zero;

use crate::Schema;
use serde::de::DeserializeSeed;
use serde_json::Value;
use walk::{At, Path, State};

/// A decoded object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The canonical object.
    pub value: Value,
    /// `unknown field "spec.x"`, `duplicate field "spec.y"`, in the order of the text; at most 100, none twice.
    pub problems: Vec<String>,
    /// Where empty lists and maps were that are lost when the object is stored; at most 100. Until then Go tells them
    /// from absent ones.
    pub empties: Vec<Empty>,
}

/// An empty list or map that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Empty {
    /// The JSON pointer of the object that had it.
    pub parent: String,
    /// The name of its field.
    pub field: String,
    /// `[]`, else `{}`.
    pub list: bool,
}

impl Empty {
    /// Whether an update from `old` to what it belongs to is seen to change it: Kubernetes compares an empty list or map
    /// like an absent one.
    pub fn changes(&self, old: &Value) -> bool {
        let before = old.pointer(&self.parent).and_then(|parent| parent.get(&self.field));
        before.is_some_and(|before| !before.is_null())
    }

    /// Puts it back where its parent is still there and nothing took its place.
    pub fn restore(&self, object: &mut Value) {
        if let Some(Value::Object(parent)) = object.pointer_mut(&self.parent) {
            parent.entry(&self.field).or_insert_with(|| self.value());
        }
    }

    /// Takes it away again where it is still empty.
    pub fn remove(&self, object: &mut Value) {
        if let Some(Value::Object(parent)) = object.pointer_mut(&self.parent)
            && parent.get(&self.field) == Some(&self.value())
        {
            parent.remove(&self.field);
        }
    }

    /// Whether `object` shows a `null` in its place: its field is never left out.
    pub fn stands_for_null(&self, object: &Value) -> bool {
        object.pointer(&self.parent).and_then(|parent| parent.get(&self.field)) == Some(&Value::Null)
    }

    /// Puts it, or a `null`, where its field is.
    pub fn put(&self, object: &mut Value, present: bool) {
        if let Some(field) = object.pointer_mut(&self.parent).and_then(|parent| parent.get_mut(&self.field)) {
            *field = if present { self.value() } else { Value::Null };
        }
    }

    fn value(&self) -> Value {
        if self.list { Value::Array(vec![]) } else { Value::Object(Default::default()) }
    }
}

/// Why a text is not an object of its type, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(pub String);

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

/// How an object is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Unknown and duplicate fields are dropped in silence.
    Ignore,
    /// They are told in [`Decoded::problems`]; the caller warns of them.
    #[default]
    Warn,
    /// They are told in [`Decoded::problems`]; the caller refuses them.
    Strict,
}

/// Reads a JSON text as an object of type `schema`, built in or custom.
pub fn decode_json(schema: Schema<'_>, text: &[u8], strictness: Strictness) -> Result<Decoded, DecodeError> {
    if schema.types().custom.is_some() {
        return crate::custom::decode_json(schema, text, strictness);
    }
    let state = State::new(Some(schema), strictness);
    read_text(&state, Some(schema), text)
}

/// Reads a JSON text as it is (a custom resource), reporting duplicate fields.
pub fn decode_untyped(text: &[u8], strictness: Strictness) -> Result<Decoded, DecodeError> {
    let state = State::new(None, strictness);
    read_text(&state, None, text)
}

/// Makes `value` an object of type `schema`. Duplicates cannot be seen any more; unknown fields come in sorted order.
pub fn decode(schema: Schema<'_>, value: Value, strictness: Strictness) -> Result<Decoded, DecodeError> {
    if schema.types().custom.is_some() {
        return crate::custom::decode(schema, value, strictness);
    }
    let state = State::new(Some(schema), strictness);
    let seed = At { schema: Some(schema), path: &Path::root(), state: &state };
    let result = seed.deserialize(value);
    finish(&state, result.map_err(|e| e.to_string()))
}

fn read_text(state: &State<'_>, schema: Option<Schema<'_>>, text: &[u8]) -> Result<Decoded, DecodeError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let seed = At { schema, path: &Path::root(), state };
    let result = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    let result = result.map_err(|e| match syntax::check(text) {
        Err(message) => message,
        Ok(()) => e.to_string(),
    });
    finish(state, result)
}

fn finish(state: &State<'_>, result: Result<Value, String>) -> Result<Decoded, DecodeError> {
    if let Some(message) = state.fatal() {
        return Err(DecodeError(message));
    }
    let value = result.map_err(DecodeError)?;
    match state.saved() {
        Some(message) => Err(DecodeError(message)),
        None => Ok(Decoded { value, problems: state.take_strict(), empties: state.take_empties() }),
    }
}

/// What a refused strict decoding says: `strict decoding error: unknown field "a", duplicate field "b"`.
pub fn strict_decoding_error(errors: &[String]) -> String {
    format!("strict decoding error: {}", errors.join(", "))
}

/// The message of the BadRequest that refuses a body: `Pod in version "v1" cannot be handled as a Pod: …`.
pub fn cannot_be_handled(kind: &str, version: &str, expected_kind: &str, why: &str) -> String {
    format!(
        "{kind} in version {} cannot be handled as a {expected_kind}: {why}",
        object::error::quote(version)
    )
}

#[cfg(test)]
mod tests;
