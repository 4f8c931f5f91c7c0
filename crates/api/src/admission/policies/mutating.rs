//! Mutating policies: which apply, in which order, and what becomes of those that fail.

use super::compiled::Policy;
use super::context::Context;
use super::{Operation, concerns, conditions, facts, mutation, params, refused};
use crate::codec;
use crate::pipeline::Write;
use object::{ApiError, Result, Value, meta};

/// Lets mutating policies change the object, in the version of the request.
pub(in crate::admission) async fn mutate(
    write: &Write<'_>,
    operation: Operation,
    object: &mut Value,
) -> Result<()> {
    // There is nothing to change in what is deleted.
    if operation == Operation::Delete {
        return Ok(());
    }
    let bound = write.call.api.policies.read().await?.state.mutating.bound();
    let mut failures = Vec::new();
    let (mut invoked, mut last_change) = (Vec::new(), None);
    for (index, (policy, binding)) in bound.iter().enumerate() {
        if let Some(changed) = invoke(write, operation, (policy, binding), object, &mut failures).await? {
            invoked.push(index);
            last_change = if changed { Some(index) } else { last_change };
        }
    }
    // Who was invoked before a later change may want to see it: once.
    for index in invoked {
        let (policy, binding) = &bound[index];
        if policy.reinvoked && last_change.is_some_and(|last| last > index) {
            invoke(write, operation, (policy, binding), object, &mut failures).await?;
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(denial(write, object, &failures)) }
}

/// Applies one policy: `None` when it is not about the write, else whether it changed the object.
async fn invoke(
    write: &Write<'_>,
    operation: Operation,
    (policy, binding): (&Policy, &Value),
    object: &mut Value,
    failures: &mut Vec<String>,
) -> Result<Option<bool>> {
    if !concerns(write, operation, policy, binding, object).await? {
        return Ok(None);
    }
    let mut fail = |error: String| {
        if !policy.ignores_failures {
            let (policy, binding) = (&policy.name, meta::name(binding));
            failures.push(format!("policy '{policy}' with binding '{binding}' denied request: {error}"));
        }
    };
    let params = params::of(write, policy, binding).await?;
    params.problem.into_iter().for_each(&mut fail);
    let before = object.clone();
    for param in params.found {
        let judged = facts(write, operation, object, param.clone()).await?;
        let applies = {
            let rules = write.call.api.access.read().await?;
            conditions(policy, &Context::new(&judged, policy, &rules.state))
        };
        match applies {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                fail(error);
                continue;
            }
        }
        for mutation in &policy.mutations {
            // Each sees what those before it made.
            let facts = facts(write, operation, object, param.clone()).await?;
            let outcome = {
                let rules = write.call.api.access.read().await?;
                mutation::apply(write, mutation, &Context::new(&facts, policy, &rules.state), object)
            };
            match outcome {
                Ok(Some(changed)) => *object = decoded(write, object, changed)?,
                Ok(None) => {}
                Err(error) => fail(error),
            }
        }
    }
    Ok(Some(before != *object))
}

/// The changed object, defaulted; who owns what is not a policy's to say.
fn decoded(write: &Write<'_>, object: &Value, changed: Value) -> Result<Value> {
    let managed = object["metadata"].get("managedFields").cloned();
    let mut decoded = codec::decode_value(write.call, write.target, &write.target.resource, changed)?;
    match managed {
        Some(managed) => meta::set(&mut decoded, "managedFields", managed),
        None => meta::unset(&mut decoded, "managedFields"),
    }
    Ok(decoded)
}

/// The first failure is the message, all are causes.
fn denial(write: &Write<'_>, object: &Value, failures: &[String]) -> ApiError {
    let mut status = refused(write, object, "admission request denied by policy").to_status();
    status["message"] = failures.first().map_or("", String::as_str).into();
    // What could not be set up is refused as such, what failed is invalid.
    let unset = failures.first().is_some_and(|f| f.contains("denied request: failed to configure "));
    status["reason"] = if unset { "Forbidden" } else { "Invalid" }.into();
    let causes: Vec<Value> = failures.iter().map(|message| object::json!({"message": message})).collect();
    status["details"]["causes"] = causes.into();
    ApiError::Status(Box::new(status))
}
