//! Admission policies: expressions of the cluster's own that refuse writes or change them.

mod audit;
mod compiled;
mod context;
mod mutating;
mod mutation;
mod params;

use super::webhooks::matching;
use super::{Operation, refused, webhooks::review};
use crate::followed::State;
use crate::pipeline::Write;
use compiled::{Condition, Policy, Validation};
use context::{Context, Facts};
use object::{ApiError, Result, Value, meta};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use mutating::mutate;

/// Policies and bindings by store key, so that they act in the order of names.
#[derive(Default)]
pub(crate) struct Policies {
    validating: Kept,
    mutating: Kept,
}

#[derive(Default)]
struct Kept {
    policies: BTreeMap<String, Arc<Policy>>,
    bindings: BTreeMap<String, Arc<Value>>,
}

/// A policy and a binding of it.
type Bound = (Arc<Policy>, Arc<Value>);

impl State for Policies {
    fn apply(&mut self, key: &str, object: Option<Value>) {
        let (kept, is_policy) = match key.split('/').nth(2) {
            Some("validatingadmissionpolicies") => (&mut self.validating, true),
            Some("validatingadmissionpolicybindings") => (&mut self.validating, false),
            Some("mutatingadmissionpolicies") => (&mut self.mutating, true),
            Some("mutatingadmissionpolicybindings") => (&mut self.mutating, false),
            _ => return,
        };
        match (object, is_policy) {
            (Some(object), true) => {
                drop(kept.policies.insert(key.to_owned(), Arc::new(Policy::compile(&object))))
            }
            (Some(object), false) => drop(kept.bindings.insert(key.to_owned(), Arc::new(object))),
            (None, true) => drop(kept.policies.remove(key)),
            (None, false) => drop(kept.bindings.remove(key)),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Kept {
    /// Every policy with each of its bindings.
    fn bound(&self) -> Vec<Bound> {
        let bindings = |policy: &Policy| {
            let name = policy.name.clone();
            self.bindings
                .values()
                .filter(move |b| b["spec"]["policyName"] == *name)
                .cloned()
                .collect::<Vec<_>>()
        };
        let all = self.policies.values().flat_map(|p| bindings(p).into_iter().map(|b| (p.clone(), b)));
        all.collect()
    }
}

/// Refuses what validating policies deny, and warns of what they only warn of.
pub(super) async fn validate(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    let bound = write.call.api.policies.read().await?.state.validating.bound();
    if bound.is_empty() {
        return Ok(());
    }
    let shown = shown(write, object)?;
    let mut denied: Option<ApiError> = None;
    let mut annotations: BTreeMap<String, audit::Annotations> = BTreeMap::new();
    for (policy, binding) in bound {
        if !concerns(write, operation, &policy, &binding, &shown).await? {
            continue;
        }
        let params = params::of(write, &policy, &binding).await?;
        let mut failures: Vec<Failure> = params.problem.into_iter().map(Failure::whole).collect();
        let mut unannotated = Vec::new();
        for param in params.found {
            let facts = facts(write, operation, &shown, param).await?;
            let rules = write.call.api.access.read().await?;
            let context = Context::new(&facts, &policy, &rules.state);
            let Some(found) = judge(&policy, &context) else { continue };
            failures.extend(found);
            let known = annotations.entry(policy.name.clone()).or_default();
            unannotated.extend(known.gather(&policy, &context));
        }
        let (policy, binding_name) = (&policy.name, meta::name(&binding));
        let acts = |action: &str| {
            binding["spec"]["validationActions"].as_array().is_some_and(|all| all.iter().any(|a| a == action))
        };
        let mut deny = |message: &str, reason: &str| {
            if denied.is_none() {
                // What is wrong with the policy itself is no binding's fault.
                let bound = match message.starts_with("failed to configure policy") {
                    true => String::new(),
                    false => format!(" with binding '{binding_name}'"),
                };
                let text = format!("ValidatingAdmissionPolicy '{policy}'{bound} denied request: {message}");
                denied = Some(denial(write, &shown, &text, reason));
            }
        };
        for Failure { index, message, reason } in failures {
            if acts("Audit") {
                audit::failed(write.call, &binding, index, &message);
            }
            if acts("Warn") {
                write.call.warn(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding_name}': {message}"
                ));
            }
            if acts("Deny") {
                deny(&message, &reason);
            }
        }
        // What cannot be told to the audit log is refused, whatever the binding does.
        unannotated.iter().for_each(|why| deny(why, "Invalid"));
    }
    for (policy, known) in annotations {
        known.publish(write.call, &policy);
    }
    denied.map_or(Ok(()), Err)
}

/// The object as policies see it: in the version of the request, and a scale where one is written.
fn shown(write: &Write<'_>, object: &Value) -> Result<Value> {
    let object = crate::conversion::shown(write.target, object.clone())?;
    match write.target.at.subresource.as_str() {
        "scale" => kinds::scale::read(&write.target.resource, &object),
        _ => Ok(object),
    }
}

/// Does the binding make the policy look at this write?
async fn concerns(
    write: &Write<'_>,
    operation: Operation,
    policy: &Policy,
    binding: &Value,
    object: &Value,
) -> Result<bool> {
    if write.target.resource.storage.group == "admissionregistration.k8s.io" {
        return Ok(false);
    }
    Ok(constrained(write, operation, &policy.constraints, object, true).await?
        && constrained(write, operation, &binding["spec"]["matchResources"], object, false).await?)
}

/// `MatchResources`; without rules it matches nothing in a policy and everything in a binding.
async fn constrained(
    write: &Write<'_>,
    operation: Operation,
    constraints: &Value,
    object: &Value,
    needs_rules: bool,
) -> Result<bool> {
    let equivalent = constraints["matchPolicy"] != "Exact";
    let fits = |rule: &Value| {
        let names = rule["resourceNames"].as_array().filter(|n| !n.is_empty());
        let name = write.target.at.name.as_str();
        matching::rule_matches(write, operation, rule, equivalent)
            && names.is_none_or(|names| names.iter().any(|n| n == name))
    };
    let list = |field: &str| constraints[field].as_array().cloned().unwrap_or_default();
    let (rules, excluded) = (list("resourceRules"), list("excludeResourceRules"));
    let wanted = if rules.is_empty() { !needs_rules } else { rules.iter().any(fits) };
    if !wanted || excluded.iter().any(fits) {
        return Ok(false);
    }
    let selected = matching::namespace_matches(write, &constraints["namespaceSelector"], object).await?;
    Ok(selected && matching::object_matches(write, constraints, object))
}

/// Gathers what expressions can ask for.
async fn facts(write: &Write<'_>, operation: Operation, object: &Value, params: Value) -> Result<Facts> {
    let mut request = review::attributes(write, operation, object);
    let object = request["object"].take();
    let mut old = request["oldObject"].take();
    if let Some(fields) = request.as_object_mut() {
        fields.remove("object");
        fields.remove("oldObject");
    }
    if write.target.at.subresource == "scale" && old.is_object() {
        old = kinds::scale::read(&write.target.resource, &old)?;
    }
    let namespace = match write.target.at.namespace.as_str() {
        "" => None,
        name => matching::namespace(write.call, name).await?,
    };
    Ok(Facts {
        user: write.call.user.clone(),
        object,
        old,
        request,
        namespace: namespace.unwrap_or_default(),
        params,
    })
}

/// What a policy has against a write.
struct Failure {
    /// Which validation.
    index: usize,
    message: String,
    reason: String,
}

impl Failure {
    /// Of the policy as a whole.
    fn whole(message: String) -> Self {
        Self { index: 0, message, reason: "Invalid".into() }
    }
}

/// What a policy has against the write; `None` when it is not about it.
fn judge<'a>(policy: &'a Policy, context: &Context<'a>) -> Option<Vec<Failure>> {
    match conditions(policy, context) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(_) if policy.ignores_failures => return None,
        Err(error) => return Some(vec![Failure::whole(error)]),
    }
    let checked = policy.validations.iter().enumerate();
    let failed = checked.filter_map(|(index, v)| {
        check(policy, v, context).map(|(message, reason)| Failure { index, message, reason })
    });
    Some(failed.collect())
}

/// Whether all match conditions hold.
fn conditions<'a>(policy: &'a Policy, context: &Context<'a>) -> std::result::Result<bool, String> {
    let mut errors = Vec::new();
    for condition in &policy.conditions {
        match context.flag(&condition.expression) {
            Ok(true) => {}
            // What does not match is passed over, whatever else is wrong.
            Ok(false) => return Ok(false),
            Err(error) => {
                errors.push(format!("expression '{}' resulted in error: {error}", condition.expression.text));
            }
        }
    }
    match errors.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

fn check<'a>(policy: &Policy, validation: &'a Validation, context: &Context<'a>) -> Option<(String, String)> {
    let reason = validation.reason.clone();
    match context.flag(&validation.expression) {
        Ok(true) => None,
        Ok(false) => Some((message(validation, context), reason)),
        Err(_) if policy.ignores_failures => None,
        Err(error) => {
            let text = &validation.expression.text;
            Some((format!("expression '{text}' resulted in error: {error}"), reason))
        }
    }
}

fn message<'a>(validation: &'a Validation, context: &Context<'a>) -> String {
    let made = validation.message_expression.as_ref().and_then(|e| context.text(e).ok());
    let made = made.map(|m| m.trim().to_owned()).filter(|m| !m.is_empty() && !m.contains('\n'));
    made.or_else(|| validation.message.clone())
        .unwrap_or_else(|| format!("failed expression: {}", validation.expression.text.trim()))
}

fn denial(write: &Write<'_>, object: &Value, message: &str, reason: &str) -> ApiError {
    let mut status = refused(write, object, message).to_status();
    let code = match reason {
        "Forbidden" => 403,
        "Unauthorized" => 401,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    status["code"] = code.into();
    status["reason"] = reason.into();
    status["details"]["causes"] = object::json!([{"message": message}]);
    ApiError::Status(Box::new(status))
}

/// Whether the `matchConditions` of a webhook hold; the error says which could not be told.
pub(super) async fn webhook_conditions(
    write: &Write<'_>,
    operation: Operation,
    conditions: &Value,
    object: &Value,
) -> Result<std::result::Result<bool, String>> {
    let conditions: Vec<Condition> = compiled::webhook_conditions(conditions);
    if conditions.is_empty() {
        return Ok(Ok(true));
    }
    let facts = facts(write, operation, object, Value::Null).await?;
    let rules = write.call.api.access.read().await?;
    let policy = Policy { conditions, ..Policy::default() };
    let context = Context::new(&facts, &policy, &rules.state);
    Ok(self::conditions(&policy, &context))
}
