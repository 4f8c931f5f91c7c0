//! Single values: which JSON each Go type takes, its canonical form, and what it says to anything else.

use crate::Scalar;
use base64::Engine;
use object::{Quantity, time};
use serde_json::{Number, Value};

/// Why a value is refused.
pub(super) enum Wrong {
    /// A JSON type that does not fit; Go's word for what was found.
    Type(String),
    /// Noted as the first error, the walk goes on.
    Saved(String),
    /// The type's own decoder refuses: the end.
    Fatal(String),
    /// The same, over the JSON type: what was found, the Go type it does not fit.
    FatalType(String, &'static str),
}

/// How a type that decodes itself refuses a list or an object.
pub(super) enum Refused {
    /// With a message of its own.
    Message(String),
    /// Because it does not fit this Go type.
    Into(&'static str),
}

/// The canonical form of a string, number or bool.
pub(super) fn canonical(scalar: Scalar, value: Value) -> Result<Value, Wrong> {
    match scalar {
        Scalar::String => match value {
            Value::String(_) => Ok(value),
            other => Err(Wrong::Type(found(&other).into())),
        },
        Scalar::Bool => match value {
            Value::Bool(_) => Ok(value),
            other => Err(Wrong::Type(found(&other).into())),
        },
        Scalar::Int32 => integer(value, i32::MIN.into(), i32::MAX.into()),
        Scalar::Int64 => integer(value, i64::MIN, i64::MAX),
        Scalar::Double => match value {
            Value::Number(number) => Ok(Value::Number(whole(number))),
            other => Err(Wrong::Type(found(&other).into())),
        },
        Scalar::Bytes => bytes(value),
        Scalar::IntOrString => match value {
            Value::String(_) => Ok(value),
            other => integer(other, i32::MIN.into(), i32::MAX.into()).map_err(|wrong| match wrong {
                Wrong::Type(found) => Wrong::FatalType(found, "int32"),
                other => other,
            }),
        },
        Scalar::Quantity => quantity(&value),
        Scalar::Time => own_text(value, |text| {
            let time = time::parse(text)?;
            Ok(if is_zero_time(&time::format(time)) { Value::Null } else { time::format(time).into() })
        }),
        Scalar::MicroTime => own_text(value, |text| {
            let time = time::parse_micro(text)?;
            Ok(if is_zero_time(&time::format(time)) { Value::Null } else { time::format_micro(time).into() })
        }),
        Scalar::Duration => {
            own_text(value, |text| Ok(time::duration::format(time::duration::parse(text)?).into()))
        }
    }
}

/// Whether, and how, a type that decodes itself refuses a list or an object; `text` is how that JSON starts.
pub(super) fn refused(scalar: Scalar, _found: &str, text: &str) -> Option<Refused> {
    match scalar {
        Scalar::IntOrString => Some(Refused::Into("int32")),
        Scalar::Time | Scalar::MicroTime | Scalar::Duration => Some(Refused::Into("string")),
        Scalar::Quantity => {
            let error = Quantity::parse(text).err().map(|e| e.to_string());
            Some(Refused::Message(error.unwrap_or_default()))
        }
        _ => None,
    }
}

/// Go's zero time.
fn is_zero_time(text: &str) -> bool {
    text.starts_with("0001-01-01T00:00:00")
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn integer(value: Value, min: i64, max: i64) -> Result<Value, Wrong> {
    match &value {
        Value::Number(number) => match number.as_i64() {
            Some(n) if (min..=max).contains(&n) => Ok(value),
            _ => Err(Wrong::Type(format!("number {number}"))),
        },
        other => Err(Wrong::Type(found(other).into())),
    }
}

/// Go prints whole floats without a fraction.
fn whole(number: Number) -> Number {
    match number.as_f64() {
        Some(f) if number.is_f64() && f.fract() == 0.0 && f.abs() < 1e15 => (f as i64).into(),
        _ => number,
    }
}

fn bytes(value: Value) -> Result<Value, Wrong> {
    let Value::String(text) = value else { return Err(Wrong::Type(found(&value).into())) };
    let clean: String = text.chars().filter(|c| *c != '\r' && *c != '\n').collect();
    match base64::engine::general_purpose::STANDARD.decode(&clean) {
        Ok(_) => Ok(clean.into()),
        Err(_) => match corrupt_at(text.as_bytes()) {
            Some(at) => Err(Wrong::Saved(format!("illegal base64 data at input byte {at}"))),
            // Only the padding bits are odd; Go does not mind.
            None => Ok(recode(&clean).into()),
        },
    }
}

fn recode(text: &str) -> String {
    let config = base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let bytes = engine.decode(text).unwrap_or_default();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Where Go's decoder (groups of four, line breaks passed over) finds the text corrupt.
fn corrupt_at(text: &[u8]) -> Option<usize> {
    let is_digit = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
    let skip = |mut at: usize| {
        while at < text.len() && matches!(text[at], b'\r' | b'\n') {
            at += 1;
        }
        at
    };
    let mut at = skip(0);
    while at < text.len() {
        let mut filled = 0;
        while filled < 4 {
            at = skip(at);
            let Some(&c) = text.get(at) else { return (filled > 0).then(|| at - filled) };
            if is_digit(c) {
                filled += 1;
                at += 1;
                continue;
            }
            if c != b'=' || filled < 2 {
                return Some(at);
            }
            let mut last = at + 1;
            if filled == 2 {
                last = skip(last);
                match text.get(last) {
                    None => return Some(text.len()),
                    Some(b'=') => last += 1,
                    Some(_) => return Some(last - 1),
                }
            }
            let end = skip(last);
            return (end < text.len()).then_some(end);
        }
        at = skip(at);
    }
    None
}

fn quantity(value: &Value) -> Result<Value, Wrong> {
    let parsed = match value {
        Value::Bool(b) => Quantity::parse(if *b { "true" } else { "false" }),
        other => Quantity::from_json(other),
    };
    match parsed {
        Ok(quantity) => Ok(quantity.to_string().into()),
        Err(error) => Err(Wrong::Fatal(error.to_string())),
    }
}

fn own_text(value: Value, parse: impl FnOnce(&str) -> Result<Value, String>) -> Result<Value, Wrong> {
    match value {
        Value::String(text) => parse(&text).map_err(Wrong::Fatal),
        other => Err(Wrong::FatalType(found(&other).into(), "string")),
    }
}
