//! Conversions of constants: they are made when an expression is compiled, which fails where they do.

use crate::ast::{Expr, Kind, Literal};
use crate::budget::{Budget, PER_CALL_LIMIT};
use crate::library::{Context, Library};
use crate::value::Value;
use std::collections::HashMap;

const CONVERSIONS: [&str; 9] =
    ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "uint"];

/// What is wrong with the first conversion that fails.
pub(crate) fn wrong(expr: &Expr) -> Option<String> {
    constant(expr).err()
}

/// The value of a constant; `None` for what is none.
fn constant<'a>(expr: &'a Expr) -> Result<Option<Value<'a>>, String> {
    let parts = |parts: &mut dyn Iterator<Item = &'a Expr>| {
        for part in parts {
            constant(part)?;
        }
        Ok(None)
    };
    match &expr.kind {
        Kind::Literal(literal) => Ok(Some(value(literal))),
        Kind::Ident(_) => Ok(None),
        Kind::Select { operand, .. } => constant(operand).map(|_| None),
        Kind::Call { function, target: None, args }
            if args.len() == 1 && CONVERSIONS.contains(&&**function) =>
        {
            constant(&args[0])?.map(|value| converted(function, value)).transpose()
        }
        Kind::Call { target, args, .. } => parts(&mut target.as_deref().into_iter().chain(args)),
        Kind::List(items) => parts(&mut items.iter().map(|(item, _)| item)),
        Kind::Map(entries) => parts(&mut entries.iter().flat_map(|entry| [&entry.key, &entry.value])),
        Kind::Struct { fields, .. } => parts(&mut fields.iter().map(|field| &field.value)),
        Kind::Fold(fold) => {
            parts(&mut [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result].into_iter())
        }
    }
}

fn value(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(n) => Value::Int(*n),
        Literal::Uint(n) => Value::Uint(*n),
        Literal::Double(n) => Value::Double(*n),
        Literal::String(text) => Value::text(&**text),
        Literal::Bytes(bytes) => Value::Bytes(bytes.as_ref().into()),
    }
}

fn converted<'a>(function: &str, value: Value<'a>) -> Result<Value<'a>, String> {
    let mut budget = Budget::new(PER_CALL_LIMIT);
    let patterns = HashMap::new();
    let mut context = Context { patterns: &patterns, budget: &mut budget, authorizer: None };
    let overload = Library::kubernetes().overloads(function).first();
    match overload {
        Some(overload) => (overload.run)(&mut context, &[value]).map_err(|error| error.message),
        None => Ok(value),
    }
}
