//! ResourceQuotas and LimitRanges.

use crate::node::{Errors, IMMUTABLE, Node};
use crate::resources::{
    container_resource_name, is_overcommit_allowed, is_standard_quota, quantity, quantity_value,
    quota_resource_name, resource_name,
};
use object::{FieldError, Path, Quantity, names};
use serde_json::Value;
use std::collections::BTreeSet;

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// A ResourceQuota.
pub fn resource_quota(e: &mut Errors, object: &Value) {
    quota_spec(e, object);
    quota_status(e, object);
}

fn quota_spec(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    amounts(e, &spec.get("hard"));
    scopes(e, &spec);
    scope_selector(e, &spec);
}

fn quota_status(e: &mut Errors, object: &Value) {
    let status = Node::root(object).get("status");
    amounts(e, &status.get("hard"));
    amounts(e, &status.get("used"));
}

fn amounts(e: &mut Errors, amounts: &Node<'_>) {
    for (name, amount) in amounts.entries() {
        quota_resource_name(e, name, &amount.path);
        quantity_value(e, name, &amount);
    }
}

/// An update of a ResourceQuota: its scopes stay.
pub fn resource_quota_update(e: &mut Errors, new: &Value, old: &Value) {
    quota_spec(e, new);
    let scopes = Node::root(new).get("spec").get("scopes");
    let old_root = Node::root(old);
    let set = |node: &Node<'_>| node.texts().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    if set(&scopes) != set(&old_root.get("spec").get("scopes")) {
        e.push(scopes.invalid(IMMUTABLE));
    }
}

/// An update of a ResourceQuota's status.
pub fn resource_quota_status(e: &mut Errors, new: &Value, _old: &Value) {
    quota_status(e, new);
}

fn is_scope_valid_for(scope: &str, resource: &str) -> bool {
    match scope {
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => {
            resource == "pods"
                || [
                    "cpu",
                    "memory",
                    "ephemeral-storage",
                    "requests.cpu",
                    "requests.memory",
                    "requests.ephemeral-storage",
                    "limits.cpu",
                    "limits.memory",
                    "limits.ephemeral-storage",
                ]
                .contains(&resource)
        }
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

fn conflicting(e: &mut Errors, scopes: &BTreeSet<&str>, node: &Node<'_>) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            e.push(node.invalid("conflicting scopes"));
        }
    }
}

fn scopes(e: &mut Errors, spec: &Node<'_>) {
    let scopes = spec.get("scopes");
    let hard: Vec<_> = spec.get("hard").entries().map(|(name, _)| name).collect();
    for scope in scopes.texts() {
        if !SCOPES.contains(&scope) {
            e.push(scopes.invalid("unsupported scope"));
        }
        for _ in hard.iter().filter(|name| is_standard_quota(name) && !is_scope_valid_for(scope, name)) {
            e.push(scopes.invalid("unsupported scope applied to resource"));
        }
    }
    conflicting(e, &scopes.texts().into_iter().collect(), &scopes);
}

fn scope_selector(e: &mut Errors, spec: &Node<'_>) {
    let selector = spec.get("scopeSelector");
    let path = selector.path.field("matchExpressions");
    let hard: Vec<_> = spec.get("hard").entries().map(|(name, _)| name).collect();
    let mut seen = BTreeSet::new();
    for expression in selector.get("matchExpressions").items() {
        let at = |field: &str| expression.get(field).moved(path.field(field));
        let (scope, operator, values) = (at("scopeName"), at("operator"), at("values"));
        if !SCOPES.contains(&scope.text()) {
            e.push(scope.invalid_text("unsupported scope"));
        }
        for _ in hard.iter().filter(|name| is_standard_quota(name) && !is_scope_valid_for(scope.text(), name))
        {
            let detail = "unsupported scope applied to resource";
            e.push(FieldError::invalid(&path, selector.value, detail));
        }
        let only_exists = !matches!(scope.text(), "PriorityClass" | "VolumeAttributesClass")
            && SCOPES.contains(&scope.text());
        if only_exists && operator.text() != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                          ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
                          ResourceQuotaScopeCrossNamespacePodAffinity";
            e.push(operator.invalid_text(detail));
        }
        match operator.text() {
            "In" | "NotIn" if values.is_empty() => {
                e.push(values.required(
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
                ));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                e.push(values.invalid(
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
                ));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => e.push(operator.invalid_text("not a valid selector operator")),
        }
        seen.insert(scope.text());
    }
    conflicting(e, &seen, &spec.get("scopes").moved(path));
}

/// A LimitRange.
pub fn limit_range(e: &mut Errors, object: &Value) {
    let mut seen = BTreeSet::new();
    for limit in Node::root(object).get("spec").get("limits").items() {
        let kind = limit.get("type");
        let errors = names::qualified_name(kind.text());
        if errors.is_empty()
            && !kind.text().contains('/')
            && !matches!(kind.text(), "Pod" | "Container" | "PersistentVolumeClaim")
        {
            e.push(kind.invalid("must be a standard limit type or fully qualified"));
        }
        e.extend(errors.iter().map(|m| kind.invalid_text(m)));
        if !seen.insert(kind.text()) {
            e.push(kind.duplicate());
        }
        limit_range_item(e, &limit);
    }
}

fn limit_range_item(e: &mut Errors, limit: &Node<'_>) {
    let kind = limit.get("type").text();
    let name_check: fn(&mut Errors, &str, &Path) =
        if matches!(kind, "Pod" | "Container") { container_resource_name } else { resource_name };
    let mut keys = BTreeSet::new();
    let mut take = |e: &mut Errors, list: &str| {
        for (name, amount) in limit.get(list).entries() {
            name_check(e, name, &amount.path);
            keys.insert(name);
        }
    };
    take(e, "max");
    take(e, "min");
    for list in ["default", "defaultRequest"] {
        if kind == "Pod" {
            if !limit.get(list).is_empty() {
                e.push(limit.get(list).forbidden("may not be specified when `type` is 'Pod'"));
            }
        } else {
            take(e, list);
        }
    }
    if kind == "PersistentVolumeClaim" && ["min", "max"].iter().all(|l| limit.raw(l).get("storage").is_none())
    {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        e.push(limit.get("limits").required(detail));
    }
    take(e, "maxLimitRequestRatio");
    for key in keys {
        bounds(e, limit, key);
    }
}

fn bounds(e: &mut Errors, limit: &Node<'_>, key: &str) {
    let amount = |list: &str| limit.raw(list).get(key).map(quantity);
    let wrong = |list: &str, shown: &Quantity, detail: String| {
        let path = limit.path.field(list).key(key);
        FieldError::invalid(&path, &Value::from(shown.to_string()), &detail)
    };
    let (min, max) = (amount("min"), amount("max"));
    let (default, request) = (amount("default"), amount("defaultRequest"));
    if let (Some(min), Some(max)) = (&min, &max)
        && min > max
    {
        e.push(wrong("min", min, format!("min value {min} is greater than max value {max}")));
    }
    if let (Some(request), Some(min)) = (&request, &min)
        && min > request
    {
        e.push(wrong(
            "defaultRequest",
            request,
            format!("min value {min} is greater than default request value {request}"),
        ));
    }
    if let (Some(request), Some(max)) = (&request, &max)
        && request > max
    {
        e.push(wrong(
            "defaultRequest",
            request,
            format!("default request value {request} is greater than max value {max}"),
        ));
    }
    if let (Some(request), Some(default)) = (&request, &default)
        && request > default
    {
        let detail = format!("default request value {request} is greater than default limit value {default}");
        e.push(wrong("defaultRequest", request, detail));
    }
    if let (Some(default), Some(min)) = (&default, &min)
        && min > default
    {
        e.push(wrong("default", min, format!("min value {min} is greater than default value {default}")));
    }
    if let (Some(default), Some(max)) = (&default, &max)
        && default > max
    {
        e.push(wrong("default", max, format!("default value {default} is greater than max value {max}")));
    }
    if let Some(ratio) = amount("maxLimitRequestRatio") {
        if ratio < Quantity::from_int(1) {
            e.push(wrong("maxLimitRequestRatio", &ratio, format!("ratio {ratio} is less than 1")));
        }
        if let (Some(min), Some(max)) = (&min, &max) {
            let highest = max.as_f64() / min.as_f64();
            if ratio.as_f64() > highest {
                let detail = format!("ratio {ratio} is greater than max/min = {highest:.6}");
                e.push(wrong("maxLimitRequestRatio", &ratio, detail));
            }
        }
    }
    if let (Some(default), Some(request)) = (&default, &request)
        && default != request
        && !is_overcommit_allowed(key)
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {key}");
        e.push(wrong("defaultRequest", request, detail));
    }
}
