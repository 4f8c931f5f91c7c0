//! `'%s is %d'.format([a, b])`

use super::{conversions, fail};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;

const DEFAULT_PRECISION: usize = 6;
const MAX_PRECISION: usize = 1000;
const MAX_DEPTH: u32 = 64;

pub(super) fn register(library: &mut Library) {
    library.add(&["string->format(list<dyn>): string"], format);
}

fn format<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let pattern = args[0].as_str()?;
    let mut values = args[1].as_list()?.iter();
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut verb = chars.next();
        if verb == Some('%') {
            out.push('%');
            continue;
        }
        let mut precision = DEFAULT_PRECISION;
        if verb == Some('.') {
            let digits: String = chars.clone().take_while(char::is_ascii_digit).collect();
            precision =
                digits.parse().ok().filter(|p| *p <= MAX_PRECISION).ok_or_else(EvalError::no_overload)?;
            verb = chars.nth(digits.len());
        }
        let Some(value) = values.next() else { return fail("index 0 out of range") };
        let before = out.len();
        clause(cx, &mut out, verb, precision, &value?)?;
        cx.budget.charge((out.len() - before) as u64 / 10)?;
    }
    Ok(Value::text(out))
}

fn clause(
    cx: &mut Context<'_>,
    out: &mut String,
    verb: Option<char>,
    precision: usize,
    value: &Value<'_>,
) -> Result<()> {
    let wrong = |verb: &str, takes: &str| {
        fail(format!(
            "error during formatting: {verb} can only be used on {takes}, was given {}",
            value.type_of()
        ))
    };
    let text = match (verb, value) {
        (Some('s'), _) => {
            return plain(cx, out, value, 0);
        }
        (Some('d'), Value::Int(n)) => n.to_string(),
        (Some('d'), Value::Uint(n)) => n.to_string(),
        (Some('d'), Value::Double(n)) => n.to_string(),
        (Some('d'), _) => return wrong("decimal clause", "integers and doubles"),
        (Some('f'), Value::Double(n)) => format!("{n:.precision$}"),
        (Some('f'), Value::Int(n)) => format!("{:.precision$}", *n as f64),
        (Some('f'), Value::Uint(n)) => format!("{:.precision$}", *n as f64),
        (Some('f'), _) => return wrong("fixed-point clause", "doubles"),
        (Some('e'), Value::Double(_) | Value::Int(_) | Value::Uint(_)) => scientific(value, precision),
        (Some('e'), _) => return wrong("scientific clause", "doubles"),
        (Some('b'), Value::Int(n)) => radix(*n, |n| format!("{n:b}")),
        (Some('b'), Value::Uint(n)) => format!("{n:b}"),
        (Some('b'), Value::Bool(b)) => u8::from(*b).to_string(),
        (Some('b'), _) => return wrong("binary clause", "integers and bools"),
        (Some('o'), Value::Int(n)) => radix(*n, |n| format!("{n:o}")),
        (Some('o'), Value::Uint(n)) => format!("{n:o}"),
        (Some('o'), _) => return wrong("octal clause", "integers"),
        (Some('x'), _) => return hex(out, value, false),
        (Some('X'), _) => return hex(out, value, true),
        (Some(c), _) => {
            return fail(format!(
                "could not parse formatting clause: unrecognized formatting clause \"{c}\""
            ));
        }
        (None, _) => return fail("unexpected end of string"),
    };
    out.push_str(&text);
    Ok(())
}

fn radix(n: i64, show: impl Fn(u64) -> String) -> String {
    let digits = show(n.unsigned_abs());
    if n < 0 { format!("-{digits}") } else { digits }
}

fn scientific(value: &Value<'_>, precision: usize) -> String {
    let n = match value {
        Value::Double(n) => *n,
        Value::Int(n) => *n as f64,
        Value::Uint(n) => *n as f64,
        _ => 0.0,
    };
    let text = format!("{n:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    // As cel-go's printer of languages writes it: 3.140000×10⁰⁰.
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |d| ("⁻", d));
    let raised = |c: char| c.to_digit(10).map_or(c, |d| SUPERSCRIPTS[d as usize]);
    let digits: String = format!("{digits:0>2}").chars().map(raised).collect();
    format!("{mantissa}×10{sign}{digits}")
}

const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

fn hex(out: &mut String, value: &Value<'_>, upper: bool) -> Result<()> {
    let bytes = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let text = match value {
        Value::Int(n) => radix(*n, |n| format!("{n:x}")),
        Value::Uint(n) => format!("{n:x}"),
        Value::String(text) => bytes(text.as_bytes()),
        Value::Bytes(b) => bytes(b),
        _ => {
            return fail(
                "error during formatting: only integers, byte buffers, and strings can be formatted as hex",
            );
        }
    };
    out.push_str(&if upper { text.to_uppercase() } else { text });
    Ok(())
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
        Value::Type(ty) => out.push_str(&ty.to_string()),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                plain(cx, out, &item?, depth + 1)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, key) in map.keys().iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                plain(cx, out, key, depth + 1)?;
                out.push_str(": ");
                if let Some(item) = map.get(key) {
                    plain(cx, out, &item?, depth + 1)?;
                }
            }
            out.push('}');
        }
        other => {
            return fail(format!(
                "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {}",
                other.type_of()
            ));
        }
    }
    Ok(())
}
