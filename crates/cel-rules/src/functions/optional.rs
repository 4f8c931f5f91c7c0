//! Optional values. `or` and `orValue` are evaluated by the walker, which may leave their argument out.

use super::fail;
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;

pub(super) fn register(library: &mut Library) {
    library.add(&["optional.of(A): optional<A>"], |_, a| Ok(Value::optional(Some(a[0].clone()))));
    library.add(&["optional.ofNonZeroValue(A): optional<A>"], non_zero);
    library.add(&["optional.none(): optional<A>"], |_, _| Ok(Value::Optional(None)));
    library.add(&["optional<A>->value(): A"], |_, args| match &args[0] {
        Value::Optional(Some(value)) => Ok((**value).clone()),
        Value::Optional(None) => fail("optional.none() dereference"),
        _ => Err(EvalError::no_overload()),
    });
    library.add(&["optional<A>->hasValue(): bool"], |_, args| match &args[0] {
        Value::Optional(value) => Ok(Value::Bool(value.is_some())),
        _ => Err(EvalError::no_overload()),
    });
    fn never<'a>(_: &mut Context<'_>, _: &[Value<'a>]) -> Result<Value<'a>> {
        Err(EvalError::no_overload())
    }
    library.add(&["optional<A>->or(optional<A>): optional<A>"], never);
    library.add(&["optional<A>->orValue(A): A"], never);
    library.add(
        &["optional.unwrap(list<optional<A>>): list<A>", "list<optional<A>>->unwrapOpt(): list<A>"],
        unwrap,
    );
}

/// Go's zero time, 0001-01-01T00:00:00Z.
const ZERO_TIME: i64 = -62_135_596_800;

fn non_zero<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let zero = match &args[0] {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(n) => *n == 0.0,
        Value::Timestamp(time) => time.as_second() == ZERO_TIME,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Object(map, _) => map.is_empty(),
        Value::Struct(made) => made.fields.is_empty(),
        _ => false,
    };
    Ok(Value::optional((!zero).then(|| args[0].clone())))
}

fn unwrap<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let list = args[0].as_list()?;
    cx.budget.work(list.len() as u64)?;
    let mut kept = Vec::new();
    for item in list.iter() {
        match item? {
            Value::Optional(Some(value)) => kept.push((*value).clone()),
            Value::Optional(None) => {}
            _ => return Err(EvalError::no_overload()),
        }
    }
    Ok(Value::list(kept))
}
