//! Functions of lists: Kubernetes' own and those of cel-go's extension.

use super::fail;
use crate::compare::{contains, equal, order};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::{List, Map, Value};
use std::cmp::Ordering;

macro_rules! each_type {
    ($run:expr, $library:ident, $($signature:literal),+) => {
        $library.add(&[$($signature),+], $run)
    };
}

pub(super) fn register(library: &mut Library) {
    each_type!(
        is_sorted,
        library,
        "list<int>->isSorted(): bool",
        "list<uint>->isSorted(): bool",
        "list<double>->isSorted(): bool",
        "list<bool>->isSorted(): bool",
        "list<duration>->isSorted(): bool",
        "list<timestamp>->isSorted(): bool",
        "list<string>->isSorted(): bool",
        "list<bytes>->isSorted(): bool"
    );
    each_type!(
        sum,
        library,
        "list<int>->sum(): int",
        "list<uint>->sum(): uint",
        "list<double>->sum(): double",
        "list<duration>->sum(): duration"
    );
    each_type!(
        |cx, args| extreme(cx, args, Ordering::Greater),
        library,
        "list<int>->max(): int",
        "list<uint>->max(): uint",
        "list<double>->max(): double",
        "list<bool>->max(): bool",
        "list<duration>->max(): duration",
        "list<timestamp>->max(): timestamp",
        "list<string>->max(): string",
        "list<bytes>->max(): bytes"
    );
    each_type!(
        |cx, args| extreme(cx, args, Ordering::Less),
        library,
        "list<int>->min(): int",
        "list<uint>->min(): uint",
        "list<double>->min(): double",
        "list<bool>->min(): bool",
        "list<duration>->min(): duration",
        "list<timestamp>->min(): timestamp",
        "list<string>->min(): string",
        "list<bytes>->min(): bytes"
    );
    library.add(&["list<A>->indexOf(A): int"], |cx, args| position(cx, args, false));
    library.add(&["list<A>->lastIndexOf(A): int"], |cx, args| position(cx, args, true));
    library.add(&["list<A>->slice(int, int): list<A>"], slice);
    library.add(&["list<list<A>>->flatten(): list<A>", "list<dyn>->flatten(int): list<dyn>"], flatten);
    library.add(&["lists.range(int): list<int>"], range);
    library.add(&["list<A>->distinct(): list<A>"], distinct);
    library.add(&["list<A>->reverse(): list<A>"], |cx, args| {
        let mut items = owned(cx, &args[0])?;
        items.reverse();
        Ok(Value::list(items))
    });
    library.add(&["list<A>->first(): optional<A>"], |_, args| {
        Ok(Value::optional(args[0].as_list()?.get(0).transpose()?))
    });
    library.add(&["list<A>->last(): optional<A>"], |_, args| {
        let list = args[0].as_list()?;
        Ok(Value::optional(list.len().checked_sub(1).and_then(|at| list.get(at)).transpose()?))
    });
    each_type!(
        |cx, args| sort(cx, &args[0], &args[0]),
        library,
        "list<int>->sort(): list<int>",
        "list<uint>->sort(): list<uint>",
        "list<double>->sort(): list<double>",
        "list<bool>->sort(): list<bool>",
        "list<duration>->sort(): list<duration>",
        "list<timestamp>->sort(): list<timestamp>",
        "list<string>->sort(): list<string>",
        "list<bytes>->sort(): list<bytes>"
    );
    each_type!(
        |cx, args| sort(cx, &args[0], &args[1]),
        library,
        "list<A>->@sortByAssociatedKeys(list<int>): list<A>",
        "list<A>->@sortByAssociatedKeys(list<uint>): list<A>",
        "list<A>->@sortByAssociatedKeys(list<double>): list<A>",
        "list<A>->@sortByAssociatedKeys(list<bool>): list<A>",
        "list<A>->@sortByAssociatedKeys(list<duration>): list<A>",
        "list<A>->@sortByAssociatedKeys(list<timestamp>): list<A>",
        "list<A>->@sortByAssociatedKeys(list<string>): list<A>",
        "list<A>->@sortByAssociatedKeys(list<bytes>): list<A>"
    );
    library.add(
        &["cel.@mapInsert(map<A, B>, A, B): map<A, B>", "cel.@mapInsert(map<A, B>, map<A, B>): map<A, B>"],
        map_insert,
    );
}

fn owned<'a>(cx: &mut Context<'_>, list: &Value<'a>) -> Result<Vec<Value<'a>>> {
    let list = list.as_list()?;
    cx.budget.work(4 * list.len() as u64)?;
    list.to_vec()
}

fn ordering(left: &Value<'_>, right: &Value<'_>) -> Result<Ordering> {
    match order(left, right) {
        Some(Some(order)) => Ok(order),
        _ => Err(EvalError::no_overload()),
    }
}

fn is_sorted<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let mut before: Option<Value<'a>> = None;
    for item in args[0].as_list()?.iter() {
        let item = item?;
        if let Some(before) = &before
            && ordering(before, &item)? == Ordering::Greater
        {
            return Ok(Value::Bool(false));
        }
        before = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let mut total: Option<Value<'a>> = None;
    let overflow = || EvalError::new("integer overflow");
    for item in args[0].as_list()?.iter() {
        total = Some(match (total, item?) {
            (None, item) => item,
            (Some(Value::Int(a)), Value::Int(b)) => Value::Int(a.checked_add(b).ok_or_else(overflow)?),
            (Some(Value::Uint(a)), Value::Uint(b)) => Value::Uint(a.checked_add(b).ok_or_else(overflow)?),
            (Some(Value::Double(a)), Value::Double(b)) => Value::Double(a + b),
            (Some(Value::Duration(a)), Value::Duration(b)) => {
                Value::Duration(a.checked_add(b).ok_or_else(overflow)?)
            }
            _ => return Err(EvalError::no_overload()),
        });
    }
    // The type of an empty list is not known here; an int compares with every number.
    Ok(total.unwrap_or(Value::Int(0)))
}

fn extreme<'a>(_: &mut Context<'_>, args: &[Value<'a>], wanted: Ordering) -> Result<Value<'a>> {
    let mut best: Option<Value<'a>> = None;
    for item in args[0].as_list()?.iter() {
        let item = item?;
        let better = match &best {
            None => true,
            Some(best) => ordering(&item, best)? == wanted,
        };
        if better {
            best = Some(item);
        }
    }
    let name = if wanted == Ordering::Greater { "max" } else { "min" };
    best.map_or_else(|| fail(format!("{name} called on empty list")), Ok)
}

fn position<'a>(cx: &mut Context<'_>, args: &[Value<'a>], last: bool) -> Result<Value<'a>> {
    let mut found = -1;
    for (index, item) in args[0].as_list()?.iter().enumerate() {
        if equal(&item?, &args[1], cx.budget)? {
            found = index as i64;
            if !last {
                break;
            }
        }
    }
    Ok(Value::Int(found))
}

fn slice<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let (list, start, end) = (args[0].as_list()?, args[1].as_int()?, args[2].as_int()?);
    if start < 0 || end < 0 {
        return fail(format!("cannot slice({start}, {end}), negative indexes not supported"));
    }
    if start > end {
        return fail(format!(
            "cannot slice({start}, {end}), start index must be less than or equal to end index"
        ));
    }
    if end as usize > list.len() {
        return fail(format!("cannot slice({start}, {end}), list is length {}", list.len()));
    }
    cx.budget.work(4 * (end - start) as u64)?;
    let items: Result<Vec<_>> = (start as usize..end as usize).filter_map(|at| list.get(at)).collect();
    items.map(Value::list)
}

fn flatten<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let depth = args.get(1).map(Value::as_int).transpose()?.unwrap_or(1);
    if depth < 0 {
        return fail("level must be non-negative");
    }
    let mut items = Vec::new();
    flatten_into(cx, args[0].as_list()?, depth.min(64), &mut items)?;
    Ok(Value::list(items))
}

fn flatten_into<'a>(
    cx: &mut Context<'_>,
    list: &List<'a>,
    depth: i64,
    out: &mut Vec<Value<'a>>,
) -> Result<()> {
    cx.budget.work(4 * list.len() as u64)?;
    for item in list.iter() {
        match item? {
            Value::List(inner) if depth > 0 => flatten_into(cx, &inner, depth - 1, out)?,
            item => out.push(item),
        }
    }
    Ok(())
}

fn range<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let count = args[0].as_int()?.max(0);
    // Paid in full before a single item is made.
    cx.budget.charge(count as u64)?;
    Ok(Value::list((0..count).map(Value::Int).collect()))
}

fn distinct<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let mut kept: Vec<Value<'a>> = Vec::new();
    for item in args[0].as_list()?.iter() {
        let item = item?;
        if !contains(&kept, &item, cx.budget)? {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn sort<'a>(cx: &mut Context<'_>, list: &Value<'a>, keys: &Value<'a>) -> Result<Value<'a>> {
    let (items, keys) = (owned(cx, list)?, owned(cx, keys)?);
    cx.budget.work(items.len() as u64 * u64::from(usize::BITS - items.len().leading_zeros()))?;
    let mut wrong = false;
    let mut pairs: Vec<_> = keys.into_iter().zip(items).collect();
    pairs.sort_by(|(a, _), (b, _)| {
        ordering(a, b).unwrap_or_else(|_| {
            wrong = true;
            Ordering::Equal
        })
    });
    if wrong {
        return fail("list elements must have the same type");
    }
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
}

fn map_insert<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let Value::Map(map) = &args[0] else { return Err(EvalError::no_overload()) };
    cx.budget.work(4 * map.len() as u64)?;
    let mut entries = (*map.entries()?).clone();
    match &args[1..] {
        [Value::Map(more)] => entries.extend(Map::entries(more)?.iter().map(|(k, v)| (k.clone(), v.clone()))),
        [key, value] => {
            let Some(key) = key.as_key() else { return fail("unsupported key type") };
            entries.insert(key, value.clone());
        }
        _ => return Err(EvalError::no_overload()),
    }
    Ok(Value::map(entries))
}
