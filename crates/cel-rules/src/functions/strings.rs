//! Functions of text.

use super::fail;
use crate::error::Result;
use crate::library::{Context, Library};
use crate::value::Value;

pub(super) fn register(library: &mut Library) {
    library.add(&["string->contains(string): bool"], |_, a| both(a, |s, t| s.contains(t)));
    library.add(&["string->startsWith(string): bool"], |_, a| both(a, |s, t| s.starts_with(t)));
    library.add(&["string->endsWith(string): bool"], |_, a| both(a, |s, t| s.ends_with(t)));
    library.add(&["string->charAt(int): string"], char_at);
    library
        .add(&["string->lowerAscii(): string"], |_, a| Ok(Value::text(a[0].as_str()?.to_ascii_lowercase())));
    library
        .add(&["string->upperAscii(): string"], |_, a| Ok(Value::text(a[0].as_str()?.to_ascii_uppercase())));
    library.add(&["string->trim(): string"], |_, a| Ok(Value::text(a[0].as_str()?.trim())));
    library.add(&["string->substring(int): string", "string->substring(int, int): string"], substring);
    library.add(
        &["string->replace(string, string): string", "string->replace(string, string, int): string"],
        replace,
    );
    library.add(&["string->split(string): list<string>", "string->split(string, int): list<string>"], split);
    library.add(&["list<string>->join(): string", "list<string>->join(string): string"], join);
    library.add(&["string->indexOf(string): int", "string->indexOf(string, int): int"], index_of);
    library
        .add(&["string->lastIndexOf(string): int", "string->lastIndexOf(string, int): int"], last_index_of);
    library.add(&["strings.quote(string): string"], |_, a| Ok(Value::text(quote(a[0].as_str()?))));
    library.add(&["jsonpatch.escapeKey(string): string"], |_, a| {
        Ok(Value::text(a[0].as_str()?.replace('~', "~0").replace('/', "~1")))
    });
}

fn both<'a>(args: &[Value<'a>], holds: fn(&str, &str) -> bool) -> Result<Value<'a>> {
    Ok(Value::Bool(holds(args[0].as_str()?, args[1].as_str()?)))
}

/// Where character `index` starts; the end for the index after the last.
fn offset(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    if text.is_ascii() {
        return (index <= text.len()).then_some(index);
    }
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

fn out_of_range<T>(index: i64) -> Result<T> {
    fail(format!("index out of range: {index}"))
}

/// There is nothing behind the end; before the start there cannot be.
fn beyond<'a>(index: i64) -> Result<Value<'a>> {
    if index < 0 { out_of_range(index) } else { Ok(Value::Int(-1)) }
}

fn char_at<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, index) = (args[0].as_str()?, args[1].as_int()?);
    match offset(text, index) {
        Some(at) => Ok(Value::text(text[at..].chars().next().map(String::from).unwrap_or_default())),
        None => out_of_range(index),
    }
}

fn substring<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, start) = (args[0].as_str()?, args[1].as_int()?);
    let Some(from) = offset(text, start) else { return out_of_range(start) };
    let Some(end) = args.get(2).map(Value::as_int).transpose()? else {
        return Ok(Value::text(&text[from..]));
    };
    let Some(to) = offset(text, end) else { return out_of_range(end) };
    if from > to {
        return fail(format!("invalid substring range. start: {start}, end: {end}"));
    }
    Ok(Value::text(&text[from..to]))
}

fn replace<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, from, to) = (args[0].as_str()?, args[1].as_str()?, args[2].as_str()?);
    let limit = args.get(3).map(Value::as_int).transpose()?.unwrap_or(-1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = text.matches(from).take(limit).count() as u64;
    cx.budget.work(found.saturating_mul(to.len() as u64))?;
    Ok(Value::text(text.replacen(from, to, limit)))
}

fn split<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, separator) = (args[0].as_str()?, args[1].as_str()?);
    let limit = args.get(2).map(Value::as_int).transpose()?.unwrap_or(-1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    cx.budget.work(text.len() as u64)?;
    if limit == 0 {
        return Ok(Value::list(vec![]));
    }
    if separator.is_empty() {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if parts.len() + 1 == limit {
                parts.push(Value::text(rest));
                break;
            }
            parts.push(Value::text(&rest[..c.len_utf8()]));
            rest = &rest[c.len_utf8()..];
        }
        return Ok(Value::list(parts));
    }
    Ok(Value::list(text.splitn(limit, separator).map(Value::text).collect()))
}

fn join<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let separator = args.get(1).map(Value::as_str).transpose()?.unwrap_or("");
    let mut out = String::new();
    for (index, item) in args[0].as_list()?.iter().enumerate() {
        let item = item?;
        let part = item.as_str()?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(part);
        cx.budget.work((part.len() + separator.len()) as u64)?;
    }
    Ok(Value::text(out))
}

fn index_of<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, part) = (args[0].as_str()?, args[1].as_str()?);
    let start = args.get(2).map(Value::as_int).transpose()?.unwrap_or(0);
    if part.is_empty() {
        return Ok(Value::Int(start));
    }
    let Some(from) = offset(text, start) else { return beyond(start) };
    let found = text[from..].find(part).map(|at| text[..from + at].chars().count() as i64);
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn last_index_of<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let (text, part) = (args[0].as_str()?, args[1].as_str()?);
    let end = match args.get(2).map(Value::as_int).transpose()? {
        None => text.len(),
        Some(index) if part.is_empty() => return Ok(Value::Int(index)),
        Some(index) => match offset(text, index) {
            Some(at) if at < text.len() => (at + part.len()).min(text.len()),
            _ => return beyond(index),
        },
    };
    let mut end = end;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let found = text[..end].rfind(part).map(|at| text[..at].chars().count() as i64);
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
