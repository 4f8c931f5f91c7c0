//! Policies, compiled once.

use cel_rules::{Environment, Program, Scope, Type};
use object::{Value, meta};
use std::sync::Arc;

/// An expression: its text, and its program or what is wrong with it.
#[derive(Debug)]
pub(super) struct Expression {
    pub text: String,
    pub program: Result<Arc<Program>, String>,
}

impl Expression {
    fn new(text: &Value, environment: &Environment) -> Self {
        let text = text.as_str().unwrap_or("").to_owned();
        let program = Program::shared(&text, environment).map_err(|e| e.to_string());
        Self { text, program }
    }

    /// The positions of the variables among `known` that it uses.
    fn uses(&self, known: &[Variable]) -> Vec<usize> {
        let Ok(program) = &self.program else { return vec![] };
        let used: Vec<&str> = program.variables().collect();
        let whole = used.contains(&"variables");
        let is_used = |name: &str| whole || used.iter().any(|u| u.strip_prefix("variables.") == Some(name));
        (0..known.len()).filter(|at| is_used(&known[*at].name)).collect()
    }

    fn result_type(&self) -> Type {
        self.program.as_ref().map_or(Type::Dyn, |program| program.result_type().clone())
    }
}

/// A policy has at most so many variables; those after them are not known to its expressions.
const MAX_VARIABLES: usize = 256;

/// A variable of a policy.
#[derive(Debug)]
pub(super) struct Variable {
    pub name: String,
    pub expression: Expression,
    /// The positions of those it uses, all before its own.
    pub uses: Vec<usize>,
}

/// A match condition.
#[derive(Debug)]
pub(super) struct Condition {
    pub expression: Expression,
}

/// A validation.
#[derive(Debug)]
pub(super) struct Validation {
    pub expression: Expression,
    pub message: Option<String>,
    pub message_expression: Option<Expression>,
    /// `Invalid` unless it says otherwise.
    pub reason: String,
}

/// An audit annotation.
#[derive(Debug)]
pub(super) struct AuditAnnotation {
    pub key: String,
    pub value: Expression,
}

/// A mutation.
#[derive(Debug)]
pub(super) enum Mutation {
    Apply(Expression),
    JsonPatch(Expression),
}

/// A policy.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub name: String,
    /// `matchConstraints`
    pub constraints: Value,
    /// `paramKind`, if any.
    pub param_kind: Value,
    pub conditions: Vec<Condition>,
    pub variables: Vec<Variable>,
    pub validations: Vec<Validation>,
    pub audit_annotations: Vec<AuditAnnotation>,
    pub mutations: Vec<Mutation>,
    /// `reinvocationPolicy: IfNeeded`
    pub reinvoked: bool,
    /// `failurePolicy: Ignore`
    pub ignores_failures: bool,
}

impl Policy {
    /// Compiles a policy; what does not compile fails when it is used.
    pub fn compile(policy: &Value) -> Self {
        let spec = &policy["spec"];
        let list = |field: &str| spec[field].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let params = spec["paramKind"].is_object();
        let plain = Scope { namespace: true, params, ..Scope::default() };
        let authorized = Scope { authorizer: true, ..plain };
        let mut variables: Vec<Variable> = Vec::new();
        let mut types = Vec::new();
        for variable in list("variables").into_iter().take(MAX_VARIABLES) {
            // Each may use those before it.
            let environment = Scope { variables: Some(&types), ..authorized }.environment();
            let expression = Expression::new(&variable["expression"], &environment);
            let name = text(&variable["name"]).unwrap_or_default();
            types.push((name.clone(), expression.result_type()));
            let uses = expression.uses(&variables);
            variables.push(Variable { name, expression, uses });
        }
        let judging = Scope { variables: Some(&types), ..authorized }.environment();
        let telling = Scope { variables: Some(&types), ..plain }.environment();
        let changing = Scope { variables: Some(&types), mutations: true, ..authorized }.environment();
        let validation = |v: &Value| Validation {
            expression: Expression::new(&v["expression"], &judging),
            message: text(&v["message"]),
            message_expression: text(&v["messageExpression"])
                .map(|_| Expression::new(&v["messageExpression"], &telling)),
            reason: text(&v["reason"]).unwrap_or_else(|| "Invalid".into()),
        };
        let mutation = |m: &Value| match m["patchType"].as_str() {
            Some("JSONPatch") => {
                Mutation::JsonPatch(Expression::new(&m["jsonPatch"]["expression"], &changing))
            }
            _ => Mutation::Apply(Expression::new(&m["applyConfiguration"]["expression"], &changing)),
        };
        Self {
            name: meta::name(policy).to_owned(),
            constraints: spec["matchConstraints"].clone(),
            param_kind: spec["paramKind"].clone(),
            conditions: conditions(&spec["matchConditions"], &authorized),
            variables,
            validations: list("validations").iter().map(validation).collect(),
            audit_annotations: list("auditAnnotations")
                .iter()
                .map(|a| AuditAnnotation {
                    key: text(&a["key"]).unwrap_or_default(),
                    value: Expression::new(&a["valueExpression"], &telling),
                })
                .collect(),
            mutations: list("mutations").iter().map(mutation).collect(),
            reinvoked: spec["reinvocationPolicy"] == "IfNeeded",
            ignores_failures: spec["failurePolicy"] == "Ignore",
        }
    }
}

/// Compiles the match conditions of a webhook.
pub(super) fn webhook_conditions(list: &Value) -> Vec<Condition> {
    conditions(list, &Scope { authorizer: true, ..Scope::default() })
}

fn conditions(list: &Value, scope: &Scope<'_>) -> Vec<Condition> {
    let environment = scope.environment();
    let compile = |c: &Value| Condition { expression: Expression::new(&c["expression"], &environment) };
    list.as_array().into_iter().flatten().map(compile).collect()
}
