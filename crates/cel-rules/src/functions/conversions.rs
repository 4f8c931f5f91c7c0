//! Conversions between types: `int('1')`, `string(x)`, `type(x)`, `dyn(x)` …

use super::fail;
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;

pub(super) fn register(library: &mut Library) {
    library.add(&["bool(bool): bool", "bool(string): bool"], to_bool);
    library.add(&["bytes(bytes): bytes", "bytes(string): bytes"], to_bytes);
    let to_double_from =
        ["double(double): double", "double(int): double", "double(string): double", "double(uint): double"];
    library.add(&to_double_from, to_double);
    library.add(
        &[
            "int(int): int",
            "int(double): int",
            "int(duration): int",
            "int(string): int",
            "int(timestamp): int",
            "int(uint): int",
        ],
        to_int,
    );
    library
        .add(&["uint(uint): uint", "uint(double): uint", "uint(int): uint", "uint(string): uint"], to_uint);
    library.add(
        &[
            "string(string): string",
            "string(bool): string",
            "string(bytes): string",
            "string(double): string",
            "string(duration): string",
            "string(int): string",
            "string(timestamp): string",
            "string(uint): string",
            "string(kubernetes.URL): string",
            "string(net.IP): string",
            "string(net.CIDR): string",
        ],
        to_string,
    );
    library.add(&["dyn(A): dyn"], |_, args| Ok(args[0].clone()));
    library.add(&["type(A): type<A>"], |_, args| Ok(Value::Type(args[0].type_of())));
    let durations = ["duration(duration): duration", "duration(int): duration", "duration(string): duration"];
    library.add(&durations, to_duration);
    let times =
        ["timestamp(timestamp): timestamp", "timestamp(int): timestamp", "timestamp(string): timestamp"];
    library.add(&times, to_timestamp);
}

fn refuse<T>(value: &Value<'_>, to: &str) -> Result<T> {
    fail(format!("type conversion error from '{}' to '{to}'", value.type_of().name()))
}

fn to_bool<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Bool(b) => Ok(Value::Bool(*b)),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => refuse(&args[0], "bool"),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn to_bytes<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Bytes(bytes) => Ok(Value::Bytes(bytes.clone())),
        Value::String(text) => Ok(Value::Bytes(text.as_bytes().into())),
        _ => Err(EvalError::no_overload()),
    }
}

fn to_double<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Double(n) => Ok(Value::Double(*n)),
        Value::Int(n) => Ok(Value::Double(*n as f64)),
        Value::Uint(n) => Ok(Value::Double(*n as f64)),
        Value::String(text) => text.parse().map(Value::Double).or_else(|_| refuse(&args[0], "double")),
        _ => Err(EvalError::no_overload()),
    }
}

fn out_of_range<T>(to: &str) -> Result<T> {
    fail(if to == "int" { "integer overflow" } else { "unsigned integer overflow" })
}

fn to_int<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Int(n) => Ok(Value::Int(*n)),
        Value::Double(n) if *n > i64::MIN as f64 && *n < i64::MAX as f64 => Ok(Value::Int(*n as i64)),
        Value::Double(_) => out_of_range("int"),
        Value::Duration(n) => Ok(Value::Int(*n)),
        Value::Timestamp(time) => Ok(Value::Int(time.as_second())),
        Value::Uint(n) => i64::try_from(*n).map(Value::Int).or_else(|_| out_of_range("int")),
        Value::String(text) => text.parse().map(Value::Int).or_else(|_| refuse(&args[0], "int")),
        _ => Err(EvalError::no_overload()),
    }
}

fn to_uint<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Uint(n) => Ok(Value::Uint(*n)),
        Value::Double(n) if *n >= 0.0 && *n < u64::MAX as f64 => Ok(Value::Uint(*n as u64)),
        Value::Double(_) => out_of_range("uint"),
        Value::Int(n) => u64::try_from(*n).map(Value::Uint).or_else(|_| out_of_range("uint")),
        Value::String(text) => text.parse().map(Value::Uint).or_else(|_| refuse(&args[0], "uint")),
        _ => Err(EvalError::no_overload()),
    }
}

/// A double as Go's `FormatFloat(x, 'g', -1, 64)`: with an exponent from a million on.
pub(super) fn double(n: f64) -> String {
    if n.is_nan() {
        return "NaN".into();
    }
    if n.is_infinite() {
        return if n > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let magnitude = n.abs();
    if n != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        let text = format!("{n:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    n.to_string()
}

/// A duration in seconds: `3600s`.
pub(super) fn duration(nanoseconds: i64) -> String {
    format!("{}s", nanoseconds as f64 / 1e9)
}

fn to_string<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    use super::Extension;
    Ok(match &args[0] {
        Value::String(_) => args[0].clone(),
        Value::Bool(b) => Value::text(b.to_string()),
        Value::Int(n) => Value::text(n.to_string()),
        Value::Uint(n) => Value::text(n.to_string()),
        Value::Double(n) => Value::text(double(*n)),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::text(text),
            Err(_) => return fail("invalid UTF-8 in bytes, cannot convert to string"),
        },
        Value::Timestamp(time) => Value::text(time.to_string()),
        Value::Duration(n) => Value::text(duration(*n)),
        Value::Extension(extension) => match &**extension {
            Extension::Url(url) => Value::text(url.text.as_str()),
            Extension::Ip(ip) => Value::text(ip.to_string()),
            Extension::Cidr(cidr) => Value::text(cidr.to_string()),
            _ => return Err(EvalError::no_overload()),
        },
        _ => return Err(EvalError::no_overload()),
    })
}

fn to_duration<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Duration(n) => Ok(Value::Duration(*n)),
        Value::Int(n) => Ok(Value::Duration(*n)),
        Value::String(text) => {
            let parsed = object::time::duration::parse(text).map(Value::Duration);
            parsed.or_else(|_| refuse(&args[0], "google.protobuf.Duration"))
        }
        _ => Err(EvalError::no_overload()),
    }
}

fn to_timestamp<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Timestamp(time) => Ok(Value::Timestamp(*time)),
        Value::Int(n) => {
            jiff::Timestamp::from_second(*n).map(Value::Timestamp).or_else(|_| fail("timestamp overflow"))
        }
        Value::String(text) => {
            let whole = text.contains(['T', 't']);
            let parsed = text.parse().ok().filter(|_| whole).map(Value::Timestamp);
            parsed.map_or_else(|| refuse(&args[0], "google.protobuf.Timestamp"), Ok)
        }
        _ => Err(EvalError::no_overload()),
    }
}
