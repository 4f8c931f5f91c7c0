//! `x-kubernetes-validations`: compiled once per schema, evaluated on every write.

use crate::budget::{Budget, OBJECT_BUDGET, PER_CALL_LIMIT};
use crate::declare::{declare, escape};
use crate::environment::Environment;
use crate::error::{EvalError, EvalErrorKind};
use crate::program::Program;
use crate::types::{Decl, Shape, Type};
use crate::value::Value;
use object::{FieldError, FieldErrorKind, Path, Value as Json};
use schema::custom::{Place, each_rule};
use schema::{NodeId, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// Messages that expressions make are cut off here: longer ones are not taken.
const MAX_MESSAGE: usize = 5 * 1024;
const MAX_DEPTH: usize = 128;

/// What a rule may name.
type Variables<'a> = Vec<(&'static str, Value<'a>)>;

/// A rule, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    pub program: Program,
    /// Makes the message, if it compiles.
    pub message: Option<Program>,
    uses_old: bool,
    optional_old: bool,
}

/// The rules of a place.
struct Rules {
    decl: Option<Arc<Decl>>,
    rules: Vec<Result<Rule, String>>,
}

/// What is wrong with `object` by the rules of its schema. What was wrong before and did not change is told to `warn`.
pub fn validate(
    schema: Schema<'_>,
    object: &Json,
    old: Option<&Json>,
    warn: &mut dyn FnMut(String),
) -> Vec<FieldError> {
    let mut run = Run { root: schema, errors: Vec::new(), budget: OBJECT_BUDGET, stopped: false, warn };
    each_rule(schema, object, old, &mut |place| run.place(&place));
    run.errors
}

/// Whether a schema has any rules that apply to this object.
pub fn has_rules(schema: Schema<'_>, object: &Json) -> bool {
    let mut found = false;
    each_rule(schema, object, None, &mut |_| found = true);
    found
}

/// The variables of a rule on values of this declaration.
pub(crate) fn environment(decl: &Arc<Decl>, optional_old: bool) -> Environment {
    let old = if optional_old {
        let ty = Type::optional(decl.ty.clone());
        Arc::new(Decl { ty, max_elements: None, min_size: 1, shape: Shape::Any })
    } else {
        decl.clone()
    };
    Environment::new().with("self", decl.clone()).with("oldSelf", old)
}

/// Compiles a rule; the error is what Kubernetes says of it.
pub(crate) fn compile(rule: &Json, decl: &Arc<Decl>) -> Result<Rule, String> {
    let optional_old = rule["optionalOldSelf"] == true;
    let environment = environment(decl, optional_old);
    let text = rule["rule"].as_str().unwrap_or("");
    let mut program = Program::compile(text, &environment).map_err(|e| e.to_string())?;
    program.forget_types();
    if *program.result_type() != Type::Bool {
        return Err("cel expression must evaluate to a bool".into());
    }
    let message = rule["messageExpression"].as_str().filter(|m| !m.is_empty());
    let message = message
        .and_then(|text| Program::compile(text, &environment).ok())
        .filter(|program| *program.result_type() == Type::String);
    Ok(Rule { uses_old: program.uses("oldSelf"), program, message, optional_old })
}

/// The declarations of all places of a schema, made once: a place shares its part of the whole.
type Declarations = HashMap<NodeId, Arc<Decl>>;

fn declarations(root: Schema<'_>) -> Declarations {
    let mut all = HashMap::new();
    if let Some(decl) = declare(&schema::custom::describe(root), true, "selfType") {
        collect(root, &decl, &mut all, 0);
    }
    all
}

fn collect(schema: Schema<'_>, decl: &Arc<Decl>, all: &mut Declarations, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    all.insert(schema.id(), decl.clone());
    if let Some((inner, element)) = schema.items().or(schema.map_value()).zip(decl.element()) {
        collect(inner, element, all, depth + 1);
    }
    for (field, inner) in schema.fields() {
        if &*field.name != "metadata"
            && let Some(known) = escape(&field.name).and_then(|name| decl.field(&name))
        {
            collect(inner, &known.decl, all, depth + 1);
        }
    }
}

struct Run<'w, 's> {
    root: Schema<'s>,
    errors: Vec<FieldError>,
    budget: u64,
    /// The budget ran out: nothing else is evaluated.
    stopped: bool,
    warn: &'w mut dyn FnMut(String),
}

impl Run<'_, '_> {
    fn place(&mut self, place: &Place<'_>) {
        if self.stopped {
            return;
        }
        let made = place.rules.compiled.get_or_init(|| {
            let whole = schema::custom::whole(self.root);
            let whole = whole.map(|slot| slot.get_or_init(|| Box::new(declarations(self.root))));
            let known = whole.and_then(|all| all.downcast_ref::<Declarations>());
            let decl = known.and_then(|all| all.get(&place.schema.id())).cloned();
            let rules = place.rules.list.as_array().into_iter().flatten();
            let missing = || Err("failed to convert to declType for CEL validation rules".to_owned());
            let rules =
                rules.map(|rule| decl.as_ref().map_or_else(missing, |decl| compile(rule, decl))).collect();
            Box::new(Rules { decl, rules })
        });
        let Some(compiled) = made.downcast_ref::<Rules>() else { return };
        let Some(decl) = &compiled.decl else { return };
        let sources = place.rules.list.as_array().into_iter().flatten();
        for (rule, source) in compiled.rules.iter().zip(sources) {
            if self.stopped {
                return;
            }
            match rule {
                Ok(rule) => self.rule(place, decl, rule, source),
                Err(error) => self.invalid(place, decl, &format!("rule compile error: {error}")),
            }
        }
    }

    /// `Invalid value` with the value as Kubernetes shows it: objects and lists are left out, scalars are shown by their type.
    fn invalid(&mut self, place: &Place<'_>, decl: &Decl, detail: &str) {
        self.errors.push(FieldError::invalid(&place.path, &type_name(decl).into(), detail));
    }

    fn stop(&mut self, place: &Place<'_>, decl: &Decl, detail: &str) {
        self.invalid(place, decl, detail);
        self.stopped = true;
    }

    fn rule(&mut self, place: &Place<'_>, decl: &Arc<Decl>, rule: &Rule, source: &Json) {
        if rule.uses_old && place.old.is_none() && !rule.optional_old {
            return;
        }
        let variables = match variables(place, decl, rule) {
            Ok(variables) => variables,
            Err(error) => return self.invalid(place, decl, &error.message),
        };
        let mut budget = Budget::new(PER_CALL_LIMIT);
        let result = rule.program.evaluate(&variables, &mut budget);
        let name = rule_name(source);
        let cost = matches!(&result, Err(error) if error.kind == EvalErrorKind::Cost);
        if budget.used() > self.budget {
            let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
            return self.stop(place, decl, detail);
        }
        self.budget -= budget.used();
        match result {
            Ok(Value::Bool(true)) => {}
            Ok(_) => self.broken(place, decl, rule, source, &variables),
            Err(error) if cost => self.stop(
                place,
                decl,
                &format!("'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {name}"),
            ),
            Err(error) if error.message.starts_with("no such overload") => self.invalid(
                place,
                decl,
                &format!("'{error}': call arguments did not match a supported operator, function or macro signature for rule: {name}"),
            ),
            Err(error) => self.invalid(place, decl, &format!("{error} evaluating rule: {name}")),
        }
    }

    fn broken(
        &mut self,
        place: &Place<'_>,
        decl: &Decl,
        rule: &Rule,
        source: &Json,
        variables: &Variables<'_>,
    ) {
        let detail = match &rule.message {
            Some(program) => match self.message(place, decl, program, source, variables) {
                Some(message) => message,
                None if self.stopped => return,
                None => default_message(source),
            },
            None => default_message(source),
        };
        let path = match source["fieldPath"].as_str().filter(|p| !p.is_empty()) {
            Some(field) => extended(place, field),
            None => place.path.clone(),
        };
        let error = broken(&path, place.value, decl, &detail, source["reason"].as_str());
        if !rule.uses_old && place.is_unchanged() {
            (self.warn)(format!("{}: {}", error.path, error.message));
        } else {
            self.errors.push(error);
        }
    }

    /// The message that the rule's `messageExpression` makes; `None` if it makes none.
    fn message(
        &mut self,
        place: &Place<'_>,
        decl: &Decl,
        program: &Program,
        source: &Json,
        variables: &Variables<'_>,
    ) -> Option<String> {
        let mut budget = Budget::new(PER_CALL_LIMIT);
        let result = program.evaluate(variables, &mut budget);
        if budget.used() > self.budget {
            let detail = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
            self.stop(place, decl, detail);
            return None;
        }
        match result {
            Ok(Value::String(text)) => {
                self.budget -= budget.used();
                let text = text.trim();
                let usable = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
                usable.then(|| text.to_owned())
            }
            Err(error) if error.kind == EvalErrorKind::Cost => {
                let expression = object::error::quote(source["messageExpression"].as_str().unwrap_or(""));
                let detail = format!(
                    "no further validation rules will be run due to call cost exceeds limit for messageExpression: {expression}"
                );
                self.stop(place, decl, &detail);
                None
            }
            _ => None,
        }
    }
}

fn variables<'a>(place: &Place<'a>, decl: &Arc<Decl>, rule: &Rule) -> Result<Variables<'a>, EvalError> {
    let mut variables = vec![("self", Value::from_json(place.value, decl)?)];
    let old = place.old.filter(|old| !old.is_null()).map(|old| Value::from_json(old, decl)).transpose()?;
    match old {
        old if rule.optional_old => variables.push(("oldSelf", Value::optional(old))),
        Some(old) => variables.push(("oldSelf", old)),
        None => {}
    }
    Ok(variables)
}

fn type_name(decl: &Decl) -> &'static str {
    match (&decl.shape, &decl.ty) {
        (Shape::Object(_) | Shape::Map(_), _) => "object",
        (Shape::List(..), _) => "array",
        (_, Type::Bool) => "boolean",
        (_, Type::Int) => "integer",
        (_, Type::Double) => "number",
        (Shape::Any, _) => "",
        _ => "string",
    }
}

fn rule_name(source: &Json) -> &str {
    let text = |name: &str| source[name].as_str().filter(|t| !t.is_empty()).map(str::trim);
    text("message").or(text("rule")).unwrap_or("")
}

fn default_message(source: &Json) -> String {
    match source["message"].as_str().filter(|m| !m.is_empty()) {
        Some(message) => message.trim().to_owned(),
        None => format!("failed rule: {}", rule_name(source)),
    }
}

/// The place that a rule says is wrong, below its own.
fn extended(place: &Place<'_>, field: &str) -> Path {
    schema::custom::field_below(place.schema, &place.path, field).unwrap_or_else(|| place.path.clone())
}

fn broken(path: &Path, value: &Json, decl: &Decl, detail: &str, reason: Option<&str>) -> FieldError {
    let whole = matches!(type_name(decl), "object" | "array");
    let invalid = || {
        if !whole {
            return FieldError::invalid(path, value, detail);
        }
        // The value of an object or list is not repeated.
        let message = format!("Invalid value: {detail}");
        FieldError { kind: FieldErrorKind::Invalid, path: path.to_string(), message }
    };
    match reason {
        Some("FieldValueForbidden") => FieldError::forbidden(path, detail),
        Some("FieldValueRequired") => FieldError::required(path, detail),
        Some("FieldValueDuplicate") if whole => {
            let message = "Duplicate value".to_owned();
            FieldError { kind: FieldErrorKind::Duplicate, path: path.to_string(), message }
        }
        Some("FieldValueDuplicate") => FieldError::duplicate(path, value),
        _ => invalid(),
    }
}
