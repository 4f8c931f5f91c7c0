//! Lifecycle handlers and probes.

use super::containers::port_number_or_name;
use crate::node::{Errors, Node, check_non_negative};
use object::names;

/// `lifecycle` and the three probes.
pub fn all(e: &mut Errors, container: &Node<'_>, grace_period: Option<i64>) {
    let lifecycle = container.get("lifecycle");
    for hook in ["postStart", "preStop"] {
        if lifecycle.get(hook).is_set() {
            handler(e, &lifecycle.get(hook), &["exec", "httpGet", "tcpSocket", "sleep"], grace_period);
        }
    }
    stop_signal(e, &lifecycle.get("stopSignal"));
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.get(name);
        if probe.is_set() {
            probe_rules(e, &probe, grace_period, name == "readinessProbe");
        }
    }
}

fn stop_signal(e: &mut Errors, signal: &Node<'_>) {
    if signal.is_set() && !signal.text().starts_with("SIG") {
        e.push(
            signal
                .not_supported(&["SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"]),
        );
    }
}

fn probe_rules(e: &mut Errors, probe: &Node<'_>, grace_period: Option<i64>, readiness: bool) {
    handler(e, probe, &["exec", "httpGet", "tcpSocket", "grpc"], grace_period);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        check_non_negative(e, &probe.get(field));
    }
    let termination = probe.get("terminationGracePeriodSeconds");
    if termination.number().is_some_and(|seconds| seconds <= 0) {
        e.push(termination.invalid("must be greater than 0"));
    }
    let success = probe.get("successThreshold");
    if readiness {
        if termination.is_set() {
            e.push(termination.invalid("must not be set for readinessProbes"));
        }
    } else if success.int() != 1 {
        e.push(success.invalid_as(success.int(), "must be 1"));
    }
}

/// Exactly one of the handlers `kinds`, and that one in order.
fn handler(e: &mut Errors, holder: &Node<'_>, kinds: &[&str], grace_period: Option<i64>) {
    let mut found = false;
    for kind in kinds {
        let action = holder.get(kind);
        if !action.is_set() {
            continue;
        }
        if found {
            e.push(action.forbidden("may not specify more than 1 handler type"));
            continue;
        }
        found = true;
        match *kind {
            "exec" => {
                if action.get("command").is_empty() {
                    e.push(action.get("command").required(""));
                }
            }
            "httpGet" => http_get(e, &action),
            "sleep" => sleep(e, &action, grace_period),
            _ => port_number_or_name(e, &action.get("port")),
        }
    }
    if !found {
        e.push(holder.required("must specify a handler type"));
    }
}

fn http_get(e: &mut Errors, action: &Node<'_>) {
    if action.get("path").is_empty() {
        e.push(action.get("path").required(""));
    }
    port_number_or_name(e, &action.get("port"));
    if !matches!(action.get("scheme").text(), "HTTP" | "HTTPS") {
        e.push(action.get("scheme").not_supported(&["HTTP", "HTTPS"]));
    }
    let headers = action.get("httpHeaders");
    for header in headers.items() {
        let name = header.get("name").text();
        e.extend(names::http_header_name(name).iter().map(|m| headers.invalid_as(name, m)));
    }
}

fn sleep(e: &mut Errors, action: &Node<'_>, grace_period: Option<i64>) {
    let seconds = action.get("seconds").int();
    if let Some(grace) = grace_period.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        e.push(action.invalid_as(seconds, &detail));
    }
}
