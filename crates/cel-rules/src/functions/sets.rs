//! Lists as sets.

use crate::compare::contains;
use crate::error::Result;
use crate::library::{Context, Library};
use crate::value::Value;

pub(super) fn register(library: &mut Library) {
    library.add(&["sets.contains(list<A>, list<A>): bool"], |cx, args| {
        within(cx, &args[1], &args[0]).map(Value::Bool)
    });
    library.add(&["sets.equivalent(list<A>, list<A>): bool"], |cx, args| {
        Ok(Value::Bool(within(cx, &args[0], &args[1])? && within(cx, &args[1], &args[0])?))
    });
    library.add(&["sets.intersects(list<A>, list<A>): bool"], |cx, args| {
        let right = args[1].as_list()?.to_vec()?;
        for item in args[0].as_list()?.iter() {
            if contains(&right, &item?, cx.budget)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    });
}

fn within<'a>(cx: &mut Context<'_>, part: &Value<'a>, whole: &Value<'a>) -> Result<bool> {
    let whole = whole.as_list()?.to_vec()?;
    for item in part.as_list()?.iter() {
        if !contains(&whole, &item?, cx.budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}
