//! Regular expressions: linear in their input, as Go's are.

use super::fail;
use crate::error::Result;
use crate::library::{Context, Library};
use crate::value::Value;
use regex::Regex;
use std::borrow::Cow;

pub(super) fn register(library: &mut Library) {
    library.add(&["matches(string, string): bool", "string->matches(string): bool"], |cx, args| {
        let found = pattern(cx, args[1].as_str()?)?.is_match(args[0].as_str()?);
        Ok(Value::Bool(found))
    });
    library.add(&["string->find(string): string"], |cx, args| {
        let text = args[0].as_str()?;
        let pattern = pattern(cx, args[1].as_str()?)?;
        Ok(Value::text(pattern.find(text).map_or("", |m| m.as_str())))
    });
    library.add(
        &["string->findAll(string): list<string>", "string->findAll(string, int): list<string>"],
        find_all,
    );
}

/// A pattern of the program's own text, or one to compile now.
fn pattern<'c>(cx: &mut Context<'c>, text: &str) -> Result<Cow<'c, Regex>> {
    if let Some(known) = cx.patterns.get(text) {
        return Ok(Cow::Borrowed(known));
    }
    // Compiling takes far longer than matching.
    cx.budget.charge(1000 + text.len() as u64)?;
    match schema::custom::go_regex(text) {
        Some(regex) => Ok(Cow::Owned(regex)),
        None => fail(schema::custom::go_regex_error(text).unwrap_or_else(|| "expression too large".into())),
    }
}

fn find_all<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let text = args[0].as_str()?;
    let limit = args.get(2).map(Value::as_int).transpose()?.unwrap_or(-1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let pattern = pattern(cx, args[1].as_str()?)?;
    cx.budget.work(text.len() as u64)?;
    Ok(Value::list(pattern.find_iter(text).take(limit).map(|m| Value::text(m.as_str())).collect()))
}
