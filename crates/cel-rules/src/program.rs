//! A compiled expression: checked once, evaluated as often as needed, by many threads at once.

use crate::authorizer::Authorizer;
use crate::budget::Budget;
use crate::check::{Checked, check};
use crate::environment::Environment;
use crate::error::{CompileError, Result};
use crate::eval::Evaluation;
use crate::parser::parse;
use crate::types::Type;
use crate::value::Value;
use regex::Regex;
use std::collections::HashMap;

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    pub(crate) checked: Checked,
    result: Type,
    /// Regular expressions that stand in the expression, compiled.
    pub(crate) patterns: HashMap<Box<str>, Regex>,
}

/// What variables stand for in an evaluation.
pub trait Activation<'a> {
    /// The value of a variable; `None` if there is none of that name. May itself evaluate, at the cost of `budget`.
    fn variable(&self, name: &str, budget: &mut Budget) -> Option<Result<Value<'a>>>;

    /// Answers `authorizer` questions.
    fn authorizer(&self) -> Option<&dyn Authorizer> {
        None
    }
}

/// Variables in a list.
impl<'a> Activation<'a> for Vec<(&str, Value<'a>)> {
    fn variable(&self, name: &str, _: &mut Budget) -> Option<Result<Value<'a>>> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| Ok(value.clone()))
    }
}

impl Program {
    /// Compiles `text`.
    ///
    /// # Errors
    /// When it is malformed or wrongly typed, in the words of cel-go.
    pub fn compile(text: &str, environment: &Environment) -> std::result::Result<Self, CompileError> {
        let checked = check(text, parse(text)?, environment)?;
        let mut validator = crate::literals::Validator::new(&checked.types);
        validator.expr(&checked.root);
        validator.issues.extend(checked.mixtures.iter().cloned());
        if !validator.issues.is_empty() {
            return Err(CompileError::new(text, validator.issues));
        }
        if let Some(text) = crate::constants::wrong(&checked.root) {
            return Err(CompileError { text, is_unrunnable: true });
        }
        let result = checked.types[checked.root.id as usize].clone();
        let patterns = validator.patterns;
        Ok(Self { checked, result, patterns })
    }

    /// The type it evaluates to.
    pub fn result_type(&self) -> &Type {
        &self.result
    }

    /// Gives up the types of its parts: only estimates of cost need them.
    pub(crate) fn forget_types(&mut self) {
        self.checked.types = Vec::new();
    }

    /// The variables it uses, by the names they are declared with.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.checked.variables.iter().map(|name| &**name)
    }

    /// Whether it uses this variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.checked.variables.iter().any(|v| **v == *variable)
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    /// When it goes wrong or costs more than `budget` has.
    pub fn evaluate<'a>(&'a self, activation: &dyn Activation<'a>, budget: &mut Budget) -> Result<Value<'a>> {
        Evaluation::new(self, activation, budget).run()
    }
}
