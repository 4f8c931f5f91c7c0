//! `'%d of %s'.format([a, b])` whose text and arguments are literals: what would go wrong is told beforehand.

use crate::ast::{Expr, Kind, Literal};
use crate::error::Issue;
use crate::functions::clause::{Clause, Takes, next_clause};
use crate::types::Type;

/// What is wrong with a call of `format`, if that can be told.
pub(crate) fn wrong(types: &[Type], call: &Expr, target: &Expr, args: &[Expr]) -> Option<Issue> {
    let (Kind::Literal(Literal::String(text)), [Expr { kind: Kind::List(items), .. }]) = (&target.kind, args)
    else {
        return None;
    };
    let at_call = |message: String| Some(Issue { at: call.at, message });
    let mut rest: &str = text;
    let mut asked = 0;
    while let Some(start) = rest.find('%') {
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return at_call("unexpected end of string".into());
        }
        let Some((item, _)) = items.get(asked) else {
            return at_call(format!("index {asked} out of range"));
        };
        asked += 1;
        let (clause, after) = match next_clause(rest) {
            Ok(found) => found,
            Err(why) => return at_call(format!("could not parse formatting clause: {why}")),
        };
        if let Some((at, why)) = refused(types, item, &clause) {
            return Some(Issue { at, message: format!("error during formatting: {why}") });
        }
        rest = after;
    }
    if items.len() > asked {
        let message =
            format!("too many arguments supplied to string.format (expected {asked}, got {})", items.len());
        return at_call(message);
    }
    None
}

/// Where and why a clause does not take an argument.
fn refused(types: &[Type], item: &Expr, clause: &Clause) -> Option<(u32, String)> {
    let own = |item: &Expr| {
        let ty = types.get(item.id as usize)?;
        let known = !matches!(ty, Type::Dyn);
        (known && !takes(clause.takes, ty)).then(|| (item.at, clause.takes.refusal(ty.name())))
    };
    if let Some(found) = own(item) {
        return Some(found);
    }
    // Of text, the parts matter too.
    match &item.kind {
        Kind::List(items) if clause.takes == Takes::Text => {
            items.iter().find_map(|(item, _)| refused(types, item, clause))
        }
        Kind::Map(entries) if clause.takes == Takes::Text => entries.iter().find_map(|entry| {
            refused(types, &entry.key, clause).or_else(|| refused(types, &entry.value, clause))
        }),
        _ => None,
    }
}

fn takes(takes: Takes, ty: &Type) -> bool {
    let whole = matches!(ty, Type::Int | Type::Uint);
    match takes {
        Takes::Text => !matches!(ty, Type::Struct(_) | Type::Opaque(_) | Type::Optional(_) | Type::Error),
        Takes::Decimal | Takes::Octal => whole,
        Takes::Fixed | Takes::Scientific => matches!(ty, Type::Double | Type::String),
        Takes::Binary => whole || *ty == Type::Bool,
        Takes::Hex => whole || matches!(ty, Type::String | Type::Bytes),
    }
}
