//! `'%s is %d'.format([a, b])`

use super::clause::{Clause, Takes, next_clause};
use super::{conversions, fail};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;

const MAX_DEPTH: u32 = 64;

pub(super) fn register(library: &mut Library) {
    library.add(&["string->format(list<dyn>): string"], format);
}

fn format<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let values = args[1].as_list()?;
    let mut out = String::new();
    let mut rest = args[0].as_str()?;
    let mut asked = 0;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let Some(value) = values.iter().nth(asked) else {
            return fail(format!("index {asked} out of range"));
        };
        if rest.is_empty() {
            return fail("unexpected end of string");
        }
        asked += 1;
        let (clause, after) =
            next_clause(rest).or_else(|why| fail(format!("could not parse formatting clause: {why}")))?;
        let before = out.len();
        write(cx, &mut out, clause, &value?)?;
        cx.budget.charge((out.len() - before) as u64 / 10)?;
        rest = after;
    }
    out.push_str(rest);
    Ok(Value::text(out))
}

fn write(cx: &mut Context<'_>, out: &mut String, clause: Clause, value: &Value<'_>) -> Result<()> {
    let precision = clause.precision;
    let text = match (clause.takes, value) {
        (Takes::Text, _) => return plain(cx, out, value, 0),
        (Takes::Decimal, Value::Int(n)) => n.to_string(),
        (Takes::Decimal, Value::Uint(n)) => n.to_string(),
        (Takes::Fixed | Takes::Scientific, Value::String(text)) if special(text.as_str()).is_some() => {
            let shown = special(text.as_str()).unwrap_or_default();
            shown.to_owned()
        }
        (Takes::Fixed | Takes::Scientific, Value::Double(n)) if !n.is_finite() => match *n {
            n if n.is_nan() => "NaN".into(),
            n if n > 0.0 => "∞".into(),
            _ => "-∞".into(),
        },
        (Takes::Fixed, Value::Double(n)) => grouped(&format!("{n:.precision$}")),
        // Upstream means a precision but writes a width.
        (Takes::Scientific, Value::Double(n)) => scientific(*n),
        (Takes::Binary, Value::Int(n)) => radix(*n, |n| format!("{n:b}")),
        (Takes::Binary, Value::Uint(n)) => format!("{n:b}"),
        (Takes::Binary, Value::Bool(b)) => u8::from(*b).to_string(),
        (Takes::Octal, Value::Int(n)) => radix(*n, |n| format!("{n:o}")),
        (Takes::Octal, Value::Uint(n)) => format!("{n:o}"),
        (Takes::Hex, Value::Int(n)) => hex(radix(*n, |n| format!("{n:x}")), clause),
        (Takes::Hex, Value::Uint(n)) => hex(format!("{n:x}"), clause),
        (Takes::Hex, Value::String(text)) => hex(digits(text.as_bytes()), clause),
        (Takes::Hex, Value::Bytes(bytes)) => hex(digits(bytes), clause),
        (takes, _) => {
            let why = takes.refusal(value.type_of().name());
            return fail(format!("error during formatting: {why}"));
        }
    };
    out.push_str(&text);
    Ok(())
}

/// What stands for numbers without digits.
fn special(text: &str) -> Option<&'static str> {
    match text {
        "NaN" => Some("NaN"),
        "Infinity" => Some("∞"),
        "-Infinity" => Some("-∞"),
        _ => None,
    }
}

/// `1,234.5`, as it is written in America.
fn grouped(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |d| ("-", d));
    let (whole, fraction) = digits.split_once('.').map_or((digits, ""), |(w, f)| (w, f));
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

fn radix(n: i64, show: impl Fn(u64) -> String) -> String {
    let digits = show(n.unsigned_abs());
    if n < 0 { format!("-{digits}") } else { digits }
}

fn scientific(n: f64) -> String {
    let text = format!("{n:.6e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    // As cel-go's printer of languages writes it: 3.140000×10⁰⁰.
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |d| ("⁻", d));
    let raised = |c: char| c.to_digit(10).map_or(c, |d| SUPERSCRIPTS[d as usize]);
    let digits: String = format!("{digits:0>2}").chars().map(raised).collect();
    format!("{mantissa}×10{sign}{digits}")
}

const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn hex(text: String, clause: Clause) -> String {
    if clause.upper { text.to_uppercase() } else { text }
}

/// `%s` of anything.
fn plain(cx: &mut Context<'_>, out: &mut String, value: &Value<'_>, depth: u32) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(EvalError::cost());
    }
    // One value may stand in many places of another.
    cx.budget.work(
        4 + match value {
            Value::String(text) => text.len() as u64,
            _ => 0,
        },
    )?;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(&b.to_string()),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Uint(n) => out.push_str(&n.to_string()),
        Value::Double(n) => out.push_str(&conversions::double(*n)),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
        Value::Timestamp(time) => out.push_str(&time.to_string()),
        Value::Duration(n) => out.push_str(&conversions::duration(*n)),
        Value::Type(ty) => out.push_str(ty.name()),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                part(cx, out, &item?, depth + 1)?;
            }
            out.push(']');
        }
        Value::Object(map, decl) => {
            let fields =
                map.keys().filter_map(|name| crate::escape(name)).filter(|name| decl.field(name).is_some());
            let mut entries = Vec::new();
            for name in fields {
                if let Some(item) = crate::eval::field(value, &name) {
                    let mut text = String::new();
                    part(cx, &mut text, &item?, depth + 1)?;
                    entries.push((object::error::quote(&name), text));
                }
            }
            joined(out, entries);
        }
        Value::Map(map) => {
            let mut entries = Vec::new();
            for key in map.keys() {
                if !matches!(key, Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Uint(_)) {
                    let why = format!("no formatting function for map key of type {}", key.type_of().name());
                    return fail(format!("error during formatting: {why}"));
                }
                let (mut name, mut value) = (String::new(), String::new());
                part(cx, &mut name, &key, depth + 1)?;
                if let Some(item) = map.get(&key) {
                    part(cx, &mut value, &item?, depth + 1)?;
                }
                entries.push((name, value));
            }
            joined(out, entries);
        }
        other => {
            let why = Takes::Text.refusal(other.type_of().name());
            return fail(format!("error during formatting: {why}"));
        }
    }
    Ok(())
}

fn joined(out: &mut String, mut entries: Vec<(String, String)>) {
    entries.sort();
    let entries: Vec<_> = entries.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
    out.push_str(&format!("{{{}}}", entries.join(", ")));
}

/// A value within another, as an expression would write it.
fn part(cx: &mut Context<'_>, out: &mut String, value: &Value<'_>, depth: u32) -> Result<()> {
    use object::error::quote;
    match value {
        Value::String(text) => out.push_str(&quote(text.as_str())),
        Value::Bytes(bytes) => out.push_str(&format!("b{}", quote(&String::from_utf8_lossy(bytes)))),
        Value::Double(n) if !n.is_finite() => out.push_str(&quote(&conversions::double(*n))),
        Value::Double(n) => out.push_str(&format!("{n:.6}")),
        Value::Type(ty) => out.push_str(&format!("type({})", ty.name())),
        Value::Timestamp(time) => out.push_str(&format!("timestamp(\"{time}\")")),
        Value::Duration(n) => out.push_str(&format!("duration(\"{}\")", conversions::duration(*n))),
        Value::Extension(_)
        | Value::Struct(_)
        | Value::Object(..)
        | Value::Optional(_)
        | Value::Question(_) => {
            let why = format!("no formatting function for {}", value.type_of().name());
            return fail(format!("error during formatting: {why}"));
        }
        _ => return plain(cx, out, value, depth),
    }
    Ok(())
}
