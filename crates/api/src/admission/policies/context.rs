//! What expressions of a policy see in one request.

use super::compiled::{Expression, Policy, anything};
use crate::access_control::Rules;
use access::UserInfo;
use access::attributes::Attributes;
use cel_rules::{Activation, Answer, Authorizer, Budget, EvalError, Key, PER_CALL_LIMIT, Question};
use object::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The policy's variables as far as they are known; each may use those before it.
    variables: RefCell<Option<BTreeMap<Key, cel_rules::Value<'a>>>>,
}

impl<'a> Context<'a> {
    pub fn new(facts: &'a Facts, policy: &'a Policy, rules: &'a Rules) -> Self {
        Self { facts, policy, rules, variables: RefCell::new(None) }
    }

    /// The value of an expression.
    pub fn value(&self, expression: &'a Expression) -> Result<cel_rules::Value<'a>, String> {
        let program = expression.program.as_ref().map_err(Clone::clone)?;
        let mut budget = Budget::new(PER_CALL_LIMIT);
        program.evaluate(self, &mut budget).map_err(|e| e.message)
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

    fn all_variables(&self, budget: &mut Budget) -> BTreeMap<Key, cel_rules::Value<'a>> {
        if let Some(known) = &*self.variables.borrow() {
            return known.clone();
        }
        *self.variables.borrow_mut() = Some(BTreeMap::new());
        for (name, expression) in &self.policy.variables {
            // One that fails is not there, for those that use it.
            let Ok(program) = &expression.program else { continue };
            let Ok(value) = program.evaluate(self, budget) else { continue };
            if let Some(known) = &mut *self.variables.borrow_mut() {
                known.insert(Key::String(name.as_str().into()), value);
            }
        }
        self.variables.borrow().clone().unwrap_or_default()
    }
}

impl<'a> Activation<'a> for Context<'a> {
    fn variable(&self, name: &str, budget: &mut Budget) -> Option<Result<cel_rules::Value<'a>, EvalError>> {
        let json = match name {
            "object" => &self.facts.object,
            "oldObject" => &self.facts.old,
            "request" => &self.facts.request,
            "namespaceObject" => &self.facts.namespace,
            "params" => &self.facts.params,
            "variables" => return Some(Ok(cel_rules::Value::map(self.all_variables(budget)))),
            "authorizer" => return Some(Ok(cel_rules::Value::Question(Arc::new(Question::default())))),
            _ => return None,
        };
        Some(cel_rules::Value::from_json(json, &anything()))
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
                UserInfo::new(&format!("system:serviceaccount:{namespace}:{name}"), &groups)
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
