//! Webhooks: other servers that change or refuse writes.

mod call;
pub(super) mod matching;
pub(super) mod review;

use super::{Operation, policies, refused};
use crate::codec;
use crate::followed::State;
use crate::metrics::Outcome;
use crate::pipeline::Write;
use object::{ApiError, Result, Value, meta};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The webhook configurations of the cluster, by store key, so that hooks are called in the order of names.
#[derive(Default)]
pub(crate) struct Hooks {
    mutating: BTreeMap<String, Arc<Value>>,
    validating: BTreeMap<String, Arc<Value>>,
}

impl State for Hooks {
    fn apply(&mut self, key: &str, object: Option<Value>) {
        let kept = match key.split('/').nth(2) {
            Some("mutatingwebhookconfigurations") => &mut self.mutating,
            Some("validatingwebhookconfigurations") => &mut self.validating,
            _ => return,
        };
        match object {
            Some(object) => drop(kept.insert(key.to_owned(), Arc::new(object))),
            None => drop(kept.remove(key)),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// One hook to call.
struct Hook {
    configuration: Arc<Value>,
    index: usize,
}

impl Hook {
    fn value(&self) -> &Value {
        &self.configuration["webhooks"][self.index]
    }

    fn mutates(&self) -> bool {
        self.configuration["kind"] == "MutatingWebhookConfiguration"
    }

    fn name(&self) -> &str {
        self.value()["name"].as_str().unwrap_or("")
    }
}

fn hooks(configurations: &BTreeMap<String, Arc<Value>>) -> Vec<Hook> {
    let mut all = Vec::new();
    for configuration in configurations.values() {
        let count = configuration["webhooks"].as_array().map_or(0, Vec::len);
        all.extend((0..count).map(|index| Hook { configuration: configuration.clone(), index }));
    }
    all
}

/// What is asked about: configurations of admission itself are not, or nobody could repair them.
fn concerns(write: &Write<'_>) -> bool {
    write.target.resource.storage.group != "admissionregistration.k8s.io"
}

/// Lets mutating webhooks change the object, in the version of the request.
pub(super) async fn mutate(write: &Write<'_>, operation: Operation, object: &mut Value) -> Result<()> {
    let all = hooks(&write.call.api.hooks.read().await?.state.mutating);
    if all.is_empty() || !concerns(write) {
        return Ok(());
    }
    let mut last_change = None;
    let mut called = Vec::new();
    for (index, hook) in all.iter().enumerate() {
        if let Some(changed) = ask_to_change(write, operation, hook, object).await? {
            called.push(index);
            if changed {
                last_change = Some(index);
            }
        }
    }
    // Who was called before a later change may want to see it: once.
    for index in called {
        let hook = &all[index];
        let later = last_change.is_some_and(|last| last > index);
        if later && hook.value()["reinvocationPolicy"] == "IfNeeded" {
            ask_to_change(write, operation, hook, object).await?;
        }
    }
    Ok(())
}

/// Calls one mutating webhook: `None` when it is not asked, else whether it changed the object.
async fn ask_to_change(
    write: &Write<'_>,
    operation: Operation,
    hook: &Hook,
    object: &mut Value,
) -> Result<Option<bool>> {
    if !matches(write, operation, hook, object).await? {
        return Ok(None);
    }
    let Some(answer) = ask(write, operation, hook, object).await? else { return Ok(Some(false)) };
    if operation == Operation::Connect {
        return Ok(Some(false));
    }
    let operations = match review::patch(&answer) {
        Ok(operations) => operations,
        Err(error) => return tolerate(hook, error).map(|()| Some(false)),
    };
    let Some(operations) = operations else { return Ok(Some(false)) };
    let patched = review::patched(&operations, object)?;
    let managed = object["metadata"].get("managedFields").cloned();
    let decoded = codec::decode_value(write.call, write.target, &write.target.resource, patched);
    let mut decoded = decoded.map_err(|error| {
        // Whose it is goes without saying.
        let message = error.message();
        let why = message.split_once(" cannot be handled as a ").and_then(|(_, rest)| rest.split_once(": "));
        ApiError::Internal(why.map_or(message.as_str(), |(_, why)| why).to_owned())
    })?;
    // Who owns what is not a webhook's to say.
    match managed {
        Some(managed) => meta::set(&mut decoded, "managedFields", managed),
        None => meta::unset(&mut decoded, "managedFields"),
    }
    let changed = decoded != *object;
    *object = decoded;
    Ok(Some(changed))
}

/// Whether a hook is asked about the write.
async fn matches(write: &Write<'_>, operation: Operation, hook: &Hook, object: &Value) -> Result<bool> {
    if !matching::matches(write, operation, hook.value(), object).await? {
        return Ok(false);
    }
    let conditions = &hook.value()["matchConditions"];
    match policies::webhook_conditions(write, operation, conditions, object).await? {
        Ok(hold) => Ok(hold),
        Err(error) if hook.value()["failurePolicy"] == "Ignore" => {
            tracing::warn!(webhook = hook.name(), error, "match condition failed; the webhook is not asked");
            Ok(false)
        }
        Err(error) => Err(refused(write, object, &error)),
    }
}

/// Asks validating webhooks, all at once.
pub(super) async fn validate(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    let all = hooks(&write.call.api.hooks.read().await?.state.validating);
    if all.is_empty() || !concerns(write) {
        return Ok(());
    }
    // Hooks see the version of the request.
    let shown = crate::conversion::shown(write.target, object.clone())?;
    let answers = all.iter().map(|hook| async {
        if matches(write, operation, hook, &shown).await? {
            ask(write, operation, hook, &shown).await?;
        }
        Ok(())
    });
    futures::future::try_join_all(answers).await.map(drop)
}

/// The answer of a hook that lets the write through; `None` when it failed and that does not matter.
async fn ask(write: &Write<'_>, operation: Operation, hook: &Hook, object: &Value) -> Result<Option<Value>> {
    let value = hook.value();
    let side_effects = value["sideEffects"].as_str().unwrap_or("");
    if write.call.dry_run() && !matches!(side_effects, "None" | "NoneOnDryRun") {
        return Err(ApiError::BadRequest(format!(
            "admission webhook \"{}\" does not support dry run",
            hook.name()
        )));
    }
    let review = review::request(write, operation, object);
    let request = &review["request"];
    let began = Instant::now();
    let answer = call::call(write.call, value, &review).await;
    let answer = answer.and_then(|answer| review::response(answer, &request["uid"], hook.mutates()));
    let outcome = match &answer {
        Ok(response) if response["allowed"] == true => Outcome::Allowed,
        Ok(response) => Outcome::Refused(review::denied(hook.name(), response).code()),
        Err(_) => Outcome::Failed { refused: value["failurePolicy"] != "Ignore" },
    };
    let kind = if hook.mutates() { "admit" } else { "validating" };
    let metrics = write.call.api.metrics().hooks();
    metrics.called(hook.name(), kind, review::operation(operation), &outcome, began.elapsed());
    let response = match answer {
        Ok(response) => response,
        Err(error) => return tolerate(hook, error).map(|()| None),
    };
    for (key, value) in response["auditAnnotations"].as_object().into_iter().flatten() {
        write.call.annotate(&format!("{}/{key}", hook.name()), value.as_str().unwrap_or(""));
    }
    for warning in response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        write.call.warn(warning);
    }
    if response["allowed"] == true { Ok(Some(response)) } else { Err(review::denied(hook.name(), &response)) }
}

/// A hook that fails refuses, unless its policy is to be ignored then.
fn tolerate(hook: &Hook, error: String) -> Result<()> {
    if hook.value()["failurePolicy"] == "Ignore" {
        tracing::warn!(webhook = hook.name(), error, "webhook failed; its policy is to be ignored");
        return Ok(());
    }
    let message = format!("failed calling webhook \"{}\": {error}", hook.name());
    Err(ApiError::Internal(message))
}
