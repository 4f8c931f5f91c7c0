//! Policies, compiled once.

use cel_rules::{Decl, Environment, Program};
use object::{Value, meta};
use std::sync::{Arc, LazyLock};

/// What expressions of policies can refer to.
static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let names = ["object", "oldObject", "request", "namespaceObject", "params", "variables"];
    let environment = names.iter().fold(Environment::new(), |e, name| e.with(name, Decl::any()));
    environment.with("authorizer", Decl::any())
});
/// The same with the types that mutations make.
static MUTATIONS: LazyLock<Environment> = LazyLock::new(|| ENVIRONMENT.clone().with_mutations());

/// An expression: its text, and its program or what is wrong with it.
#[derive(Debug)]
pub(super) struct Expression {
    pub text: String,
    pub program: Result<Program, String>,
}

impl Expression {
    fn new(text: &Value, environment: &Environment) -> Self {
        let text = text.as_str().unwrap_or("").to_owned();
        let program =
            Program::compile(&text, environment).map_err(|e| format!("compilation failed: {}", e.0));
        Self { text, program }
    }
}

/// A match condition.
#[derive(Debug)]
pub(super) struct Condition {
    pub name: String,
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
    pub variables: Vec<(String, Expression)>,
    pub validations: Vec<Validation>,
    pub mutations: Vec<Mutation>,
    /// `failurePolicy: Ignore`
    pub ignores_failures: bool,
}

impl Policy {
    /// Compiles a policy; what does not compile fails when it is used.
    pub fn compile(policy: &Value) -> Self {
        let spec = &policy["spec"];
        let list = |field: &str| spec[field].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let validation = |v: &Value| Validation {
            expression: Expression::new(&v["expression"], &ENVIRONMENT),
            message: text(&v["message"]),
            message_expression: text(&v["messageExpression"])
                .map(|_| Expression::new(&v["messageExpression"], &ENVIRONMENT)),
            reason: text(&v["reason"]).unwrap_or_else(|| "Invalid".into()),
        };
        let mutation = |m: &Value| match m["patchType"].as_str() {
            Some("JSONPatch") => {
                Mutation::JsonPatch(Expression::new(&m["jsonPatch"]["expression"], &MUTATIONS))
            }
            _ => Mutation::Apply(Expression::new(&m["applyConfiguration"]["expression"], &MUTATIONS)),
        };
        Self {
            name: meta::name(policy).to_owned(),
            constraints: spec["matchConstraints"].clone(),
            param_kind: spec["paramKind"].clone(),
            conditions: conditions(&spec["matchConditions"]),
            variables: list("variables")
                .iter()
                .map(|v| {
                    (text(&v["name"]).unwrap_or_default(), Expression::new(&v["expression"], &ENVIRONMENT))
                })
                .collect(),
            validations: list("validations").iter().map(validation).collect(),
            mutations: list("mutations").iter().map(mutation).collect(),
            ignores_failures: spec["failurePolicy"] == "Ignore",
        }
    }
}

/// Compiles match conditions.
pub(super) fn conditions(list: &Value) -> Vec<Condition> {
    let compile = |c: &Value| Condition {
        name: c["name"].as_str().unwrap_or("").to_owned(),
        expression: Expression::new(&c["expression"], &ENVIRONMENT),
    };
    list.as_array().into_iter().flatten().map(compile).collect()
}

/// Keeps the declaration of anything in one place.
pub(super) fn anything() -> Arc<Decl> {
    Decl::any()
}
