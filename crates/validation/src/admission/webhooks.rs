//! ValidatingWebhookConfigurations and MutatingWebhookConfigurations, and the rules and conditions policies share.

use crate::expressions::{Wanted, fault};
use crate::node::{Errors, Node, check_required_text, check_text, same};
use crate::selectors::label_selector;
use cel_rules::Scope;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// A ValidatingWebhookConfiguration.
pub fn validating(e: &mut Errors, object: &Value) {
    webhooks(e, object, false);
}

/// An update of a ValidatingWebhookConfiguration.
pub fn validating_update(e: &mut Errors, new: &Value, old: &Value) {
    if !same(&new["webhooks"], &old["webhooks"]) {
        webhooks(e, new, false);
    }
}

/// A MutatingWebhookConfiguration.
pub fn mutating(e: &mut Errors, object: &Value) {
    webhooks(e, object, true);
}

/// An update of a MutatingWebhookConfiguration.
pub fn mutating_update(e: &mut Errors, new: &Value, old: &Value) {
    if !same(&new["webhooks"], &old["webhooks"]) {
        webhooks(e, new, true);
    }
}

fn webhooks(e: &mut Errors, object: &Value, mutating: bool) {
    let mut seen = BTreeSet::new();
    for hook in Node::root(object).get("webhooks").items() {
        webhook(e, &hook, mutating);
        review_versions(e, &hook.get("admissionReviewVersions"));
        if !hook.get("name").is_empty() && !seen.insert(hook.get("name").text()) {
            e.push(FieldError::duplicate(&hook.path.field("name"), &json!(hook.get("name").text())));
        }
    }
}

fn webhook(e: &mut Errors, hook: &Node<'_>, mutating: bool) {
    qualified_name(e, &hook.get("name"));
    hook.get("rules").items().for_each(|r| rule_with_operations(e, &r, true));
    one_of(e, &hook.get("failurePolicy"), &["Fail", "Ignore"]);
    one_of(e, &hook.get("matchPolicy"), &["Equivalent", "Exact"]);
    let effects = hook.get("sideEffects");
    if !effects.is_set() {
        e.push(effects.required("must specify one of None, NoneOnDryRun"));
    }
    one_of(e, &effects, &["None", "NoneOnDryRun"]);
    let timeout = hook.get("timeoutSeconds");
    if timeout.number().is_some_and(|s| !(1..=30).contains(&s)) {
        e.push(timeout.invalid("the timeout value must be between 1 and 30 seconds"));
    }
    label_selector(e, &hook.get("namespaceSelector"));
    label_selector(e, &hook.get("objectSelector"));
    if mutating {
        one_of(e, &hook.get("reinvocationPolicy"), &["IfNeeded", "Never"]);
    }
    client_config(e, &hook.get("clientConfig"));
    match_conditions(e, &hook.get("matchConditions"), Scope { authorizer: true, ..Scope::default() });
}

/// One of `supported`, if set.
pub fn one_of(e: &mut Errors, node: &Node<'_>, supported: &[&str]) {
    crate::node::check_supported(e, node, supported);
}

/// `a.b.c`: at least three segments.
fn qualified_name(e: &mut Errors, name: &Node<'_>) {
    if name.is_empty() {
        e.push(name.required(""));
        return;
    }
    let errors = names::dns1123_subdomain(name.text());
    if !errors.is_empty() {
        e.push(name.invalid(&errors.join(",")));
    } else if name.text().split('.').count() < 3 {
        e.push(name.invalid("should be a domain with at least three segments separated by dots"));
    }
}

/// Where a webhook is: a URL or a service.
pub fn client_config(e: &mut Errors, config: &Node<'_>) {
    let (url, service) = (config.get("url"), config.get("service"));
    match (url.is_set(), service.is_set()) {
        (true, true) | (false, false) => e.push(config.required("exactly one of url or service is required")),
        (true, false) => webhook_url(e, &url),
        (false, true) => webhook_service(e, &service),
    }
}

const FORM: &str = "; desired format: https://host[/path]";

/// A webhook's URL: https, with neither user, query nor fragment.
pub fn webhook_url(e: &mut Errors, url: &Node<'_>) {
    let text = url.text();
    if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        let quoted = object::error::quote(text);
        e.push(url.required(&format!(
            "url must be a valid URL: parse {quoted}: net/url: invalid control character in URL{FORM}"
        )));
        return;
    }
    let (rest, fragment) = split(text, '#');
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if !scheme.contains('/') => (scheme, rest),
        _ => ("", rest),
    };
    let (rest, query) = split(rest, '?');
    let authority = rest.strip_prefix("//").map(|r| r.split('/').next().unwrap_or(r)).unwrap_or("");
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if scheme != "https" {
        e.push(url.invalid_as(scheme, &format!("'https' is the only allowed URL scheme{FORM}")));
    }
    if host.is_empty() {
        e.push(url.invalid_as(host, &format!("host must be specified{FORM}")));
    }
    if let Some(user) = user {
        e.push(url.invalid_as(user, "user information is not permitted in the URL"));
    }
    if let Some(fragment) = fragment.filter(|f| !f.is_empty()) {
        e.push(url.invalid_as(fragment, "fragments are not permitted in the URL"));
    }
    if let Some(query) = query.filter(|q| !q.is_empty()) {
        e.push(url.invalid_as(query, "query parameters are not permitted in the URL"));
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

/// A webhook's service.
pub fn webhook_service(e: &mut Errors, service: &Node<'_>) {
    // Kubernetes mistakes one for the other.
    for (field, blamed) in [("namespace", "name"), ("name", "namespace")] {
        if service.get(field).is_empty() {
            e.push(service.get(blamed).required(""));
        }
    }
    let port = service.get("port");
    let errors = names::port_number(port.int());
    if !errors.is_empty() {
        e.push(port.invalid_as(port.int(), &format!("port is not valid: {}", errors.join(", "))));
    }
    let path = service.get("path");
    if !path.is_set() {
        return;
    }
    let text = path.text();
    // What is wrong with a path is said of its trimmed form.
    if text.is_empty() || text == "/" {
        return;
    }
    if !text.starts_with('/') {
        e.push(path.invalid("must start with a '/'"));
    }
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (i, part) in inner.split('/').enumerate() {
        if part.is_empty() {
            e.push(path.invalid(&format!("segment[{i}] may not be empty")));
        }
        for failure in names::dns1123_subdomain(part).iter().filter(|_| !part.is_empty()) {
            e.push(path.invalid(&format!("segment[{i}]: {failure}")));
        }
    }
}

/// `admissionReviewVersions` of a webhook.
fn review_versions(e: &mut Errors, versions: &Node<'_>) {
    if versions.is_empty() {
        e.push(versions.required("must specify one of v1, v1beta1"));
        return;
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        if !seen.insert(version.text()) {
            e.push(version.invalid_text("duplicate version"));
            continue;
        }
        check_text(e, &version, names::dns1035_label);
    }
    if !versions.texts().iter().any(|v| matches!(*v, "v1" | "v1beta1")) {
        e.push(versions.invalid("must include at least one of v1, v1beta1"));
    }
}

/// A rule with its operations.
pub fn rule_with_operations(e: &mut Errors, rule: &Node<'_>, allow_subresources: bool) {
    let operations = rule.get("operations");
    if operations.is_empty() {
        e.push(operations.required(""));
    }
    if operations.len() > 1 && operations.texts().contains(&"*") {
        e.push(operations.invalid("if '*' is present, must not specify other operations"));
    }
    for operation in operations.items() {
        if !OPERATIONS.contains(&operation.text()) {
            e.push(operation.not_supported(&OPERATIONS));
        }
    }
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = rule.get(field);
        if list.is_empty() {
            e.push(list.required(""));
        }
        if list.len() > 1 && list.texts().contains(&"*") {
            e.push(list.invalid(&format!("if '*' is present, must not specify other {what}")));
        }
        if field == "apiVersions" {
            list.items().filter(|v| v.is_empty()).for_each(|v| e.push(v.required("")));
        }
    }
    resources(e, &rule.get("resources"), allow_subresources);
    if rule.get("scope").is_set() {
        one_of(e, &rule.get("scope"), &SCOPES);
    }
}

fn resources(e: &mut Errors, resources: &Node<'_>, allow_subresources: bool) {
    if resources.is_empty() {
        e.push(resources.required(""));
    }
    if !allow_subresources {
        plain_resources(e, resources);
        return;
    }
    let (mut wildcard_of, mut wildcard_sub) = (BTreeSet::new(), BTreeSet::new());
    // As upstream, only the last resource without a subresource counts.
    let mut last_is_named = false;
    for resource in resources.items() {
        let text = resource.text();
        if text.is_empty() {
            e.push(resource.required(""));
            continue;
        }
        let Some((main, sub)) = text.split_once('/') else {
            last_is_named = text != "*";
            continue;
        };
        if wildcard_sub.contains(main) {
            e.push(resource.invalid(&format!("if '{main}/*' is present, must not specify {text}")));
        }
        if wildcard_of.contains(sub) {
            e.push(resource.invalid(&format!("if '*/{sub}' is present, must not specify {text}")));
        }
        if sub == "*" {
            wildcard_sub.insert(main);
        }
        if main == "*" {
            wildcard_of.insert(sub);
        }
    }
    let texts = resources.texts();
    if texts.len() > 1 && texts.contains(&"*/*") {
        e.push(resources.invalid("if '*/*' is present, must not specify other resources"));
    }
    if texts.contains(&"*") && last_is_named {
        let detail = "if '*' is present, must not specify other resources without subresources";
        e.push(resources.invalid(detail));
    }
}

fn plain_resources(e: &mut Errors, resources: &Node<'_>) {
    for resource in resources.items() {
        if resource.is_empty() {
            e.push(resource.required(""));
        }
        if resource.text().contains('/') {
            e.push(resource.invalid("must not specify subresources"));
        }
    }
    if resources.len() > 1 && resources.texts().contains(&"*") {
        e.push(resources.invalid("if '*' is present, must not specify other resources"));
    }
}

/// `matchConditions`, whose expressions may speak of what `scope` has.
pub fn match_conditions(e: &mut Errors, conditions: &Node<'_>, scope: Scope<'_>) {
    if conditions.is_empty() {
        return;
    }
    if conditions.len() > 64 {
        e.push(FieldError::too_many(&conditions.path, conditions.len(), 64));
    }
    let environment = scope.environment();
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (name, expression) = (condition.get("name"), condition.get("expression"));
        let text = expression.text().trim();
        if text.is_empty() {
            e.push(expression.required(""));
        } else {
            e.extend(fault(text, &environment, Wanted::Bool).map(|why| expression.invalid_as(text, &why)));
        }
        check_required_text(e, &name, names::qualified_name);
        if !name.is_empty() && !seen.insert(name.text()) {
            e.push(name.duplicate());
        }
    }
}
