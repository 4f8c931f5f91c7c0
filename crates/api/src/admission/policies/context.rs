//! What expressions of a policy see in one request.

use super::compiled::{Expression, Policy, Variable};
use crate::access_control::Rules;
use access::UserInfo;
use access::attributes::Attributes;
use cel_rules::{
    Activation, Answer, Authorizer, Budget, Decl, EvalError, Key, OBJECT_BUDGET, PER_CALL_LIMIT, Question,
    REQUEST_RESOURCE, Stage, namespace_decl, request_decl,
};
use object::Value;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How deep the value of a variable nests at most.
const MAX_DEPTH: usize = 100;

/// What is known of a request.
pub(super) struct Facts {
    pub user: UserInfo,
    pub object: Value,
    pub old: Value,
    pub request: Value,
    pub namespace: Value,
    pub params: Value,
}

/// A request, a policy, and the rules that its authorizer asks.
pub(super) struct Context<'a> {
    facts: &'a Facts,
    policy: &'a Policy,
    rules: &'a Rules,
    /// What all expressions together may still cost.
    budget: Cell<u64>,
    /// The policy's variables as far as they are known, by position.
    known: RefCell<BTreeMap<usize, Evaluated<'a>>>,
    /// How many of the variables can be seen: those before the one being evaluated.
    visible: Cell<usize>,
}

type Evaluated<'a> = Result<cel_rules::Value<'a>, EvalError>;

impl<'a> Context<'a> {
    pub fn new(facts: &'a Facts, policy: &'a Policy, rules: &'a Rules) -> Self {
        let (budget, visible) = (Cell::new(OBJECT_BUDGET), Cell::new(policy.variables.len()));
        Self { facts, policy, rules, budget, known: RefCell::default(), visible }
    }

    /// The value of an expression.
    pub fn value(&self, expression: &'a Expression) -> Result<cel_rules::Value<'a>, String> {
        let program = expression.program.as_ref().map_err(Clone::clone)?;
        let mut budget = Budget::new(PER_CALL_LIMIT);
        let value = program.evaluate(self, &mut budget).map_err(|e| e.message);
        let Some(rest) = self.budget.get().checked_sub(budget.used()) else {
            self.budget.set(0);
            return Err("validation failed due to running out of cost budget, no further validation rules will be run".into());
        };
        self.budget.set(rest);
        value
    }

    /// The value of an expression that must be true or false.
    pub fn flag(&self, expression: &'a Expression) -> Result<bool, String> {
        self.value(expression)?.as_bool().map_err(|_| "cel expression must evaluate to a bool".to_owned())
    }

    /// The value of an expression that must be text.
    pub fn text(&self, expression: &'a Expression) -> Result<String, String> {
        let value = self.value(expression)?;
        value.as_str().map(str::to_owned).map_err(|e| e.message)
    }

    /// The value of an expression that must be text or nothing.
    pub fn optional_text(&self, expression: &'a Expression) -> Result<Option<String>, String> {
        let value = self.value(expression)?;
        if matches!(value, cel_rules::Value::Null) {
            return Ok(None);
        }
        value.as_str().map(|text| Some(text.to_owned())).map_err(|e| e.message)
    }

    /// The variable at `index`, evaluated when it is first asked for. Those it may use are evaluated before it, one after
    /// the other: a long chain of them takes no deep stack.
    fn known(&self, index: usize, budget: &mut Budget) -> Evaluated<'a> {
        let mut needed = BTreeSet::from([index]);
        let mut next = vec![index];
        while let Some(at) = next.pop() {
            let missing = |used: &usize| !self.known.borrow().contains_key(used);
            let uses = self.policy.variables[at].uses.iter().copied();
            next.extend(uses.filter(missing).filter(|used| needed.insert(*used)));
        }
        for at in needed {
            if !self.known.borrow().contains_key(&at) {
                let visible = self.visible.replace(at);
                let value = self.evaluate(&self.policy.variables[at], budget);
                self.visible.set(visible);
                self.known.borrow_mut().insert(at, value);
            }
        }
        let known = self.known.borrow().get(&index).cloned();
        known.unwrap_or_else(|| Err(EvalError::new("no such variable")))
    }

    fn evaluate(&self, variable: &'a Variable, budget: &mut Budget) -> Evaluated<'a> {
        let value = match &variable.expression.program {
            // Variables are made of variables: without an end to it, a value could nest as deep as they are many.
            Ok(program) => program.evaluate(self, budget).and_then(|value| {
                let deep = value.is_deeper_than(MAX_DEPTH);
                if deep { Err(EvalError::new("value is nested too deeply")) } else { Ok(value) }
            }),
            Err(error) => Err(EvalError::new(error.as_str())),
        };
        value.map_err(|e| EvalError {
            message: format!("composited variable {:?} fails to evaluate: {}", variable.name, e.message),
            ..e
        })
    }

    /// All of them as a map, for `has(variables.x)` and the like; one that fails is not there.
    fn all(&self, budget: &mut Budget) -> cel_rules::Value<'a> {
        let entry = |(index, variable): (usize, &Variable)| {
            Some((Key::String(variable.name.as_str().into()), self.known(index, budget).ok()?))
        };
        let visible = &self.policy.variables[..self.visible.get()];
        cel_rules::Value::map(visible.iter().enumerate().filter_map(entry).collect())
    }

    fn request_resource(&self) -> Question {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let request = &self.facts.request;
        Question {
            stage: Stage::Resource,
            group: text(&request["resource"]["group"]),
            resource: text(&request["resource"]["resource"]),
            subresource: text(&request["subResource"]),
            namespace: text(&request["namespace"]),
            name: text(&request["name"]),
            ..Question::default()
        }
    }
}

impl<'a> Activation<'a> for Context<'a> {
    fn variable(&self, name: &str, budget: &mut Budget) -> Option<Evaluated<'a>> {
        let question = |question| Some(Ok(cel_rules::Value::Question(Arc::new(question))));
        let (json, decl) = match name {
            "object" => (&self.facts.object, &Decl::any()),
            "oldObject" => (&self.facts.old, &Decl::any()),
            "params" => (&self.facts.params, &Decl::any()),
            "request" => (&self.facts.request, request_decl()),
            "namespaceObject" => (&self.facts.namespace, namespace_decl()),
            "variables" => return Some(Ok(self.all(budget))),
            "authorizer" => return question(Question::default()),
            REQUEST_RESOURCE => return question(self.request_resource()),
            _ => {
                let name = name.strip_prefix("variables.")?;
                // The last of that name, as the last one declared is the one that expressions see.
                let index =
                    self.policy.variables[..self.visible.get()].iter().rposition(|v| v.name == name)?;
                return Some(self.known(index, budget));
            }
        };
        Some(cel_rules::Value::from_json(json, decl))
    }

    fn authorizer(&self) -> Option<&dyn Authorizer> {
        Some(self)
    }
}

impl Authorizer for Context<'_> {
    fn decide(&self, question: &Question) -> Answer {
        let user = match &question.service_account {
            None => self.facts.user.clone(),
            Some((namespace, name)) => {
                let groups = [
                    "system:serviceaccounts",
                    &format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated",
                ];
                UserInfo::new(format!("system:serviceaccount:{namespace}:{name}"), &groups)
            }
        };
        let mut attributes = if question.resource.is_empty() {
            Attributes::path(user, &question.verb, &question.path)
        } else {
            let q = question;
            Attributes::resource(user, &q.verb, &q.group, &q.resource, &q.namespace, &q.name)
        };
        attributes.subresource = question.subresource.clone();
        let decision = access::authorize(&attributes, &self.rules.index, None);
        Answer { allowed: decision.is_allowed(), reason: decision.reason().to_owned(), error: String::new() }
    }
}
