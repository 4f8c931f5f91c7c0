//! How Go prints untyped values (`%v`, `%#v`, `%T`): error messages that clients read quote them.

use object::error::quote;
use serde_json::{Number, Value};
use std::fmt::Write;

/// `%v`.
pub fn plain(value: &Value) -> String {
    let mut out = String::new();
    write_plain(&mut out, value);
    out
}

fn write_plain(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) if n.is_i64() => out.push_str(&n.to_string()),
        Value::Number(n) => out.push_str(&float(n.as_f64().unwrap_or_default(), 1e6)),
        Value::String(s) => out.push_str(s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                write_plain(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (i, (key, item)) in map.iter().enumerate() {
                let _ = write!(out, "{}{key}:", if i > 0 { " " } else { "" });
                write_plain(out, item);
            }
            out.push(']');
        }
    }
}

/// `%#v`: as Go source.
pub(crate) fn source(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(s) => quote(s),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(source).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<_> = map.iter().map(|(k, v)| format!("{}:{}", quote(k), source(v))).collect();
            format!("map[string]interface {{}}{{{}}}", items.join(", "))
        }
        other => plain(other),
    }
}

/// `%T`.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A number as JSON has it.
pub(crate) fn number(n: &Number) -> String {
    match n.as_f64() {
        Some(value) if n.is_f64() => float(value, 1e21),
        _ => n.to_string(),
    }
}

/// A `float64`, with an exponent from `large` on.
fn float(value: f64, large: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-4..large).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// A JSON string literal as Go's encoder writes it, with `<`, `>` and `&` escaped.
pub(crate) fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Compact JSON as Go's encoder writes it.
pub(crate) fn json(out: &mut String, value: &Value) {
    match value {
        Value::String(s) => json_string(out, s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json_string(out, key);
                out.push(':');
                json(out, item);
            }
            out.push('}');
        }
        Value::Number(n) if n.is_f64() => out.push_str(&number(n)),
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prints_like_go() {
        let value = json!({"a": [1, "x", null], "b": {"c": true}, "d": 1.5});
        assert_eq!(plain(&value), "map[a:[1 x <nil>] b:map[c:true] d:1.5]");
        assert_eq!(
            source(&json!({"a": [1, "x"], "b": null})),
            r#"map[string]interface {}{"a":[]interface {}{1, "x"}, "b":interface {}(nil)}"#
        );
        assert_eq!(plain(&json!(1e21)), "1e+21");
        assert_eq!(plain(&json!(0.00001)), "1e-05");
        assert_eq!(plain(&json!(2.0)), "2");
        assert_eq!(type_name(&json!([])), "[]interface {}");
    }

    #[test]
    fn escapes_html_in_json() {
        let mut out = String::new();
        json(&mut out, &json!({"a<": ["&", "\n"]}));
        assert_eq!(out, r#"{"a\u003c":["\u0026","\n"]}"#);
    }
}
