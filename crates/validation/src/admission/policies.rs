//! ValidatingAdmissionPolicies, MutatingAdmissionPolicies and their bindings.
//!
//! What is wrong with CEL is said where the expression stands, among what else is wrong. A spec that stays is not compiled
//! again.

use super::webhooks::{match_conditions, one_of, rule_with_operations};
use crate::expressions::{Wanted, fault};
use crate::node::{Errors, Node, check_required_text, check_text, same};
use crate::selectors::label_selector;
use cel_rules::{Environment, Program, Scope, Type};
use object::{FieldError, GroupVersion, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const MUTATED: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];

/// A ValidatingAdmissionPolicy.
pub fn validating(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let scope = scope(&spec);
    common(e, &spec, scope, false);
    let known = variables(e, &spec.get("variables"), scope);
    let (validations, annotations) = (spec.get("validations"), spec.get("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        e.push(validations.required(detail));
        e.push(annotations.required(detail));
        return;
    }
    let scope = Scope { variables: (!known.is_empty()).then_some(&known), ..scope };
    let judging = scope.environment();
    let telling = Scope { authorizer: false, ..scope }.environment();
    validations.items().for_each(|v| validation(e, &v, &judging, &telling));
    audit_annotations(e, &annotations, object, &judging);
}

/// What all expressions of a policy may speak of.
fn scope(spec: &Node<'_>) -> Scope<'static> {
    let params = spec.get("paramKind").is_set();
    Scope { namespace: true, authorizer: true, params, ..Scope::default() }
}

/// An update of a ValidatingAdmissionPolicy.
pub fn validating_update(e: &mut Errors, new: &Value, old: &Value) {
    if !same(&new["spec"], &old["spec"]) {
        validating(e, new);
    }
}

fn common(e: &mut Errors, spec: &Node<'_>, scope: Scope<'_>, mutates: bool) {
    failure_policy(e, &spec.get("failurePolicy"));
    if spec.get("paramKind").is_set() {
        param_kind(e, &spec.get("paramKind"));
    }
    let constraints = spec.get("matchConstraints");
    if constraints.is_set() {
        match_resources(e, &constraints, true);
        if mutates {
            mutable_operations(e, &constraints);
        }
    } else {
        e.push(constraints.required(""));
    }
    match_conditions(e, &spec.get("matchConditions"), scope);
}

fn failure_policy(e: &mut Errors, policy: &Node<'_>) {
    if !policy.is_set() {
        e.push(policy.required(""));
    }
    one_of(e, policy, &["Fail", "Ignore"]);
}

fn param_kind(e: &mut Errors, kind: &Node<'_>) {
    let (api_version, name) = (kind.get("apiVersion"), kind.get("kind"));
    if api_version.is_empty() {
        e.push(api_version.required(""));
    } else {
        match GroupVersion::parse(api_version.text()) {
            None => {
                let quoted = format!("unexpected GroupVersion string: {}", api_version.text());
                e.push(api_version.invalid(&quoted));
            }
            Some(gv) => {
                if !gv.group.is_empty() {
                    let errors = names::dns1123_subdomain(&gv.group);
                    if !errors.is_empty() {
                        e.push(api_version.invalid_as(gv.group, &errors.join(",")));
                    }
                }
                let errors = names::dns1035_label(&gv.version);
                if gv.version.is_empty() {
                    e.push(api_version.invalid("version must be specified"));
                } else if !errors.is_empty() {
                    e.push(api_version.invalid_as(gv.version, &errors.join(",")));
                }
            }
        }
    }
    if name.is_empty() {
        e.push(name.required(""));
    } else {
        let errors = names::dns1035_label(&name.text().to_lowercase());
        if !errors.is_empty() {
            e.push(
                name.invalid(&format!(
                    "may have mixed case, but should otherwise match: {}",
                    errors.join(",")
                )),
            );
        }
    }
}

/// Which requests a policy or a binding is about.
fn match_resources(e: &mut Errors, resources: &Node<'_>, rules_required: bool) {
    let policy = resources.get("matchPolicy");
    if !policy.is_set() {
        e.push(policy.required(""));
    }
    one_of(e, &policy, &["Equivalent", "Exact"]);
    for selector in ["namespaceSelector", "objectSelector"] {
        if resources.get(selector).is_set() {
            label_selector(e, &resources.get(selector));
        } else {
            e.push(resources.get(selector).required(""));
        }
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        resources.get(list).items().for_each(|rule| named_rule(e, &rule));
    }
    if rules_required && resources.get("resourceRules").is_empty() {
        e.push(resources.get("resourceRules").required(""));
    }
}

fn named_rule(e: &mut Errors, rule: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for name in rule.get("resourceNames").items() {
        e.extend(names::path_segment_name(name.text()).iter().map(|m| name.invalid_text(m)));
        if !seen.insert(name.text()) {
            e.push(name.duplicate());
        }
    }
    rule_with_operations(e, rule, true);
}

/// Deletions cannot be mutated.
fn mutable_operations(e: &mut Errors, resources: &Node<'_>) {
    let rules = resources.get("resourceRules");
    let at = rules.path.field("operations");
    for operation in rules.items().flat_map(|rule| rule.get("operations").items()) {
        if !MUTATED.contains(&operation.text()) {
            e.push(operation.moved(at.clone()).not_supported(&MUTATED));
        }
    }
}

/// More variables than this are not compiled: each sees those before it.
const MAX_VARIABLES: usize = 256;

/// The types of a policy's variables; each may use those before it.
fn variables(e: &mut Errors, variables: &Node<'_>, scope: Scope<'_>) -> Vec<(String, Type)> {
    let mut known: Vec<(String, Type)> = vec![];
    for variable in variables.items() {
        let (name, expression) = (variable.get("name"), variable.get("expression"));
        if name.text().trim().is_empty() {
            e.push(name.required("name is not specified"));
        } else if !names::c_identifier(name.text()).is_empty() || cel_rules::is_keyword(name.text()) {
            e.push(name.invalid("must be a valid CEL identifier"));
        }
        if expression.text().trim().is_empty() {
            e.push(expression.required("expression is not specified"));
        } else if known.len() < MAX_VARIABLES {
            let environment = Scope { variables: Some(&known), ..scope }.environment();
            let compiled = Program::compile(expression.text(), &environment);
            let ty = compiled.map(|program| program.result_type().clone()).unwrap_or_else(|error| {
                e.push(expression.invalid(&error.to_string()));
                Type::Dyn
            });
            known.push((name.text().to_owned(), ty));
        }
    }
    known
}

fn validation(e: &mut Errors, validation: &Node<'_>, judging: &Environment, telling: &Environment) {
    let (expression, message) = (validation.get("expression"), validation.get("message"));
    let message_expression = validation.get("messageExpression");
    if expression.text().trim().is_empty() {
        e.push(expression.required("expression is not specified"));
    } else {
        e.extend(fault(expression.text(), judging, Wanted::Bool).map(|why| expression.invalid(&why)));
    }
    if message_expression.text().trim().is_empty() {
        if !message_expression.is_empty() {
            e.push(message_expression.invalid("must be non-empty if specified"));
        }
    } else {
        let why = fault(message_expression.text(), telling, Wanted::Text);
        e.extend(why.map(|why| message_expression.invalid(&why)));
    }
    let text = message.text();
    if !text.is_empty() && text.trim().is_empty() {
        e.push(message.invalid("must be non-empty if specified"));
    } else if text.trim().contains(['\n', '\r']) {
        e.push(message.invalid("must not contain line breaks"));
    }
    one_of(e, &validation.get("reason"), &REASONS);
}

fn audit_annotations(e: &mut Errors, annotations: &Node<'_>, object: &Value, environment: &Environment) {
    if annotations.len() > 20 {
        let detail = "must not have more than 20 auditAnnotations";
        e.push(annotations.invalid(detail));
    }
    let policy = object["metadata"]["name"].as_str().unwrap_or("");
    let mut seen = BTreeSet::new();
    for annotation in annotations.items() {
        let (key, value) = (annotation.get("key"), annotation.get("valueExpression"));
        if policy.is_empty() {
            e.push(key.invalid_text("requires metadata.name be non-empty"));
        } else {
            let full = format!("{policy}/{}", key.text());
            e.extend(names::qualified_name(&full).iter().map(|m| key.invalid_as(full.as_str(), m)));
        }
        let expression = value.text().trim();
        if expression.is_empty() {
            e.push(value.required("valueExpression is not specified"));
        } else if expression.len() > 5 * 1024 {
            e.push(value.required("must not exceed 5120 bytes in length"));
        } else {
            e.extend(fault(expression, environment, Wanted::MaybeText).map(|why| value.invalid(&why)));
        }
        if !seen.insert(key.text()) {
            e.push(FieldError::duplicate(&key.path, &json!(key.text())));
        }
    }
}

/// A ValidatingAdmissionPolicyBinding.
pub fn validating_binding(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    check_required_text(e, &spec.get("policyName"), names::dns1123_subdomain);
    param_ref(e, &spec.get("paramRef"));
    if spec.get("matchResources").is_set() {
        match_resources(e, &spec.get("matchResources"), false);
    }
    actions(e, &spec.get("validationActions"));
}

/// An update of a ValidatingAdmissionPolicyBinding.
pub fn validating_binding_update(e: &mut Errors, new: &Value, _old: &Value) {
    validating_binding(e, new);
}

fn actions(e: &mut Errors, actions: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for action in actions.items() {
        one_of(e, &action, &["Audit", "Deny", "Warn"]);
        if !seen.insert(action.text()) {
            e.push(action.duplicate());
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                      response and headers serves no purpose)";
        e.push(actions.invalid(detail));
    }
    if seen.is_empty() {
        e.push(actions.required("at least one validation action is required"));
    }
}

fn param_ref(e: &mut Errors, reference: &Node<'_>) {
    if !reference.is_set() {
        return;
    }
    let (name, selector, missing) =
        (reference.get("name"), reference.get("selector"), reference.get("parameterNotFoundAction"));
    if !name.is_empty() {
        check_text(e, &name, names::path_segment_name);
        if selector.is_set() {
            e.push(name.forbidden("name and selector are mutually exclusive"));
        }
    }
    if selector.is_set() {
        label_selector(e, &selector);
        if !name.is_empty() {
            e.push(selector.forbidden("name and selector are mutually exclusive"));
        }
    }
    if name.is_empty() && !selector.is_set() {
        e.push(reference.required("one of name or selector must be specified"));
    }
    if missing.is_empty() {
        e.push(missing.required(""));
    } else {
        one_of(e, &missing, &["Deny", "Allow"]);
    }
}

/// A MutatingAdmissionPolicy.
pub fn mutating(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let scope = scope(&spec);
    common(e, &spec, scope, true);
    let known = variables(e, &spec.get("variables"), scope);
    let environment = Scope { variables: Some(&known), mutations: true, ..scope }.environment();
    let mutations = spec.get("mutations");
    if mutations.is_empty() {
        e.push(mutations.required("mutations must contain at least one item"));
    }
    mutations.items().for_each(|m| mutation(e, &m, &environment));
    let reinvocation = spec.get("reinvocationPolicy");
    if reinvocation.is_empty() {
        e.push(reinvocation.required(""));
    } else {
        one_of(e, &reinvocation, &["IfNeeded", "Never"]);
    }
}

/// An update of a MutatingAdmissionPolicy.
pub fn mutating_update(e: &mut Errors, new: &Value, old: &Value) {
    if !same(&new["spec"], &old["spec"]) {
        mutating(e, new);
    }
}

fn mutation(e: &mut Errors, mutation: &Node<'_>, environment: &Environment) {
    let kind = mutation.get("patchType");
    let (apply, patch) = (mutation.get("applyConfiguration"), mutation.get("jsonPatch"));
    let (chosen, other, wanted) = match kind.text() {
        "" => {
            e.push(kind.required(""));
            return;
        }
        "ApplyConfiguration" => (&apply, &patch, Wanted::Object),
        "JSONPatch" => (&patch, &apply, Wanted::JsonPatches),
        _ => {
            e.push(kind.not_supported(&["ApplyConfiguration", "JSONPatch"]));
            return;
        }
    };
    if chosen.is_set() {
        let at = chosen.get("expression");
        let expression = at.text().trim();
        if expression.is_empty() {
            e.push(at.required(""));
        } else {
            e.extend(fault(expression, environment, wanted).map(|why| at.invalid_as(expression, &why)));
        }
    } else {
        e.push(chosen.required(&format!("must be specified when patchType is {}", kind.text())));
    }
    if other.is_set() {
        let shown = if kind.text() == "JSONPatch" { "{applyConfiguration}" } else { "{jsonPatch}" };
        e.push(other.invalid_as(shown, &format!("must not be specified when patchType is {}", kind.text())));
    }
}

/// A MutatingAdmissionPolicyBinding.
pub fn mutating_binding(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    check_required_text(e, &spec.get("policyName"), names::dns1123_subdomain);
    param_ref(e, &spec.get("paramRef"));
    if spec.get("matchResources").is_set() {
        match_resources(e, &spec.get("matchResources"), false);
        mutable_operations(e, &spec.get("matchResources"));
    }
}

/// An update of a MutatingAdmissionPolicyBinding.
pub fn mutating_binding_update(e: &mut Errors, new: &Value, _old: &Value) {
    mutating_binding(e, new);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a policy with these fields in its spec, one a line.
    fn faults(check: fn(&mut Errors, &Value), more: Value) -> String {
        let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
        let constraints = json!({
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [rule],
        });
        let mut spec = json!({"failurePolicy": "Fail", "matchConstraints": constraints});
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let mut errors = vec![];
        check(&mut errors, &json!({"metadata": {"name": "p"}, "spec": spec}));
        let first_line =
            |e: &FieldError| format!("{}: {}", e.path, e.message).lines().next().unwrap_or("").to_owned();
        errors.iter().map(first_line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn expressions_are_judged_where_they_stand() {
        let found = faults(
            validating,
            json!({
                "failurePolicy": "Never",
                "matchConditions": [{"name": "a", "expression": " 1 "}, {"name": "a", "expression": "variables.x"}],
                "variables": [{"name": "1", "expression": "'x'"}, {"name": "y", "expression": "variables.z"}],
                "validations": [
                    {"expression": "nope", "messageExpression": "authorizer", "reason": "Why"},
                    {"expression": "", "messageExpression": "1"},
                ],
                "auditAnnotations": [{"key": "", "valueExpression": "1"}],
            }),
        );
        let wanted = r#"
spec.failurePolicy: Unsupported value: "Never": supported values: "Fail", "Ignore"
spec.matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int
spec.matchConditions[1].expression: Invalid value: "variables.x": compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')
spec.matchConditions[1].name: Duplicate value: "a"
spec.variables[0].name: Invalid value: "1": must be a valid CEL identifier
spec.variables[1].expression: Invalid value: "variables.z": compilation failed: ERROR: <input>:1:10: undefined field 'z'
spec.validations[0].expression: Invalid value: "nope": compilation failed: ERROR: <input>:1:1: undeclared reference to 'nope' (in container '')
spec.validations[0].messageExpression: Invalid value: "authorizer": compilation failed: ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')
spec.validations[0].reason: Unsupported value: "Why": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"
spec.validations[1].expression: Required value: expression is not specified
spec.validations[1].messageExpression: Invalid value: "1": must evaluate to string but got int"#;
        let (head, annotations) =
            found.split_once("\nspec.auditAnnotations").expect("annotations are judged");
        assert_eq!(head, wanted.trim());
        let last = "[0].valueExpression: Invalid value: \"1\": must evaluate to one of [string null_type] but got int";
        assert!(annotations.ends_with(last), "{annotations}");
    }

    #[test]
    fn mutations_are_judged_before_reinvocation() {
        let apply = json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "1"}});
        let patch = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "["}});
        let found = faults(mutating, json!({"mutations": [apply, patch]}));
        let wanted = r#"
spec.mutations[0].applyConfiguration.expression: Invalid value: "1": must evaluate to Object but got int
spec.mutations[1].jsonPatch.expression: Invalid value: "[": compilation failed: ERROR: <input>:1:2: Syntax error: mismatched input '<EOF>' expecting {'[', ']', '{', '(', '.', ',', '-', '!', '?', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
spec.reinvocationPolicy: Required value"#;
        assert_eq!(found, wanted.trim());
    }
}
