//! Walks a checked expression. Costs are counted as cel-go counts them.

use crate::ast::{Expr, Fold, Init, Kind, Literal};
use crate::budget::Budget;
use crate::check::type_named;
use crate::cost::call_cost;
use crate::error::{EvalError, EvalErrorKind, Result};
use crate::library::{Context, Library};
use crate::program::{Activation, Program};
use crate::types::Type;
use crate::value::{Key, List, Map, Struct, Text, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;
const STRUCT_COST: u64 = 40;

/// One evaluation of a program.
pub(crate) struct Evaluation<'e, 'a> {
    program: &'a Program,
    activation: &'e dyn Activation<'a>,
    budget: &'e mut Budget,
    /// Variables of comprehensions, innermost last. An accumulator may hold an error that a later item absorbs.
    locals: Vec<(&'a str, Result<Value<'a>>)>,
}

impl<'e, 'a> Evaluation<'e, 'a> {
    pub fn new(program: &'a Program, activation: &'e dyn Activation<'a>, budget: &'e mut Budget) -> Self {
        Self { program, activation, budget, locals: Vec::new() }
    }

    pub fn run(mut self) -> Result<Value<'a>> {
        self.eval(&self.program.checked.root)
    }

    fn eval(&mut self, expr: &'a Expr) -> Result<Value<'a>> {
        match &expr.kind {
            Kind::Literal(literal) => Ok(constant(literal)),
            Kind::Ident(name) => self.ident(name),
            Kind::Select { operand, field, test } => self.select(operand, field, *test),
            Kind::Call { function, target, args } => self.call(expr, function, target.as_deref(), args),
            Kind::List(items) => self.list(items),
            Kind::Map(_) => self.map(expr),
            Kind::Struct { name, fields } => self.structure(name, fields),
            Kind::Fold(fold) => self.fold(fold),
        }
    }

    #[inline(never)]
    fn ident(&mut self, name: &'a str) -> Result<Value<'a>> {
        self.budget.charge(1)?;
        if let Some((_, value)) = self.locals.iter().rev().find(|(n, _)| *n == name) {
            return value.clone();
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(value) = self.activation.variable(name, self.budget) {
            return value;
        }
        match type_named(name) {
            Some(ty) => Ok(Value::Type(ty)),
            None => Err(EvalError::new(format!("no such attribute(s): {name}"))),
        }
    }

    #[inline(never)]
    fn select(&mut self, operand: &'a Expr, field: &'a str, test: bool) -> Result<Value<'a>> {
        let target = self.eval(operand)?;
        if test {
            return has(&target, field).map(Value::Bool);
        }
        self.budget.charge(1)?;
        select(&target, field)
    }

    #[inline(never)]
    fn call(
        &mut self,
        expr: &'a Expr,
        function: &'a str,
        target: Option<&'a Expr>,
        args: &'a [Expr],
    ) -> Result<Value<'a>> {
        match function {
            "_&&_" => return self.logic(args, false),
            "_||_" => return self.logic(args, true),
            "_?_:_" => {
                let branch = if self.eval(&args[0])?.as_bool()? { 1 } else { 2 };
                return self.eval(&args[branch]);
            }
            "@not_strictly_false" => {
                let value = self.eval(&args[0]);
                self.budget.charge(1)?;
                return match value {
                    Err(error) if error.kind == EvalErrorKind::Cost => Err(error),
                    Ok(Value::Bool(false)) => Ok(Value::Bool(false)),
                    _ => Ok(Value::Bool(true)),
                };
            }
            "_?._" => {
                let target = self.eval(&args[0])?;
                self.budget.charge(1)?;
                let Kind::Literal(Literal::String(field)) = &args[1].kind else {
                    return Err(EvalError::no_overload());
                };
                return optional_select(&target, field);
            }
            // `or` and `orValue` look at their argument only when they need it.
            "or" | "orValue" if target.is_some() && args.len() == 1 => {
                return self.or(function, target, &args[0]);
            }
            _ => {}
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in target.into_iter().chain(args) {
            values.push(self.eval(arg)?);
        }
        self.dispatch(expr, function, &values)
    }

    fn or(&mut self, function: &str, target: Option<&'a Expr>, arg: &'a Expr) -> Result<Value<'a>> {
        let Some(target) = target else { return Err(EvalError::no_overload()) };
        let target = self.eval(target)?;
        self.budget.charge(1)?;
        match target {
            Value::Optional(Some(value)) if function == "orValue" => Ok((*value).clone()),
            Value::Optional(Some(_)) => Ok(target),
            Value::Optional(None) => self.eval(arg),
            _ => Err(EvalError::no_overload()),
        }
    }

    fn dispatch(&mut self, expr: &'a Expr, function: &str, values: &[Value<'a>]) -> Result<Value<'a>> {
        let overloads = Library::kubernetes().overloads(function);
        let candidates = &self.program.checked.overloads[expr.id as usize];
        let chosen = candidates.iter().filter_map(|index| overloads.get(*index as usize)).find(|overload| {
            overload.params.len() == values.len()
                && overload.params.iter().zip(values).all(|(ty, value)| takes(ty, value))
        });
        let Some(overload) = chosen else {
            return Err(match function {
                // Only here does cel-go name the function.
                "size" => EvalError::new("no such overload: size"),
                _ => EvalError::no_overload(),
            });
        };
        let mut context = Context {
            patterns: &self.program.patterns,
            budget: self.budget,
            authorizer: self.activation.authorizer(),
        };
        // What does not depend on the result is paid before the work is done.
        let before = call_cost(function, overload.method, values, None);
        context.budget.charge(before.unwrap_or(0))?;
        let result = (overload.run)(&mut context, values)?;
        if before.is_none() {
            let after = call_cost(function, overload.method, values, Some(&result)).unwrap_or(1);
            self.budget.charge(after)?;
        }
        Ok(result)
    }

    /// `&&` and `||`: one operand that decides makes up for others that went wrong.
    #[inline(never)]
    fn logic(&mut self, args: &'a [Expr], decides: bool) -> Result<Value<'a>> {
        let mut failure = None;
        for arg in args {
            match self.eval(arg) {
                Ok(Value::Bool(b)) if b == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failure = failure.or(Some(EvalError::no_overload())),
                Err(error) if error.kind == EvalErrorKind::Cost => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decides)), Err)
    }

    #[inline(never)]
    fn list(&mut self, items: &'a [(Expr, bool)]) -> Result<Value<'a>> {
        let mut made = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match (self.eval(item)?, optional) {
                (value, false) => made.push(value),
                (Value::Optional(Some(value)), true) => made.push((*value).clone()),
                (Value::Optional(None), true) => {}
                (_, true) => return Err(EvalError::no_overload()),
            }
        }
        self.budget.charge(LIST_COST)?;
        Ok(Value::list(made))
    }

    #[inline(never)]
    fn map(&mut self, expr: &'a Expr) -> Result<Value<'a>> {
        let Kind::Map(entries) = &expr.kind else { return Err(EvalError::no_overload()) };
        let mut made = BTreeMap::new();
        for entry in entries {
            let key = self.eval(&entry.key)?;
            let key = match key {
                Value::Double(_) => None,
                key => key.as_key(),
            };
            let Some(key) = key else { return Err(EvalError::new("unsupported key type")) };
            let value = match (self.eval(&entry.value)?, entry.optional) {
                (value, false) => value,
                (Value::Optional(Some(value)), true) => (*value).clone(),
                (Value::Optional(None), true) => continue,
                _ => return Err(EvalError::no_overload()),
            };
            if let Some(key) = insert(&mut made, key, value) {
                return Err(EvalError::new(format!("Failed with repeated key {key}")));
            }
        }
        self.budget.charge(MAP_COST)?;
        Ok(Value::map(made))
    }

    #[inline(never)]
    fn structure(&mut self, name: &'a str, fields: &'a [Init]) -> Result<Value<'a>> {
        let mut made = BTreeMap::new();
        for field in fields {
            let value = match (self.eval(&field.value)?, field.optional) {
                (value, false) => value,
                (Value::Optional(Some(value)), true) => (*value).clone(),
                (Value::Optional(None), true) => continue,
                _ => return Err(EvalError::no_overload()),
            };
            made.insert(field.field.clone(), value);
        }
        self.budget.charge(STRUCT_COST)?;
        Ok(Value::Struct(Arc::new(Struct { name: name.into(), fields: made })))
    }

    #[inline(never)]
    fn fold(&mut self, fold: &'a Fold) -> Result<Value<'a>> {
        let range = self.eval(&fold.range)?;
        let init = self.eval(&fold.init)?;
        let slot = self.locals.len();
        self.locals.push((&fold.accumulator, Ok(init)));
        let looped = self.turns(fold, &range, slot);
        self.locals.truncate(slot + 1);
        let result = looped.and_then(|()| self.eval(&fold.result));
        self.locals.truncate(slot);
        result
    }

    fn turns(&mut self, fold: &'a Fold, range: &Value<'a>, slot: usize) -> Result<()> {
        let (keys, list) = match range {
            Value::List(list) => (None, Some(list)),
            Value::Map(map) => {
                self.budget.work(map.len() as u64)?;
                (Some((map.keys(), map)), None)
            }
            other => {
                let message = format!("got '{}', expected iterable type", other.go_type());
                return Err(EvalError::new(message));
            }
        };
        let count = keys.as_ref().map_or_else(|| list.map_or(0, List::len), |(keys, _)| keys.len());
        for index in 0..count {
            self.locals.truncate(slot + 1);
            let missing = || Err(EvalError::new(format!("index out of bounds: {index}")));
            let (first, second) = match (&keys, list) {
                (Some((keys, map)), _) => {
                    let value = fold.second.as_ref().map(|_| map.get(&keys[index]).unwrap_or_else(missing));
                    (Ok(keys[index].clone()), value)
                }
                (None, Some(list)) => {
                    let item = list.get(index).unwrap_or_else(missing);
                    match fold.second {
                        Some(_) => (Ok(Value::Int(index as i64)), Some(item)),
                        None => (item, None),
                    }
                }
                _ => return Ok(()),
            };
            self.locals.push((&fold.variable, first));
            if let (Some(name), Some(value)) = (&fold.second, second) {
                self.locals.push((name, value));
            }
            if !self.eval(&fold.condition)?.as_bool()? {
                return Ok(());
            }
            self.step(&fold.step, slot)?;
        }
        Ok(())
    }

    /// Brings the accumulator in `slot` forward. What grows a list or map does so in place.
    fn step(&mut self, step: &'a Expr, slot: usize) -> Result<()> {
        let name = self.locals[slot].0;
        let is_accumulator = |e: &Expr| matches!(&e.kind, Kind::Ident(n) if **n == *name);
        if let Kind::Call { function, args, .. } = &step.kind {
            match (&**function, args.as_slice()) {
                ("_?_:_", [condition, yes, no]) if is_accumulator(no) => {
                    return match self.eval(condition).and_then(|v| v.as_bool()) {
                        Ok(true) => self.step(yes, slot),
                        Ok(false) => self.budget.charge(1),
                        Err(error) => self.settle(slot, Err(error)),
                    };
                }
                ("_+_", [left, Expr { kind: Kind::List(items), .. }])
                    if is_accumulator(left)
                        && matches!(self.locals[slot].1, Ok(Value::List(List::Items(_)))) =>
                {
                    self.budget.charge(2)?;
                    let added = match self.list(items) {
                        Ok(Value::List(added)) => added.to_vec(),
                        Ok(_) => Err(EvalError::no_overload()),
                        Err(error) => Err(error),
                    };
                    let added = match added {
                        Ok(added) => added,
                        Err(error) => return self.settle(slot, Err(error)),
                    };
                    if let Ok(Value::List(List::Items(grown))) = &mut self.locals[slot].1 {
                        Arc::make_mut(grown).extend(added);
                    }
                    return Ok(());
                }
                ("cel.@mapInsert", [left, rest @ ..]) if is_accumulator(left) => {
                    return self.insert(rest, slot);
                }
                _ => {}
            }
        }
        let value = self.eval(step);
        self.settle(slot, value)
    }

    fn insert(&mut self, args: &'a [Expr], slot: usize) -> Result<()> {
        self.budget.charge(2)?;
        let mut values = Vec::new();
        for arg in args {
            match self.eval(arg) {
                Ok(value) => values.push(value),
                Err(error) => return self.settle(slot, Err(error)),
            }
        }
        let added: Result<Vec<(Key, Value<'a>)>> = match values.as_slice() {
            [Value::Map(map)] => {
                map.entries().map(|m| m.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            }
            [key, value] => key.as_key().map(|k| vec![(k, value.clone())]).ok_or_else(EvalError::no_overload),
            _ => Err(EvalError::no_overload()),
        };
        let added = match added {
            Ok(added) => added,
            Err(error) => return self.settle(slot, Err(error)),
        };
        self.budget.work(added.len() as u64)?;
        let mut repeated = None;
        if let Ok(Value::Map(Map::Entries(grown))) = &mut self.locals[slot].1 {
            let grown = Arc::make_mut(grown);
            for (key, value) in added {
                repeated = repeated.or(insert(grown, key, value));
            }
        }
        match repeated {
            Some(key) => {
                let error = EvalError::new(format!("insert failed: key {key} already exists"));
                self.settle(slot, Err(error))
            }
            None => Ok(()),
        }
    }

    fn settle(&mut self, slot: usize, value: Result<Value<'a>>) -> Result<()> {
        if let Err(error) = &value
            && error.kind == EvalErrorKind::Cost
        {
            return Err(error.clone());
        }
        self.locals[slot].1 = value;
        Ok(())
    }
}

/// Inserts what is not there yet; otherwise gives the key, spelled.
fn insert<'a>(map: &mut BTreeMap<Key, Value<'a>>, key: Key, value: Value<'a>) -> Option<String> {
    if map.contains_key(&key) {
        return Some(match key {
            Key::Bool(b) => b.to_string(),
            Key::Int(n) => n.to_string(),
            Key::Uint(n) => n.to_string(),
            Key::String(text) => text.into(),
        });
    }
    map.insert(key, value);
    None
}

fn constant(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(n) => Value::Int(*n),
        Literal::Uint(n) => Value::Uint(*n),
        Literal::Double(n) => Value::Double(*n),
        Literal::String(text) => Value::String(Text::Borrowed(text)),
        Literal::Bytes(bytes) => Value::Bytes((**bytes).into()),
    }
}

/// The field of a value, `None` if it is not set.
pub(crate) fn field<'a>(target: &Value<'a>, name: &str) -> Option<Result<Value<'a>>> {
    match target {
        Value::Object(map, decl) => match decl.field(name) {
            Some(field) => Some(Value::from_json(map.get(&*field.json)?, &field.decl)),
            None => None,
        },
        Value::Map(map) => map.get(&Value::text(name)),
        Value::Struct(made) => made.fields.get(name).cloned().map(Ok),
        _ => Some(Err(EvalError::no_overload())),
    }
}

fn no_such_key<T>(name: &str) -> Result<T> {
    Err(EvalError::new(format!("no such key: {name}")))
}

fn select<'a>(target: &Value<'a>, name: &str) -> Result<Value<'a>> {
    match target {
        Value::Optional(_) => optional_select(target, name),
        _ => field(target, name).unwrap_or_else(|| no_such_key(name)),
    }
}

fn has(target: &Value<'_>, name: &str) -> Result<bool> {
    match target {
        Value::Optional(Some(inner)) => has(inner, name),
        Value::Optional(None) => Ok(false),
        _ => match field(target, name) {
            None => Ok(false),
            Some(Ok(Value::Null)) => Ok(!matches!(target, Value::Object(..))),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(error),
        },
    }
}

fn optional_select<'a>(target: &Value<'a>, name: &str) -> Result<Value<'a>> {
    match target {
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => optional_select(inner, name),
        _ => Ok(Value::optional(field(target, name).transpose()?)),
    }
}

/// Whether a parameter of this type takes the value.
pub(crate) fn takes(ty: &Type, value: &Value<'_>) -> bool {
    match (ty, value) {
        (Type::Dyn | Type::Param(_) | Type::Struct(_) | Type::Error, _) => true,
        (Type::List(_), Value::List(_))
        | (Type::Map(..), Value::Map(_) | Value::Object(..))
        | (Type::Optional(_), Value::Optional(_))
        | (Type::Type(_), Value::Type(_)) => true,
        (Type::Opaque(name), Value::Extension(extension)) => extension.type_name() == *name,
        (Type::Opaque(name), Value::Question(question)) => question.type_name() == *name,
        (Type::List(_) | Type::Map(..) | Type::Optional(_) | Type::Type(_) | Type::Opaque(_), _) => false,
        (ty, value) => *ty == value.type_of(),
    }
}
