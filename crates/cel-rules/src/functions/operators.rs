//! Operators, `size` and `in`. `&&`, `||` and `?:` are declared here but evaluated by the walker, which may leave operands out.

use super::fail;
use crate::compare::{contains, equal, order};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::types::ListKind;
use crate::value::{List, Value};
use std::cmp::Ordering;

/// The overloads of an order operator.
macro_rules! ordered {
    ($name:literal) => {
        [
            concat!($name, "(bool, bool): bool"),
            concat!($name, "(int, int): bool"),
            concat!($name, "(int, double): bool"),
            concat!($name, "(int, uint): bool"),
            concat!($name, "(uint, uint): bool"),
            concat!($name, "(uint, double): bool"),
            concat!($name, "(uint, int): bool"),
            concat!($name, "(double, double): bool"),
            concat!($name, "(double, int): bool"),
            concat!($name, "(double, uint): bool"),
            concat!($name, "(string, string): bool"),
            concat!($name, "(bytes, bytes): bool"),
            concat!($name, "(timestamp, timestamp): bool"),
            concat!($name, "(duration, duration): bool"),
        ]
    };
}

pub(super) fn register(library: &mut Library) {
    fn never<'a>(_: &mut Context<'_>, _: &[Value<'a>]) -> Result<Value<'a>> {
        Err(EvalError::no_overload())
    }
    library.add(&["_&&_(bool, bool): bool"], never);
    library.add(&["_||_(bool, bool): bool"], never);
    library.add(&["_?_:_(bool, A, A): A"], never);
    library.add(&["@not_strictly_false(bool): bool"], never);
    library.add(&["!_(bool): bool"], |_, args| Ok(Value::Bool(!args[0].as_bool()?)));
    library.add(&["-_(int): int", "-_(double): double", "-_(duration): duration"], negate);
    library.add(&["_==_(A, A): bool"], |cx, args| equal(&args[0], &args[1], cx.budget).map(Value::Bool));
    library
        .add(&["_!=_(A, A): bool"], |cx, args| equal(&args[0], &args[1], cx.budget).map(|b| Value::Bool(!b)));
    library.add(&ordered!("_<_"), |_, args| compare(args, |o| o == Ordering::Less));
    library.add(&ordered!("_<=_"), |_, args| compare(args, |o| o != Ordering::Greater));
    library.add(&ordered!("_>_"), |_, args| compare(args, |o| o == Ordering::Greater));
    library.add(&ordered!("_>=_"), |_, args| compare(args, |o| o != Ordering::Less));
    library.add(
        &[
            "_+_(bytes, bytes): bytes",
            "_+_(double, double): double",
            "_+_(duration, duration): duration",
            "_+_(duration, timestamp): timestamp",
            "_+_(timestamp, duration): timestamp",
            "_+_(int, int): int",
            "_+_(list<A>, list<A>): list<A>",
            "_+_(string, string): string",
            "_+_(uint, uint): uint",
        ],
        add,
    );
    library.add(
        &[
            "_-_(double, double): double",
            "_-_(duration, duration): duration",
            "_-_(int, int): int",
            "_-_(timestamp, duration): timestamp",
            "_-_(timestamp, timestamp): duration",
            "_-_(uint, uint): uint",
        ],
        subtract,
    );
    let numeric = ["_*_(double, double): double", "_*_(int, int): int", "_*_(uint, uint): uint"];
    library.add(&numeric, multiply);
    library.add(&["_/_(double, double): double", "_/_(int, int): int", "_/_(uint, uint): uint"], divide);
    library.add(&["_%_(int, int): int", "_%_(uint, uint): uint"], modulo);
    library.add(&["@in(A, list<A>): bool", "@in(A, map<A, B>): bool"], within);
    library.add(
        &[
            "_[_](list<A>, int): A",
            "_[_](map<A, B>, A): B",
            "_[_](optional<list<A>>, int): optional<A>",
            "_[_](optional<map<A, B>>, A): optional<B>",
        ],
        |_, args| index(&args[0], &args[1]),
    );
    library.add(
        &[
            "_[?_](list<A>, int): optional<A>",
            "_[?_](optional<list<A>>, int): optional<A>",
            "_[?_](map<A, B>, A): optional<B>",
            "_[?_](optional<map<A, B>>, A): optional<B>",
        ],
        |_, args| optional_index(&args[0], &args[1]),
    );
    // Selecting an optional field is checked and evaluated like a field.
    library.add(&["_?._(dyn, string): optional<dyn>"], never);
    library.add(
        &[
            "size(bytes): int",
            "bytes->size(): int",
            "size(list<A>): int",
            "list<A>->size(): int",
            "size(map<A, B>): int",
            "map<A, B>->size(): int",
            "size(string): int",
            "string->size(): int",
        ],
        |_, args| Ok(Value::Int(args[0].size() as i64)),
    );
}

/// Says whose range was left.
fn overflow(args: &[Value<'_>]) -> EvalError {
    EvalError::new(match (&args[0], args.get(1)) {
        (Value::Int(_), _) => "integer overflow",
        (Value::Uint(_), _) => "unsigned integer overflow",
        (Value::Timestamp(_), Some(Value::Duration(_))) | (_, Some(Value::Timestamp(_))) => {
            "timestamp overflow"
        }
        _ => "duration overflow",
    })
}

fn negate<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[0] {
        Value::Int(n) => n.checked_neg().map(Value::Int).ok_or_else(|| overflow(args)),
        Value::Double(n) => Ok(Value::Double(-n)),
        Value::Duration(n) => n.checked_neg().map(Value::Duration).ok_or_else(|| overflow(args)),
        _ => Err(EvalError::no_overload()),
    }
}

fn compare<'a>(args: &[Value<'a>], holds: fn(Ordering) -> bool) -> Result<Value<'a>> {
    match order(&args[0], &args[1]) {
        Some(Some(order)) => Ok(Value::Bool(holds(order))),
        Some(None) => fail("NaN values cannot be ordered"),
        None => Err(EvalError::no_overload()),
    }
}

fn add<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(|| overflow(args)),
        (Value::Uint(a), Value::Uint(b)) => a.checked_add(*b).map(Value::Uint).ok_or_else(|| overflow(args)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => Ok(Value::text([a.as_str(), b.as_str()].concat())),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes([&**a, &**b].concat().into())),
        (Value::Duration(a), Value::Duration(b)) => {
            a.checked_add(*b).map(Value::Duration).ok_or_else(|| overflow(args))
        }
        (Value::Timestamp(time), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(time)) => {
            let sum = time.checked_add(jiff::SignedDuration::from_nanos(*d));
            sum.map(Value::Timestamp).map_err(|_| overflow(args))
        }
        (Value::List(a), Value::List(b)) => join(cx, a, b),
        _ => Err(EvalError::no_overload()),
    }
}

/// Lists concatenate; sets unite, and items of list maps replace those with their keys.
fn join<'a>(cx: &mut Context<'_>, left: &List<'a>, right: &List<'a>) -> Result<Value<'a>> {
    cx.budget.work(4 * (left.len() + right.len()) as u64)?;
    let mut items = left.to_vec()?;
    match left.kind() {
        ListKind::Atomic => items.extend(right.to_vec()?),
        ListKind::Set => {
            for item in right.iter() {
                let item = item?;
                if !contains(&items, &item, cx.budget)? {
                    items.push(item);
                }
            }
        }
        ListKind::Map(keys) => {
            for item in right.iter() {
                let item = item?;
                let mut place = None;
                for (at, known) in items.iter().enumerate() {
                    if same_keys(known, &item, keys, cx)? {
                        place = Some(at);
                        break;
                    }
                }
                match place {
                    Some(at) => items[at] = item,
                    None => items.push(item),
                }
            }
        }
    }
    Ok(Value::list(items))
}

fn same_keys<'a>(
    left: &Value<'a>,
    right: &Value<'a>,
    keys: &[Box<str>],
    cx: &mut Context<'_>,
) -> Result<bool> {
    let key = |value: &Value<'a>, name: &str| {
        let escaped = crate::declare::escape(name).unwrap_or_default();
        crate::eval::field(value, &escaped).transpose().map(|v| v.unwrap_or(Value::Null))
    };
    for name in keys {
        if !equal(&key(left, name)?, &key(right, name)?, cx.budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn subtract<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => a.checked_sub(*b).map(Value::Int).ok_or_else(|| overflow(args)),
        (Value::Uint(a), Value::Uint(b)) => a.checked_sub(*b).map(Value::Uint).ok_or_else(|| overflow(args)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => {
            a.checked_sub(*b).map(Value::Duration).ok_or_else(|| overflow(args))
        }
        (Value::Timestamp(a), Value::Duration(b)) => {
            let difference = a.checked_sub(jiff::SignedDuration::from_nanos(*b));
            difference.map(Value::Timestamp).map_err(|_| overflow(args))
        }
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            let nanoseconds = a.as_nanosecond() - b.as_nanosecond();
            i64::try_from(nanoseconds).map(Value::Duration).map_err(|_| overflow(args))
        }
        _ => Err(EvalError::no_overload()),
    }
}

fn multiply<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => a.checked_mul(*b).map(Value::Int).ok_or_else(|| overflow(args)),
        (Value::Uint(a), Value::Uint(b)) => a.checked_mul(*b).map(Value::Uint).ok_or_else(|| overflow(args)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        _ => Err(EvalError::no_overload()),
    }
}

fn divide<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match (&args[0], &args[1]) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => fail("division by zero"),
        (Value::Int(a), Value::Int(b)) => a.checked_div(*b).map(Value::Int).ok_or_else(|| overflow(args)),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a / b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        _ => Err(EvalError::no_overload()),
    }
}

fn modulo<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match (&args[0], &args[1]) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => fail("modulus by zero"),
        (Value::Int(a), Value::Int(b)) => a.checked_rem(*b).map(Value::Int).ok_or_else(|| overflow(args)),
        (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(a % b)),
        _ => Err(EvalError::no_overload()),
    }
}

fn within<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    match &args[1] {
        Value::List(list) => {
            for item in list.iter() {
                if equal(&item?, &args[0], cx.budget)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        Value::Map(map) => Ok(Value::Bool(map.get(&args[0]).is_some())),
        Value::Object(..) => {
            let name = args[0].as_str()?;
            Ok(Value::Bool(crate::eval::field(&args[1], name).is_some()))
        }
        _ => Err(EvalError::no_overload()),
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Double(n) => n.to_string(),
        other => other.type_of().to_string(),
    }
}

fn position(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        Value::Uint(n) => i64::try_from(*n).ok(),
        Value::Double(n) if n.fract() == 0.0 && n.abs() < 9e15 => Some(*n as i64),
        _ => None,
    }
}

fn at<'a>(target: &Value<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>> {
    match target {
        Value::List(list) => match position(key) {
            Some(index) => usize::try_from(index).ok().and_then(|i| list.get(i)).transpose(),
            None => fail(format!("unsupported index type '{}' in list", key.type_of())),
        },
        Value::Map(map) => map.get(key).transpose(),
        Value::Object(..) | Value::Struct(_) => crate::eval::field(target, key.as_str()?).transpose(),
        _ => Err(EvalError::no_overload()),
    }
}

fn index<'a>(target: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>> {
    if let Value::Optional(_) = target {
        return optional_index(target, key);
    }
    match (at(target, key)?, target) {
        (Some(value), _) => Ok(value),
        (None, Value::List(_)) => fail(format!("index out of bounds: {}", shown(key))),
        (None, _) => fail(format!("no such key: {}", shown(key))),
    }
}

fn optional_index<'a>(target: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>> {
    match target {
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => optional_index(inner, key),
        _ => at(target, key).map(Value::optional),
    }
}
