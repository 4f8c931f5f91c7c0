//! Literals that must be something else as well: regular expressions, durations and timestamps in the text of an expression.

use crate::ast::{Expr, Kind, Literal};
use crate::error::Issue;
use crate::types::Type;
use regex::Regex;
use std::collections::HashMap;

/// Timestamps are of the years 1 to 9999.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

/// Walks an expression, compiles its patterns and finds what is wrong with its literals.
pub(crate) struct Validator<'t> {
    types: &'t [Type],
    pub issues: Vec<Issue>,
    pub patterns: HashMap<Box<str>, Regex>,
}

impl<'t> Validator<'t> {
    /// `types` of all parts of the expression, by id.
    pub fn new(types: &'t [Type]) -> Self {
        Self { types, issues: Vec::new(), patterns: HashMap::new() }
    }

    pub fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select { operand, .. } => self.expr(operand),
            Kind::Call { function, target, args } => {
                target.iter().for_each(|t| self.expr(t));
                args.iter().for_each(|a| self.expr(a));
                self.call(function, target.is_some(), args);
                if let ("format", Some(target)) = (&**function, target) {
                    self.issues.extend(crate::patterns::wrong(self.types, expr, target, args));
                }
            }
            Kind::List(items) => items.iter().for_each(|(item, _)| self.expr(item)),
            Kind::Map(entries) => entries.iter().for_each(|entry| {
                self.expr(&entry.key);
                self.expr(&entry.value);
            }),
            Kind::Struct { fields, .. } => fields.iter().for_each(|field| self.expr(&field.value)),
            Kind::Fold(fold) => {
                let parts = [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result];
                parts.into_iter().for_each(|e| self.expr(e));
            }
        }
    }

    fn call(&mut self, function: &str, method: bool, args: &[Expr]) {
        let text = |at: usize| match args.get(at).map(|arg| (arg, &arg.kind)) {
            Some((arg, Kind::Literal(Literal::String(text)))) => Some((arg.at, text)),
            _ => None,
        };
        match function {
            "matches" | "find" | "findAll" => {
                let Some((at, pattern)) = text(if method { 0 } else { 1 }) else { return };
                match schema::custom::go_regex(pattern) {
                    Some(regex) => drop(self.patterns.insert(pattern.clone(), regex)),
                    None => {
                        let message = "invalid matches argument".to_owned();
                        if function == "matches" {
                            self.issues.push(Issue { at, message });
                        }
                    }
                }
            }
            "duration" if !method => {
                if let Some((at, literal)) = text(0)
                    && object::time::duration::parse(literal).is_err()
                {
                    self.issues.push(Issue { at, message: "invalid duration argument".into() });
                }
            }
            "timestamp" if !method => {
                if let Some(Expr { kind: Kind::Literal(Literal::Int(seconds)), at, .. }) = args.first()
                    && !(FIRST_SECOND..=LAST_SECOND).contains(seconds)
                {
                    self.issues.push(Issue { at: *at, message: "invalid timestamp argument".into() });
                }
                if let Some((at, literal)) = text(0)
                    && literal.parse::<jiff::Timestamp>().is_err()
                {
                    self.issues.push(Issue { at, message: "invalid timestamp argument".into() });
                }
            }
            _ => {}
        }
    }
}
