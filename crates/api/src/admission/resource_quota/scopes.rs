//! Which pods and claims a quota with scopes counts.

use crate::strategy::qos_class;
use object::Value;

/// Whether every scope of the quota takes the object in.
pub(super) fn matches(quota: &Value, resource: &str, object: &Value) -> bool {
    let plain = quota["spec"]["scopes"].as_array().into_iter().flatten();
    let plain =
        plain.filter_map(Value::as_str).all(|scope| holds(scope, "Exists", &Value::Null, resource, object));
    let selected = quota["spec"]["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten();
    plain
        && selected.into_iter().all(|e| {
            let text = |key: &str| e[key].as_str().unwrap_or("");
            holds(text("scopeName"), text("operator"), &e["values"], resource, object)
        })
}

fn holds(scope: &str, operator: &str, values: &Value, resource: &str, object: &Value) -> bool {
    let spec = &object["spec"];
    if scope == "VolumeAttributesClass" {
        return resource == "persistentvolumeclaims"
            && selects(operator, values, spec["volumeAttributesClassName"].as_str().unwrap_or(""));
    }
    if resource != "pods" {
        return false;
    }
    match scope {
        "Terminating" => is_terminating(spec),
        "NotTerminating" => !is_terminating(spec),
        "BestEffort" => qos_class(object) == "BestEffort",
        "NotBestEffort" => qos_class(object) != "BestEffort",
        "PriorityClass" => selects(operator, values, spec["priorityClassName"].as_str().unwrap_or("")),
        "CrossNamespacePodAffinity" => crosses_namespaces(&spec["affinity"]),
        _ => false,
    }
}

fn is_terminating(spec: &Value) -> bool {
    spec["activeDeadlineSeconds"].as_i64().is_some_and(|s| s >= 0)
}

fn selects(operator: &str, values: &Value, value: &str) -> bool {
    let listed = values.as_array().is_some_and(|list| list.iter().any(|v| v == value));
    match operator {
        "Exists" => !value.is_empty(),
        "DoesNotExist" => value.is_empty(),
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

fn crosses_namespaces(affinity: &Value) -> bool {
    let elsewhere = |term: &Value| {
        term["namespaces"].as_array().is_some_and(|n| !n.is_empty()) || term["namespaceSelector"].is_object()
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let required = affinity[*kind]["requiredDuringSchedulingIgnoredDuringExecution"].as_array();
        let preferred = affinity[*kind]["preferredDuringSchedulingIgnoredDuringExecution"].as_array();
        required.into_iter().flatten().any(elsewhere)
            || preferred.into_iter().flatten().any(|p| elsewhere(&p["podAffinityTerm"]))
    })
}
