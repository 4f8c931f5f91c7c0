//! What validating policies tell the audit log.

use super::compiled::Policy;
use super::context::Context;
use crate::call::Call;
use object::{Value, json, meta};
use std::collections::BTreeMap;

/// Longer values are cut.
const MAX_VALUE: usize = 10 * 1024;

/// The annotations of one policy, gathered over its bindings and their parameters.
#[derive(Default)]
pub(super) struct Annotations(BTreeMap<String, Vec<String>>);

impl Annotations {
    /// Evaluates the annotations of a policy; what is wrong with them.
    pub fn gather<'a>(&mut self, policy: &'a Policy, context: &Context<'a>) -> Vec<String> {
        let mut failures = Vec::new();
        for annotation in &policy.audit_annotations {
            match context.optional_text(&annotation.value) {
                Ok(Some(value)) if !value.trim().is_empty() => self.add(&annotation.key, value.trim()),
                Ok(_) => {}
                Err(_) if policy.ignores_failures => {}
                Err(error) => {
                    let text = &annotation.value.text;
                    failures.push(format!("valueExpression '{text}' resulted in error: {error}"));
                }
            }
        }
        failures
    }

    fn add(&mut self, key: &str, value: &str) {
        let mut end = value.len().min(MAX_VALUE);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let values = self.0.entry(key.to_owned()).or_default();
        if !values.iter().any(|known| known == &value[..end]) {
            values.push(value[..end].to_owned());
        }
    }

    /// Writes them down.
    pub fn publish(self, call: &Call, policy: &str) {
        for (key, values) in self.0 {
            call.annotate(&format!("{policy}/{key}"), &values.join(", "));
        }
    }
}

/// Writes down that a binding with the action `Audit` has something against the write.
pub(super) fn failed(call: &Call, binding: &Value, index: usize, message: &str) {
    let failure = json!([{
        "message": message, "policy": binding["spec"]["policyName"], "binding": meta::name(binding),
        "expressionIndex": index, "validationActions": binding["spec"]["validationActions"],
    }]);
    call.annotate("validation.policy.admission.k8s.io/validation_failure", &failure.to_string());
}
