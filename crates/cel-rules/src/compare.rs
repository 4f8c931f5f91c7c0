//! Equality and order of values. Numbers compare across their types; comparing large values has its price.

use crate::budget::Budget;
use crate::error::Result;
use crate::types::{ListKind, Shape};
use crate::value::{List, Map, Value};
use std::cmp::Ordering;

/// `left == right`
pub(crate) fn equal<'a>(left: &Value<'a>, right: &Value<'a>, budget: &mut Budget) -> Result<bool> {
    use Value::*;
    budget.work(1)?;
    Ok(match (left, right) {
        (Null, Null) => true,
        (Bool(a), Bool(b)) => a == b,
        (Int(_) | Uint(_) | Double(_), Int(_) | Uint(_) | Double(_)) => {
            numbers(left, right) == Some(Ordering::Equal)
        }
        (String(a), String(b)) => {
            budget.work((a.len().min(b.len()) / 64) as u64)?;
            a.as_str() == b.as_str()
        }
        (Bytes(a), Bytes(b)) => a == b,
        (Timestamp(a), Timestamp(b)) => a == b,
        (Duration(a), Duration(b)) => a == b,
        (Type(a), Type(b)) => a == b,
        (List(a), List(b)) => lists(a, b, budget)?,
        (Map(a), Map(b)) => maps(a, b, budget)?,
        (Object(a, da), Object(b, db)) => {
            let Shape::Object(fields) = &da.shape else { return Ok(false) };
            if da.ty != db.ty {
                return Ok(false);
            }
            for field in fields.fields.values() {
                let same = match (a.get(&*field.json), b.get(&*field.json)) {
                    (None, None) => true,
                    (Some(x), Some(y)) => {
                        equal(&Value::from_json(x, &field.decl)?, &Value::from_json(y, &field.decl)?, budget)?
                    }
                    _ => false,
                };
                if !same {
                    return Ok(false);
                }
            }
            true
        }
        (Struct(a), Struct(b)) => {
            if a.name != b.name || a.fields.len() != b.fields.len() {
                return Ok(false);
            }
            for (name, value) in &a.fields {
                let Some(other) = b.fields.get(name) else { return Ok(false) };
                if !equal(value, other, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        (Optional(None), Optional(None)) => true,
        (Optional(Some(a)), Optional(Some(b))) => equal(a, b, budget)?,
        (Extension(a), Extension(b)) => a.equals(b),
        _ => false,
    })
}

fn lists<'a>(left: &List<'a>, right: &List<'a>, budget: &mut Budget) -> Result<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    match left.kind() {
        ListKind::Atomic => {
            for index in 0..left.len() {
                let (Some(a), Some(b)) = (left.get(index), right.get(index)) else { return Ok(false) };
                if !equal(&a?, &b?, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        ListKind::Set | ListKind::Map(_) => {
            let right = right.to_vec()?;
            for item in left.iter() {
                if !contains(&right, &item?, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// `item in items`
pub(crate) fn contains<'a>(items: &[Value<'a>], item: &Value<'a>, budget: &mut Budget) -> Result<bool> {
    for candidate in items {
        if equal(candidate, item, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn maps<'a>(left: &Map<'a>, right: &Map<'a>, budget: &mut Budget) -> Result<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for key in left.keys() {
        let (Some(a), Some(b)) = (left.get(&key), right.get(&key)) else { return Ok(false) };
        if !equal(&a?, &b?, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    use Value::*;
    match (left, right) {
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (Uint(a), Uint(b)) => Some(a.cmp(b)),
        (Int(a), Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Uint(a), Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Double(a), Double(b)) => a.partial_cmp(b),
        (Double(a), Int(b)) => double(*a, i128::from(*b)),
        (Double(a), Uint(b)) => double(*a, i128::from(*b)),
        (Int(a), Double(b)) => double(*b, i128::from(*a)).map(Ordering::reverse),
        (Uint(a), Double(b)) => double(*b, i128::from(*a)).map(Ordering::reverse),
        _ => None,
    }
}

fn double(left: f64, right: i128) -> Option<Ordering> {
    if left.is_nan() {
        return None;
    }
    if left.abs() > 1e20 {
        return Some(if left > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    let whole = left.trunc() as i128;
    Some(whole.cmp(&right).then(left.fract().partial_cmp(&0.0)?))
}

/// How two values are ordered; `None` for values that have no order.
pub(crate) fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    use Value::*;
    Some(match (left, right) {
        (Bool(a), Bool(b)) => Some(a.cmp(b)),
        (Int(_) | Uint(_) | Double(_), Int(_) | Uint(_) | Double(_)) => numbers(left, right),
        (String(a), String(b)) => Some(a.as_str().cmp(b.as_str())),
        (Bytes(a), Bytes(b)) => Some(a.cmp(b)),
        (Timestamp(a), Timestamp(b)) => Some(a.cmp(b)),
        (Duration(a), Duration(b)) => Some(a.cmp(b)),
        _ => return None,
    })
}
