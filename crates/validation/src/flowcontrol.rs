//! FlowSchemas and PriorityLevelConfigurations.

use crate::node::{Errors, Node, check_text};
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

const PRESERVED_ZERO: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";

/// A FlowSchema.
pub fn flow_schema(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let spec = root.get("spec");
    let precedence = spec.get("matchingPrecedence");
    if precedence.int() <= 0 {
        e.push(precedence.invalid_as(precedence.int(), "must be a positive value"));
    }
    if precedence.int() > 10_000 {
        e.push(precedence.invalid("must not be greater than 10000"));
    }
    let is_exempt = root.get("metadata").get("name").text() == "exempt";
    if precedence.int() == 1 && !is_exempt {
        e.push(precedence.invalid("only the schema named 'exempt' may have matchingPrecedence 1"));
    }
    let method = spec.get("distinguisherMethod");
    if method.is_set() && !matches!(method.get("type").text(), "ByNamespace" | "ByUser") {
        let mut error =
            FieldError::not_supported(&method.get("type").path, &Value::Null, &["ByNamespace", "ByUser"]);
        // Go shows the struct around it.
        let shown = format!("{{\"Type\":{}}}", json!(method.get("type").text()));
        error.message = error.message.replacen("null", &shown, 1);
        e.push(error);
    }
    let level = spec.get("priorityLevelConfiguration").get("name");
    if level.is_empty() {
        e.push(level.required("must reference a priority level"));
    } else {
        check_text(e, &level, names::dns1123_subdomain);
    }
    spec.get("rules").items().for_each(|r| policy_rules(e, &r));
    conditions(e, object);
}

/// The conditions of both kinds; an update of the status checks nothing else.
pub fn conditions(e: &mut Errors, object: &Value) {
    let mut seen = BTreeSet::new();
    for condition in Node::root(object).get("status").get("conditions").items() {
        let kind = condition.get("type");
        if !seen.insert(kind.text()) {
            e.push(FieldError::duplicate(&kind.path, &json!(kind.text())));
        }
        if kind.is_empty() {
            e.push(kind.required("must not be empty"));
        }
    }
}

fn policy_rules(e: &mut Errors, rules: &Node<'_>) {
    let subjects = rules.get("subjects");
    if subjects.is_empty() {
        e.push(subjects.required("subjects must contain at least one value"));
    }
    subjects.items().for_each(|s| subject(e, &s));
    let (resources, others) = (rules.get("resourceRules"), rules.get("nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        e.push(rules.required("at least one of resourceRules and nonResourceRules has to be non-empty"));
    }
    resources.items().for_each(|r| resource_rule(e, &r));
    others.items().for_each(|r| non_resource_rule(e, &r));
}

fn subject(e: &mut Errors, subject: &Node<'_>) {
    let kind = subject.get("kind");
    let kinds = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let Some((chosen, field)) = kinds.iter().find(|(known, _)| *known == kind.text()) else {
        e.push(kind.not_supported(&["Group", "ServiceAccount", "User"]));
        return;
    };
    let what = format!("subject kind is '{chosen}'");
    if subject.get(field).is_set() {
        match *chosen {
            "ServiceAccount" => service_account(e, &subject.get(field)),
            _ => {
                let name = subject.get(field).get("name");
                if name.is_empty() {
                    e.push(name.required(""));
                }
            }
        }
    } else {
        e.push(subject.get(field).required(&format!("{field} is required when {what}")));
    }
    for (_, other) in kinds.iter().filter(|(known, _)| known != chosen) {
        if subject.get(other).is_set() {
            e.push(
                subject.get(other).forbidden(&format!(
                    "{other} is forbidden when subject kind is not '{}'",
                    kind_of(other)
                )),
            );
        }
    }
}

fn kind_of(field: &str) -> &str {
    match field {
        "serviceAccount" => "ServiceAccount",
        "user" => "User",
        _ => "Group",
    }
}

fn service_account(e: &mut Errors, account: &Node<'_>) {
    let (name, namespace) = (account.get("name"), account.get("namespace"));
    if name.is_empty() {
        e.push(name.required(""));
    } else if name.text() != "*" {
        check_text(e, &name, names::dns1123_subdomain);
    }
    if namespace.is_empty() {
        e.push(namespace.required("must specify namespace for service account"));
    } else {
        check_text(e, &namespace, names::dns1123_label);
    }
}

fn verbs(e: &mut Errors, verbs: &Node<'_>) {
    if verbs.is_empty() {
        e.push(verbs.required("verbs must contain at least one value"));
    } else if verbs.texts().contains(&"*") {
        if verbs.len() > 1 {
            e.push(verbs.invalid("if '*' is present, must not specify other verbs"));
        }
    } else if verbs.texts().iter().any(|v| !VERBS.contains(v)) {
        e.push(FieldError::not_supported(&verbs.path, verbs.value, &VERBS));
    }
}

fn star(e: &mut Errors, list: &Node<'_>, missing: &str, what: &str) {
    if list.is_empty() {
        e.push(list.required(missing));
    } else if list.len() > 1 && list.texts().contains(&"*") {
        e.push(list.invalid(&format!("if '*' is present, must not specify other {what}")));
    }
}

fn resource_rule(e: &mut Errors, rule: &Node<'_>) {
    verbs(e, &rule.get("verbs"));
    star(e, &rule.get("apiGroups"), "resource rules must supply at least one api group", "api groups");
    star(e, &rule.get("resources"), "resource rules must supply at least one resource", "resources");
    let namespaces = rule.get("namespaces");
    if namespaces.is_empty() && !rule.get("clusterScope").is_true() {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        e.push(namespaces.required(detail));
    } else if namespaces.texts().contains(&"*") {
        if namespaces.len() > 1 {
            e.push(namespaces.invalid("if '*' is present, must not specify other namespaces"));
        }
    } else {
        for namespace in namespaces.items() {
            for message in names::dns1123_label(namespace.text()) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {message}");
                e.push(namespace.invalid_text(&detail));
            }
        }
    }
}

fn non_resource_rule(e: &mut Errors, rule: &Node<'_>) {
    verbs(e, &rule.get("verbs"));
    let urls = rule.get("nonResourceURLs");
    if urls.is_empty() {
        e.push(urls.required("nonResourceURLs must contain at least one value"));
    } else if urls.texts().contains(&"*") {
        if urls.len() > 1 {
            e.push(urls.invalid("if '*' is present, must not specify other non-resource URLs"));
        }
    } else {
        urls.items().for_each(|u| url_path(e, &u));
    }
}

fn url_path(e: &mut Errors, url: &Node<'_>) {
    let path = url.text();
    if path.is_empty() {
        e.push(url.invalid_text("must not be empty"));
    } else if path == "/" {
    } else if !path.starts_with('/') {
        e.push(url.invalid("must start with slash"));
    } else if path.contains(' ') {
        e.push(url.invalid("must not contain white-space"));
    } else if path.contains("//") {
        e.push(url.invalid("must not contain double slash"));
    } else if path.matches('*').count() > 1 || path.contains('*') && !path.ends_with("/*") {
        e.push(url.invalid("wildcard can only do suffix matching"));
    }
}

/// A PriorityLevelConfiguration.
pub fn priority_level(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let (name, spec) = (root.get("metadata").get("name").text(), root.get("spec"));
    let (kind, limited, exempt) = (spec.get("type"), spec.get("limited"), spec.get("exempt"));
    if object::meta::annotation(object, PRESERVED_ZERO).is_some() {
        let annotations = root.get("metadata").get("annotations");
        e.push(annotations.forbidden(&format!("annotation '{PRESERVED_ZERO}' is forbidden")));
    }
    if (name == "exempt") != (kind.text() == "Exempt") {
        e.push(kind.invalid_text("must be 'Exempt' if and only if `name` is 'exempt'"));
    }
    match kind.text() {
        "Exempt" => {
            if limited.is_set() {
                e.push(limited.forbidden("must be nil if the type is not Limited"));
            }
            if exempt.is_set() {
                shares(e, &exempt);
            }
        }
        "Limited" => {
            if exempt.is_set() {
                e.push(exempt.forbidden("must be nil if the type is Limited"));
            }
            if limited.is_set() {
                limited_level(e, &limited);
            } else {
                e.push(limited.required("must not be empty when type is Limited"));
            }
        }
        _ => e.push(kind.not_supported(&["Exempt", "Limited"])),
    }
    conditions(e, object);
}

fn shares(e: &mut Errors, level: &Node<'_>) {
    let (shares, lendable) = (level.get("nominalConcurrencyShares"), level.get("lendablePercent"));
    if shares.int() < 0 {
        e.push(shares.invalid("must be a non-negative integer"));
    }
    if !(0..=100).contains(&lendable.int()) {
        e.push(lendable.invalid("must be between 0 and 100, inclusive"));
    }
}

fn limited_level(e: &mut Errors, limited: &Node<'_>) {
    let (shares_, response) = (limited.get("nominalConcurrencyShares"), limited.get("limitResponse"));
    if shares_.int() < 0 {
        e.push(shares_.invalid("must be a non-negative integer"));
    }
    limit_response(e, &response);
    let (lendable, borrowing) = (limited.get("lendablePercent"), limited.get("borrowingLimitPercent"));
    if !(0..=100).contains(&lendable.int()) {
        e.push(lendable.invalid("must be between 0 and 100, inclusive"));
    }
    if borrowing.int() < 0 {
        e.push(borrowing.invalid("if specified, must be a non-negative integer"));
    }
}

fn limit_response(e: &mut Errors, response: &Node<'_>) {
    let (kind, queuing) = (response.get("type"), response.get("queuing"));
    match kind.text() {
        "Reject" => {
            if queuing.is_set() {
                e.push(queuing.forbidden("must be nil if limited.limitResponse.type is not Limited"));
            }
        }
        "Queue" => {
            if queuing.is_set() {
                queues(e, &queuing);
            } else {
                e.push(queuing.required("must not be empty if limited.limitResponse.type is Limited"));
            }
        }
        _ => e.push(kind.not_supported(&["Queue", "Reject"])),
    }
}

fn queues(e: &mut Errors, queuing: &Node<'_>) {
    const QUEUES_MAX: i64 = 10_000_000;
    let (limit, queues, hand) =
        (queuing.get("queueLengthLimit"), queuing.get("queues"), queuing.get("handSize"));
    if limit.int() <= 0 {
        e.push(limit.invalid_as(limit.int(), "must be positive"));
    }
    if queues.int() <= 0 {
        e.push(queues.invalid_as(queues.int(), "must be positive"));
    } else if queues.int() > QUEUES_MAX {
        e.push(queues.invalid(&format!("must not be greater than {QUEUES_MAX}")));
    }
    if hand.int() <= 0 {
        e.push(hand.invalid_as(hand.int(), "must be positive"));
    } else if hand.int() > queues.int() {
        e.push(hand.invalid(&format!("should not be greater than queues ({})", queues.int())));
    } else {
        let bits = (0..hand.int()).map(|i| ((queues.int() - i) as f64).log2()).sum::<f64>();
        if bits > 60.0 {
            let detail = format!(
                "required entropy bits of deckSize {} and handSize {} should not be greater than 60",
                queues.int(),
                hand.int()
            );
            e.push(hand.invalid(&detail));
        }
    }
}
