//! The type checker: every expression gets a type, every call its overloads, every qualified name its variable.

use crate::ast::{Entry, Expr, Fold, Init, Kind, Literal};
use crate::environment::Environment;
use crate::error::{CompileError, Issue};
use crate::infer::Bindings;
use crate::library::Library;
use crate::parser::Parsed;
use crate::types::Type;
use std::sync::Arc;

/// A checked expression.
#[derive(Debug)]
pub(crate) struct Checked {
    pub root: Expr,
    /// By id.
    pub types: Vec<Type>,
    /// By id: the overloads that may be meant, as indexes; empty for what is no call.
    pub overloads: Vec<Box<[u16]>>,
    /// The variables of the environment that are used.
    pub variables: Vec<Box<str>>,
    /// Literals of lists and maps whose parts are of several types: wrong only where all else is right.
    pub mixtures: Vec<Issue>,
}

/// Checks a parsed expression against an environment.
pub(crate) fn check(
    source: &str,
    parsed: Parsed,
    environment: &Environment,
) -> Result<Checked, CompileError> {
    let Parsed { mut root, ids } = parsed;
    let mut checker = Checker {
        environment,
        bindings: Bindings::new(),
        types: vec![Type::Error; ids as usize],
        overloads: vec![Box::default(); ids as usize],
        scopes: Vec::new(),
        issues: Vec::new(),
        variables: Vec::new(),
        mixtures: Vec::new(),
        mixed: 0,
    };
    checker.expr(&mut root);
    if !checker.issues.is_empty() {
        return Err(CompileError::new(source, checker.issues));
    }
    let Checker { bindings, mut types, overloads, variables, mixtures, .. } = checker;
    for ty in &mut types {
        *ty = bindings.substitute(ty, true);
    }
    Ok(Checked { root, types, overloads, variables, mixtures })
}

struct Checker<'e> {
    environment: &'e Environment,
    bindings: Bindings,
    types: Vec<Type>,
    overloads: Vec<Box<[u16]>>,
    scopes: Vec<(Box<str>, Type)>,
    issues: Vec<Issue>,
    variables: Vec<Box<str>>,
    mixtures: Vec<Issue>,
    /// How many calls around take lists of mixed types.
    mixed: u32,
}

/// The type that a name stands for in an expression, such as `int` in `type(x) == int`.
pub(crate) fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "type" => Type::Type(Arc::new(Type::Dyn)),
        "dyn" => Type::Dyn,
        "optional_type" => Type::optional(Type::Dyn),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "net.IP" => Type::Opaque("net.IP"),
        "net.CIDR" => Type::Opaque("net.CIDR"),
        "kubernetes.Quantity" => Type::Opaque("kubernetes.Quantity"),
        "kubernetes.URL" => Type::Opaque("kubernetes.URL"),
        "kubernetes.Semver" => Type::Opaque("kubernetes.Semver"),
        _ => return None,
    })
}

impl Checker<'_> {
    fn issue(&mut self, at: u32, message: String) {
        self.issues.push(Issue { at, message });
    }

    fn type_of(&self, expr: &Expr) -> Type {
        self.types[expr.id as usize].clone()
    }

    fn show(&self, ty: &Type) -> String {
        self.bindings.substitute(ty, true).to_string()
    }

    fn expr(&mut self, expr: &mut Expr) {
        let ty = match &mut expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(_) => self.ident(expr),
            Kind::Select { .. } => self.select(expr),
            Kind::Call { .. } => self.call(expr),
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => self.map(entries),
            Kind::Struct { name, fields } => self.structure(expr.at, name, fields),
            Kind::Fold(fold) => self.fold(fold),
        };
        self.types[expr.id as usize] = ty;
    }

    fn lookup(&mut self, name: &str) -> Option<Type> {
        if let Some((_, ty)) = self.scopes.iter().rev().find(|(n, _)| **n == *name) {
            return Some(ty.clone());
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(decl) = self.environment.variable(name) {
            if !self.variables.iter().any(|v| **v == *name) {
                self.variables.push(name.into());
            }
            return Some(decl.ty.clone());
        }
        type_named(name).map(|ty| Type::Type(Arc::new(ty)))
    }

    fn ident(&mut self, expr: &Expr) -> Type {
        let Kind::Ident(name) = &expr.kind else { return Type::Error };
        match self.lookup(name) {
            Some(ty) => ty,
            None => {
                self.issue(expr.at, format!("undeclared reference to '{name}' (in container '')"));
                Type::Error
            }
        }
    }

    fn select(&mut self, expr: &mut Expr) -> Type {
        if let Some(name) = expr.qualified_name()
            && let Some(ty) = self.lookup(&name)
        {
            expr.kind = Kind::Ident(name.into());
            return ty;
        }
        let Kind::Select { operand, field, test } = &mut expr.kind else { return Type::Error };
        let result = self.select_field(expr.at, operand, field, false);
        if *test { Type::Bool } else { self.bindings.substitute(&result, false) }
    }

    fn select_field(&mut self, at: u32, operand: &mut Expr, field: &str, optional: bool) -> Type {
        self.expr(operand);
        let operand = self.bindings.substitute(&self.type_of(operand), false);
        let (target, was_optional) = match &operand {
            Type::Optional(inner) => ((**inner).clone(), true),
            _ => (operand, false),
        };
        let result = match &target {
            Type::Map(_, value) => (**value).clone(),
            Type::Struct(object) if object.open => Type::Dyn,
            Type::Struct(object) => match object.fields.get(field) {
                Some(field) => field.decl.ty.clone(),
                None => {
                    self.issue(at, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Param(_) => {
                self.bindings.assignable(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            // Kubernetes' own types pass for objects, but for addresses; none has fields.
            Type::Opaque(name) if !name.starts_with("net.") => {
                self.issue(at, format!("unexpected failed resolution of '{name}'"));
                Type::Error
            }
            other => {
                let shown = self.show(other);
                self.issue(at, format!("type '{shown}' does not support field selection"));
                Type::Dyn
            }
        };
        if was_optional || optional { Type::optional(result) } else { result }
    }

    fn call(&mut self, expr: &mut Expr) -> Type {
        let Kind::Call { function, target, args } = &mut expr.kind else { return Type::Error };
        if &**function == "_?._" {
            let Some((operand, [Expr { kind: Kind::Literal(Literal::String(field)), .. }])) =
                args.split_first_mut()
            else {
                return Type::Error;
            };
            let result = self.select_field(expr.at, operand, &field.clone(), true);
            return self.bindings.substitute(&result, false);
        }
        let takes_mixed = u32::from(&**function == "format");
        self.mixed += takes_mixed;
        for arg in args.iter_mut() {
            self.expr(arg);
        }
        self.mixed -= takes_mixed;
        let library = Library::kubernetes();
        if let Some(prefix) = target.as_ref().and_then(|t| t.qualified_name()) {
            let name = format!("{prefix}.{function}");
            if !library.overloads(&name).is_empty() {
                *function = name.into();
                *target = None;
            }
        }
        if let Some(target) = target {
            self.expr(target);
        }
        if library.overloads(function).is_empty() {
            let message = format!("undeclared reference to '{function}' (in container '')");
            self.issue(expr.at, message);
            return Type::Error;
        }
        if matches!(&**function, "_&&_" | "_||_") {
            return self.logic(expr);
        }
        self.resolve(expr)
    }

    fn logic(&mut self, expr: &Expr) -> Type {
        let Kind::Call { args, .. } = &expr.kind else { return Type::Error };
        let mut result = Type::Bool;
        for arg in args {
            let ty = self.type_of(arg);
            if !self.bindings.assignable(&ty, &Type::Bool) {
                let shown = self.show(&ty);
                self.issue(arg.at, format!("expected type 'bool' but found '{shown}'"));
                result = Type::Error;
            }
        }
        self.overloads[expr.id as usize] = Box::new([0]);
        result
    }

    fn resolve(&mut self, expr: &Expr) -> Type {
        let Kind::Call { function, target, args } = &expr.kind else { return Type::Error };
        let given: Vec<Type> = target.as_deref().into_iter().chain(args).map(|e| self.type_of(e)).collect();
        let mut found = Vec::new();
        let mut result: Option<Type> = None;
        for (index, overload) in Library::kubernetes().overloads(function).iter().enumerate() {
            if overload.method != target.is_some() {
                continue;
            }
            let base = self.bindings.reserve(overload.variables);
            let instance = |ty: &Type| Bindings::instantiate(ty, base);
            let params: Vec<Type> = overload.params.iter().map(instance).collect();
            if !self.bindings.all_assignable(&params, &given) {
                continue;
            }
            found.push(index as u16);
            let own = self.bindings.substitute(&instance(&overload.result), false);
            result = Some(match result {
                None => own,
                Some(Type::Dyn) => Type::Dyn,
                Some(before) if before == own => before,
                Some(_) => Type::Dyn,
            });
        }
        self.overloads[expr.id as usize] = found.into();
        result.unwrap_or_else(|| {
            let mut shown: Vec<String> = given.iter().map(|ty| self.show(ty)).collect();
            let signature = if target.is_some() {
                let target = shown.remove(0);
                format!("{target}.({})", shown.join(", "))
            } else {
                format!("({})", shown.join(", "))
            };
            let message = format!("found no matching overload for '{function}' applied to '{signature}'");
            self.issue(expr.at, message);
            Type::Error
        })
    }

    fn unwrap_optional(&mut self, at: u32, ty: Type, optional: bool) -> Type {
        match ty {
            Type::Optional(inner) if optional => (*inner).clone(),
            Type::Dyn | Type::Error => ty,
            other if optional => {
                let shown = self.show(&other);
                self.issue(at, format!("expected type 'optional_type({shown})' but found '{shown}'"));
                other
            }
            other => other,
        }
    }

    fn join(&mut self, at: u32, before: Option<Type>, next: Type) -> Type {
        let Some(before) = before else { return next };
        if self.bindings.assignable(&before, &next) {
            return self.bindings.general(&before, &next);
        }
        if self.mixed == 0 {
            let (expected, found) = (self.show(&before), self.show(&next));
            let message = format!("expected type '{expected}' but found '{found}'");
            self.mixtures.push(Issue { at, message });
        }
        Type::Dyn
    }

    fn list(&mut self, items: &mut [(Expr, bool)]) -> Type {
        let mut ty = None;
        for (item, optional) in items {
            self.expr(item);
            let own = self.unwrap_optional(item.at, self.type_of(item), *optional);
            ty = Some(self.join(item.at, ty, own));
        }
        Type::list(ty.unwrap_or_else(|| self.bindings.fresh()))
    }

    fn map(&mut self, entries: &mut [Entry]) -> Type {
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            self.expr(&mut entry.key);
            keys = Some(self.join(entry.key.at, keys, self.type_of(&entry.key)));
            self.expr(&mut entry.value);
            let own = self.unwrap_optional(entry.value.at, self.type_of(&entry.value), entry.optional);
            values = Some(self.join(entry.value.at, values, own));
        }
        let keys = keys.unwrap_or_else(|| self.bindings.fresh());
        // No value has such keys. Types of types in both places would grow without end.
        let composed = |ty: &Type| {
            matches!(ty, Type::List(_) | Type::Map(..) | Type::Optional(_) | Type::Type(_) | Type::Struct(_))
        };
        let keys = if composed(&self.bindings.substitute(&keys, false)) { Type::Dyn } else { keys };
        Type::map(keys, values.unwrap_or_else(|| self.bindings.fresh()))
    }

    fn structure(&mut self, at: u32, name: &str, fields: &mut [Init]) -> Type {
        let ty = self.environment.struct_type(name.strip_prefix('.').unwrap_or(name));
        let Some(Type::Struct(object)) = &ty else {
            self.issue(at, format!("undeclared reference to '{name}' (in container '')"));
            return Type::Error;
        };
        for field in fields {
            self.expr(&mut field.value);
            let value = self.unwrap_optional(field.value.at, self.type_of(&field.value), field.optional);
            let wanted = if object.open {
                // Whether nested objects are named after their places is judged when they are used.
                Type::Dyn
            } else {
                match object.fields.get(&field.field) {
                    Some(field) => field.decl.ty.clone(),
                    None => {
                        self.issue(field.at, format!("undefined field '{}'", field.field));
                        Type::Error
                    }
                }
            };
            if !self.bindings.assignable(&wanted, &value) {
                let (wanted, value) = (self.show(&wanted), self.show(&value));
                let message = format!(
                    "expected type of field '{}' is '{wanted}' but provided type is '{value}'",
                    field.field
                );
                self.issue(field.at, message);
            }
        }
        ty.unwrap_or(Type::Error)
    }

    fn fold(&mut self, fold: &mut Fold) -> Type {
        self.expr(&mut fold.range);
        self.expr(&mut fold.init);
        let range = self.bindings.substitute(&self.type_of(&fold.range), false);
        let accumulator = self.type_of(&fold.init);
        let two = fold.second.is_some();
        let (first, second) = match &range {
            Type::List(item) if two => (Type::Int, (**item).clone()),
            Type::List(item) => ((**item).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error => (Type::Dyn, Type::Dyn),
            Type::Param(_) => {
                self.bindings.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let shown = self.show(other);
                let message = format!(
                    "expression of type '{shown}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.issue(fold.range.at, message);
                (Type::Error, Type::Error)
            }
        };
        let depth = self.scopes.len();
        self.scopes.push((fold.accumulator.clone(), accumulator.clone()));
        self.scopes.push((fold.variable.clone(), first));
        if let Some(name) = &fold.second {
            self.scopes.push((name.clone(), second));
        }
        self.expr(&mut fold.condition);
        self.assert(&fold.condition, &Type::Bool);
        self.expr(&mut fold.step);
        self.assert(&fold.step, &accumulator);
        self.scopes.truncate(depth + 1);
        self.expr(&mut fold.result);
        self.scopes.truncate(depth);
        self.bindings.substitute(&self.type_of(&fold.result), false)
    }

    fn assert(&mut self, expr: &Expr, wanted: &Type) {
        let found = self.type_of(expr);
        if !self.bindings.assignable(wanted, &found) {
            let (wanted, found) = (self.show(wanted), self.show(&found));
            self.issue(expr.at, format!("expected type '{wanted}' but found '{found}'"));
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
