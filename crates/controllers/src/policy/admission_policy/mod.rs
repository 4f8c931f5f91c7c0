//! Tells in a validating policy's status which of its expressions cannot be meant for the objects that it matches.
//!
//! A policy is judged once for each of its generations, against the kinds that its rules name without wildcards; those that
//! the server does not have (yet) are passed over. Warnings are all that comes of it.

mod kinds;
mod schema;

use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan, Verb};
use crate::resources::VALIDATING_ADMISSION_POLICIES;
use cel_rules::{Decl, Program, Scope, Type, Types};
use client::discovery::discover;
use client::{Cache, Change, Client, Patch};
use futures::future::BoxFuture;
use object::{GroupVersion, GroupVersionKind, GroupVersionResource, Result, meta};
use serde_json::{Value, json};
use std::sync::Arc;

const NAME: &str = "validatingadmissionpolicy-status-controller";

/// See the module.
pub(crate) struct AdmissionPolicyStatusController;

impl Controller for AdmissionPolicyStatusController {
    fn name(&self) -> &'static str {
        NAME
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&VALIDATING_ADMISSION_POLICIES]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        add(Key::new("", &change.entry().name));
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let Some(policy) = shell.cache.get(&VALIDATING_ADMISSION_POLICIES, "", &key.name) else {
                return Ok(Plan::nothing());
            };
            if generation(&policy["metadata"]["generation"])
                <= generation(&policy["status"]["observedGeneration"])
            {
                return Ok(Plan::nothing());
            }
            // The names of types are made up anew each time, so that they are no one's.
            let salt = shell.now().subsec_nanosecond();
            let subject = Subject::of(&shell.client, &policy, salt).await?;
            Ok(Plan::of(vec![told(&policy, &subject.warnings(&policy["spec"]))]))
        })
    }
}

fn generation(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// Writes the status.
fn told(policy: &Value, warnings: &[Value]) -> Action {
    let name = meta::name(policy).to_owned();
    let checked = if warnings.is_empty() { json!({}) } else { json!({"expressionWarnings": warnings}) };
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "status": {"observedGeneration": policy["metadata"]["generation"], "typeChecking": checked}});
    let patch = Patch::Apply { object, manager: NAME.to_owned(), force: true };
    Action {
        gvr: VALIDATING_ADMISSION_POLICIES.clone(),
        verb: Verb::Patch { namespace: String::new(), name, subresource: "status", patch },
        succeeded: None,
        failed: None,
    }
}

/// What a policy is about: the kinds it matches and that of its parameters, with their types.
#[derive(Default)]
struct Subject {
    kinds: Vec<(GroupVersionKind, Arc<Decl>)>,
    params: Option<Arc<Decl>>,
}

impl Subject {
    async fn of(client: &Client, policy: &Value, salt: i32) -> Result<Self> {
        let rules = &policy["spec"]["matchConstraints"]["resourceRules"];
        let wanted = kinds::named(rules);
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let found = kinds::matched(&wanted, &discover(client).await?.resources);
        let mut documents = schema::Documents::new(client);
        let mut kinds = vec![];
        for gvk in found {
            if let Some(decl) = documents.declaration(&gvk, salt).await? {
                kinds.push((gvk, decl));
            }
        }
        let params = match param_kind(&policy["spec"]["paramKind"]) {
            Some(gvk) => documents.declaration(&gvk, salt).await?,
            None => None,
        };
        Ok(Self { kinds, params })
    }

    /// An `expressionWarnings` entry for each expression that some kind does not bear.
    fn warnings(&self, spec: &Value) -> Vec<Value> {
        let mut warnings = vec![];
        for (index, validation) in each(&spec["validations"]).enumerate() {
            for field in ["expression", "messageExpression"] {
                let text = validation[field].as_str().unwrap_or("");
                let issues = if text.is_empty() { vec![] } else { self.issues(spec, text) };
                if !issues.is_empty() {
                    warnings.push(json!({"fieldRef": format!("spec.validations[{index}].{field}"), "warning": issues.join("\n")}));
                }
            }
        }
        warnings
    }

    fn issues(&self, spec: &Value, text: &str) -> Vec<String> {
        let judged = self.kinds.iter().filter_map(|(gvk, decl)| {
            let types = Types { object: decl, params: self.params.as_ref() };
            let error = judge(spec, text, types)?;
            Some(format!("{}, Kind={}: {error}\n", shown(gvk), gvk.kind))
        });
        judged.collect()
    }
}

fn shown(gvk: &GroupVersionKind) -> String {
    format!("{}/{}", gvk.group, gvk.version)
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn param_kind(param: &Value) -> Option<GroupVersionKind> {
    let gv = GroupVersion::parse(param["apiVersion"].as_str()?)?;
    Some(GroupVersionKind::new(&gv.group, &gv.version, param["kind"].as_str()?))
}

/// More variables than this are not known to a policy.
const MAX_VARIABLES: usize = 256;

/// What is wrong with an expression about objects of these types.
fn judge(spec: &Value, text: &str, types: Types<'_>) -> Option<String> {
    let params = spec["paramKind"].is_object();
    let mut known: Vec<(String, Type)> = vec![];
    let plain = Scope { namespace: true, authorizer: true, params, types: Some(types), ..Scope::default() };
    for variable in each(&spec["variables"]).take(MAX_VARIABLES) {
        let environment = Scope { variables: Some(&known), ..plain }.environment();
        let text = variable["expression"].as_str().unwrap_or("");
        let ty = Program::compile(text, &environment).map_or(Type::Dyn, |p| p.result_type().clone());
        known.push((variable["name"].as_str().unwrap_or("").to_owned(), ty));
    }
    let environment = Scope { variables: Some(&known), ..plain }.environment();
    // What cannot be run may still be right in its types.
    let error = Program::compile(text, &environment).err()?;
    (!error.is_unrunnable).then_some(error.text)
}

#[cfg(test)]
mod tests;
