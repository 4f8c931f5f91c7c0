//! HorizontalPodAutoscalers (autoscaling/v2; v1 is converted first) and Scales.

use crate::node::{Errors, Node, check_non_negative, check_required_text, check_supported, check_text};
use crate::resources::{container_resource_name, quantity};
use object::names;
use serde_json::Value;

const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const NO_SOURCE: &str = "must populate information for the given metric source";

/// A HorizontalPodAutoscaler.
pub fn autoscaler(e: &mut Errors, object: &Value) {
    validate(e, object, None);
}

/// An update of a HorizontalPodAutoscaler: one that scales to zero may go on doing so.
pub fn autoscaler_update(e: &mut Errors, new: &Value, old: &Value) {
    validate(e, new, Some(old));
}

fn validate(e: &mut Errors, object: &Value, old: Option<&Value>) {
    let lowest = i64::from(old.is_none_or(|old| old["spec"]["minReplicas"] != 0));
    let spec = Node::root(object).get("spec");
    let (min, max) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if min.number().is_some_and(|n| n < lowest) {
        e.push(min.invalid(&format!("must be greater than or equal to {lowest}")));
    }
    if max.int() == 0 {
        e.push(max.required("must be set and greater than 0"));
    } else if max.int() < 0 {
        e.push(max.invalid("must be greater than or equal to 1"));
    }
    if min.number().is_some_and(|n| max.int() < n) {
        e.push(max.invalid_as(max.int(), "must be greater than or equal to `minReplicas`"));
    }
    let target = spec.get("scaleTargetRef");
    reference(e, &target);
    let was = old.map(|old| &old["spec"]["scaleTargetRef"]);
    if !was.is_some_and(|was| ["apiVersion", "kind"].iter().all(|f| target.raw(f) == &was[*f])) {
        api_group(e, &target, target.get("kind").text() == "ReplicationController");
    }
    metrics(e, &spec.get("metrics"), min.number());
    for direction in ["scaleUp", "scaleDown"] {
        let rules = spec.get("behavior").get(direction);
        if rules.is_set() {
            scaling_rules(e, &rules);
        }
    }
}

fn reference(e: &mut Errors, reference: &Node<'_>) {
    check_required_text(e, &reference.get("kind"), names::path_segment_name);
    check_required_text(e, &reference.get("name"), names::path_segment_name);
}

fn api_group(e: &mut Errors, reference: &Node<'_>, may_be_core: bool) {
    let version = reference.get("apiVersion");
    match version.text().split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            e.push(version.invalid_text(&format!("unexpected GroupVersion string: {}", version.text())));
        }
        None | Some(("", _)) if !may_be_core => {
            e.push(version.invalid_text("apiVersion must specify API group"));
        }
        _ => {}
    }
}

fn metrics(e: &mut Errors, metrics: &Node<'_>, min: Option<i64>) {
    metrics.items().for_each(|m| metric(e, &m));
    let scales_from_zero = metrics.list().iter().any(|m| m["type"] == "Object" || m["type"] == "External");
    if min == Some(0) && !scales_from_zero {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        e.push(metrics.forbidden(detail));
    }
}

fn metric(e: &mut Errors, metric: &Node<'_>) {
    let kind = metric.get("type");
    if kind.is_empty() {
        e.push(kind.required("must specify a metric source type"));
    }
    if !TYPES.contains(&kind.text()) {
        e.push(kind.not_supported(&TYPES));
    }
    let present: Vec<_> = SOURCES.iter().filter(|(_, field)| metric.get(field).is_set()).collect();
    if let Some((kind, field)) = present.first() {
        source(e, kind, &metric.get(field));
    }
    match SOURCES.iter().find(|(known, _)| *known == kind.text()) {
        Some((_, field)) if !metric.get(field).is_set() => e.push(metric.get(field).required(NO_SOURCE)),
        Some(_) => {}
        None => e.push(kind.not_supported(&TYPES)),
    }
    if present.len() != 1 {
        for (_, field) in present.iter().filter(|(known, _)| *known != kind.text()) {
            e.push(metric.get(field).forbidden("must populate the given metric source only"));
        }
    }
}

fn source(e: &mut Errors, kind: &str, source: &Node<'_>) {
    let aim = source.get("target");
    let (value, average, utilization) =
        (aim.get("value"), aim.get("averageValue"), aim.get("averageUtilization"));
    match kind {
        "Object" | "External" | "Pods" => {
            if kind == "Object" {
                reference(e, &source.get("describedObject"));
                api_group(e, &source.get("describedObject"), true);
            }
            let name = source.get("metric").get("name");
            if name.is_empty() {
                e.push(name.required("must specify a metric name"));
            } else {
                check_text(e, &name, names::path_segment_name);
            }
        }
        _ => resource_source(e, kind, source),
    }
    target(e, &aim);
    match kind {
        "Object" if !value.is_set() && !average.is_set() => {
            e.push(average.required("must set either a target value or averageValue"));
        }
        "External" if !value.is_set() && !average.is_set() => {
            e.push(average.required("must set either a target value for metric or a per-pod target"));
        }
        "External" if value.is_set() && average.is_set() => {
            e.push(value.forbidden("may not set both a target value for metric and a per-pod target"));
        }
        "Pods" if !average.is_set() => {
            e.push(average.required("must specify a positive target averageValue"))
        }
        "Resource" | "ContainerResource" => match (utilization.is_set(), average.is_set()) {
            (false, false) => {
                e.push(utilization.required("must set either a target raw value or a target utilization"));
            }
            (true, true) => {
                e.push(average.forbidden("may not set both a target raw value and a target utilization"))
            }
            _ => {}
        },
        _ => {}
    }
}

fn resource_source(e: &mut Errors, kind: &str, source: &Node<'_>) {
    let (name, container) = (source.get("name"), source.get("container"));
    if name.is_empty() {
        e.push(name.required("must specify a resource name"));
    } else if kind == "ContainerResource" {
        container_resource_name(e, name.text(), &name.path);
    }
    if kind == "ContainerResource" {
        if container.is_empty() {
            e.push(container.required("must specify a container"));
        } else {
            check_text(e, &container, names::dns1123_label);
        }
    }
}

fn target(e: &mut Errors, target: &Node<'_>) {
    let kind = target.get("type");
    if kind.is_empty() {
        e.push(kind.required("must specify a metric target type"));
    }
    if !matches!(kind.text(), "Utilization" | "Value" | "AverageValue") {
        e.push(kind.invalid_text("must be either Utilization, Value, or AverageValue"));
    }
    for field in ["value", "averageValue"] {
        let node = target.get(field);
        if node.is_set() && quantity(node.value).signum() <= 0 {
            e.push(node.invalid("must be positive"));
        }
    }
    let utilization = target.get("averageUtilization");
    if utilization.number().is_some_and(|n| n < 1) {
        e.push(utilization.invalid("must be greater than 0"));
    }
}

fn scaling_rules(e: &mut Errors, rules: &Node<'_>) {
    let (window, policies) = (rules.get("stabilizationWindowSeconds"), rules.get("policies"));
    if window.int() < 0 {
        e.push(window.invalid("must be greater than or equal to zero"));
    }
    if window.int() > 3600 {
        e.push(window.invalid("must be less than or equal to 3600"));
    }
    check_supported(e, &rules.get("selectPolicy"), &["Disabled", "Max", "Min"]);
    if policies.is_empty() {
        e.push(policies.required("must specify at least one Policy"));
    }
    for policy in policies.items() {
        let (kind, period) = (policy.get("type"), policy.get("periodSeconds"));
        if !matches!(kind.text(), "Pods" | "Percent") {
            e.push(kind.not_supported(&["Percent", "Pods"]));
        }
        for node in [policy.get("value"), period.clone()] {
            if node.int() <= 0 {
                e.push(node.invalid_as(node.int(), "must be greater than zero"));
            }
        }
        if period.int() > 1800 {
            e.push(period.invalid("must be less than or equal to 1800"));
        }
    }
    let tolerance = rules.get("tolerance");
    if tolerance.is_set() && quantity(tolerance.value).signum() < 0 {
        e.push(tolerance.invalid("must be greater or equal to zero"));
    }
}

/// An update of a HorizontalPodAutoscaler's status.
pub fn autoscaler_status(e: &mut Errors, new: &Value, _old: &Value) {
    let status = Node::root(new).get("status");
    check_non_negative(e, &status.get("currentReplicas"));
    check_non_negative(e, &status.get("desiredReplicas"));
}

/// A Scale.
pub fn scale(e: &mut Errors, object: &Value) {
    check_non_negative(e, &Node::root(object).get("spec").get("replicas"));
}
