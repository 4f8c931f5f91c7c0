//! ValidatingAdmissionPolicies, MutatingAdmissionPolicies and their bindings. Whether CEL compiles is judged elsewhere.

use super::webhooks::{match_conditions, one_of, rule_with_operations};
use crate::node::{Errors, Node, check_required_text, check_text};
use crate::selectors::label_selector;
use object::{FieldError, GroupVersion, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const MUTATED: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];

/// A ValidatingAdmissionPolicy.
pub fn validating(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    common(e, &spec, false);
    variables(e, &spec.get("variables"));
    let (validations, annotations) = (spec.get("validations"), spec.get("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        e.push(validations.required(detail));
        e.push(annotations.required(detail));
    }
    validations.items().for_each(|v| validation(e, &v));
    audit_annotations(e, &annotations, object);
}

/// An update of a ValidatingAdmissionPolicy.
pub fn validating_update(e: &mut Errors, new: &Value, _old: &Value) {
    validating(e, new);
}

fn common(e: &mut Errors, spec: &Node<'_>, mutates: bool) {
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
    match_conditions(e, &spec.get("matchConditions"));
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

fn variables(e: &mut Errors, variables: &Node<'_>) {
    for variable in variables.items() {
        let (name, expression) = (variable.get("name"), variable.get("expression"));
        if name.text().trim().is_empty() {
            e.push(name.required("name is not specified"));
        } else if !names::c_identifier(name.text()).is_empty() || cel_rules::is_keyword(name.text()) {
            e.push(name.invalid("must be a valid CEL identifier"));
        }
        if expression.text().trim().is_empty() {
            e.push(expression.required("expression is not specified"));
        }
    }
}

fn validation(e: &mut Errors, validation: &Node<'_>) {
    let (expression, message) = (validation.get("expression"), validation.get("message"));
    let message_expression = validation.get("messageExpression");
    if expression.text().trim().is_empty() {
        e.push(expression.required("expression is not specified"));
    }
    if !message_expression.is_empty() && message_expression.text().trim().is_empty() {
        e.push(message_expression.invalid("must be non-empty if specified"));
    }
    let text = message.text();
    if !text.is_empty() && text.trim().is_empty() {
        e.push(message.invalid("must be non-empty if specified"));
    } else if text.trim().contains(['\n', '\r']) {
        e.push(message.invalid("must not contain line breaks"));
    }
    one_of(e, &validation.get("reason"), &REASONS);
}

fn audit_annotations(e: &mut Errors, annotations: &Node<'_>, object: &Value) {
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
        if value.text().trim().is_empty() {
            e.push(value.required("valueExpression is not specified"));
        } else if value.text().trim().len() > 5 * 1024 {
            e.push(value.required("must not exceed 5120 bytes in length"));
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
    common(e, &spec, true);
    variables(e, &spec.get("variables"));
    let mutations = spec.get("mutations");
    if mutations.is_empty() {
        e.push(mutations.required("mutations must contain at least one item"));
    }
    mutations.items().for_each(|m| mutation(e, &m));
    let reinvocation = spec.get("reinvocationPolicy");
    if reinvocation.is_empty() {
        e.push(reinvocation.required(""));
    } else {
        one_of(e, &reinvocation, &["IfNeeded", "Never"]);
    }
}

/// An update of a MutatingAdmissionPolicy.
pub fn mutating_update(e: &mut Errors, new: &Value, _old: &Value) {
    mutating(e, new);
}

fn mutation(e: &mut Errors, mutation: &Node<'_>) {
    let kind = mutation.get("patchType");
    let (apply, patch) = (mutation.get("applyConfiguration"), mutation.get("jsonPatch"));
    let (chosen, other) = match kind.text() {
        "" => {
            e.push(kind.required(""));
            return;
        }
        "ApplyConfiguration" => (&apply, &patch),
        "JSONPatch" => (&patch, &apply),
        _ => {
            e.push(kind.not_supported(&["ApplyConfiguration", "JSONPatch"]));
            return;
        }
    };
    if chosen.is_set() {
        if chosen.get("expression").text().trim().is_empty() {
            e.push(chosen.get("expression").required(""));
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
