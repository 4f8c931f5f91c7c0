//! Containers: ordinary, init and ephemeral.

use super::{env, mounts, probes, security};
use crate::node::{Errors, Node, check_required_supported, check_required_text, check_text};
use crate::resources;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a container's checks need to know of its pod.
pub struct Scope<'a> {
    /// The valid volumes by name.
    pub volumes: BTreeMap<&'a str, &'a Value>,
    /// The names under `spec.resourceClaims`.
    pub claim_names: BTreeSet<&'a str>,
    /// `terminationGracePeriodSeconds`.
    pub grace_period: Option<i64>,
    /// The pod's restart policy.
    pub restart_policy: &'a str,
    /// Whether the pod shares the host's users.
    pub host_users: bool,
}

/// `spec.containers`.
pub fn ordinary(e: &mut Errors, containers: &Node<'_>, scope: &Scope<'_>) {
    if containers.is_empty() {
        e.push(containers.required(""));
        return;
    }
    let mut seen = BTreeSet::new();
    for container in containers.items() {
        common(e, &container, scope);
        if !seen.insert(container.get("name").text()) {
            e.push(FieldError::duplicate(
                &container.path.field("name"),
                &json!(container.get("name").text()),
            ));
        }
        probes::all(e, &container, scope.grace_period);
        restart_policy(e, &container);
    }
    host_ports(e, containers.items());
}

/// `spec.initContainers`; names must differ from those of ordinary containers.
pub fn init(e: &mut Errors, spec: &Node<'_>, scope: &Scope<'_>) {
    let mut seen: BTreeSet<_> = spec.get("containers").items().map(|c| c.get("name").text()).collect();
    for container in spec.get("initContainers").items() {
        common(e, &container, scope);
        restart_policy(e, &container);
        let name = container.get("name");
        if seen.contains(name.text()) {
            e.push(FieldError::duplicate(&name.path, &json!(name.text())));
        } else if !name.text().is_empty() {
            seen.insert(name.text());
        }
        host_ports(e, std::iter::once(container.moved(spec.path.field("initContainers").index(0))));
        if container.get("restartPolicy").text() == "Always" {
            probes::all(e, &container, scope.grace_period);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(field).is_set() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                e.push(container.get(field).forbidden(detail));
            }
        }
    }
}

const EPHEMERAL_FORBIDDEN: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// `spec.ephemeralContainers`; names must differ from those of all others.
pub fn ephemeral(e: &mut Errors, spec: &Node<'_>, scope: &Scope<'_>) {
    let lists = ["containers", "initContainers"];
    let others: BTreeSet<_> =
        lists.iter().flat_map(|l| spec.get(l).items()).map(|c| c.get("name").text()).collect();
    let mut seen = others.clone();
    for container in spec.get("ephemeralContainers").items() {
        common(e, &container, scope);
        image_without_padding(e, &container);
        let name = container.get("name");
        if !seen.insert(name.text()) {
            e.push(FieldError::duplicate(&name.path, &json!(name.text())));
        }
        let target = container.get("targetContainerName");
        if !target.text().is_empty() && !others.contains(target.text()) {
            e.push(FieldError::not_found(&target.path, target.value));
        }
        for field in EPHEMERAL_FORBIDDEN {
            let node = container.get(field);
            if !(node.is_empty() && (node.value.is_array() || !node.is_set() || field == "resources")) {
                e.push(node.forbidden("cannot be set for an Ephemeral Container"));
            }
        }
        for mount in container.get("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.get(field).is_empty() {
                    e.push(mount.get(field).forbidden("cannot be set for an Ephemeral Container"));
                }
            }
        }
    }
}

fn common(e: &mut Errors, container: &Node<'_>, scope: &Scope<'_>) {
    check_required_text(e, &container.get("name"), names::dns1123_label);
    if container.get("image").is_empty() {
        e.push(container.get("image").required(""));
    }
    check_required_supported(
        e,
        &container.get("terminationMessagePolicy"),
        &["File", "FallbackToLogsOnError"],
    );
    ports(e, &container.get("ports"));
    env::validate(e, &container.get("env"));
    env::validate_from(e, &container.get("envFrom"));
    mounts::mounts(e, container, scope);
    mounts::devices(e, container, scope);
    pull_policy(e, &container.get("imagePullPolicy"));
    resources::requirements(
        e,
        &container.get("resources"),
        resources::container_resource_name,
        &scope.claim_names,
    );
    resize_policy(e, &container.get("resizePolicy"), scope.restart_policy);
    security::container(e, &container.get("securityContext"), scope.host_users);
}

/// `imagePullPolicy` and the like.
pub fn pull_policy(e: &mut Errors, policy: &Node<'_>) {
    check_required_supported(e, policy, &["Always", "IfNotPresent", "Never"]);
}

/// A pod's image has no space around it; a template's may.
pub fn image_without_padding(e: &mut Errors, container: &Node<'_>) {
    let image = container.get("image");
    if image.text().trim().len() != image.text().len() {
        e.push(image.invalid("must not have leading or trailing whitespace"));
    }
}

fn ports(e: &mut Errors, ports: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            let messages = names::port_name(name.text());
            if messages.is_empty() && !seen.insert(name.text()) {
                e.push(name.duplicate());
            }
            e.extend(messages.iter().map(|m| name.invalid(m)));
        }
        let number = port.get("containerPort");
        if number.int() == 0 {
            e.push(number.required(""));
        } else {
            e.extend(names::port_number(number.int()).iter().map(|m| number.invalid(m)));
        }
        let host = port.get("hostPort");
        if host.int() != 0 {
            e.extend(names::port_number(host.int()).iter().map(|m| host.invalid(m)));
        }
        check_required_supported(e, &port.get("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

fn host_ports<'a>(e: &mut Errors, containers: impl Iterator<Item = Node<'a>>) {
    let mut seen = BTreeSet::new();
    for container in containers {
        for port in container.get("ports").items().filter(|p| p.get("hostPort").int() != 0) {
            let host = port.get("hostPort");
            let key = format!("{}/{}/{}", port.get("protocol").text(), port.get("hostIP").text(), host.int());
            if seen.contains(&key) {
                e.push(FieldError::duplicate(&host.path, &json!(key)));
            } else {
                seen.insert(key);
            }
        }
    }
}

fn resize_policy(e: &mut Errors, policies: &Node<'_>, pod_restart_policy: &str) {
    let mut seen = BTreeSet::new();
    for policy in policies.items() {
        let resource = policy.get("resourceName").moved(policies.path.clone());
        let restart = policy.get("restartPolicy").moved(policies.path.clone());
        if !seen.insert(resource.text()) {
            e.push(FieldError::duplicate(&policy.path, &json!(resource.text())));
        }
        check_required_supported(e, &resource, &["cpu", "memory"]);
        check_required_supported(e, &restart, &["NotRequired", "RestartContainer"]);
        if pod_restart_policy == "Never" && restart.text() != "NotRequired" {
            e.push(restart.invalid_text("must be 'NotRequired' when pod `restartPolicy` is 'Never'"));
        }
    }
}

/// A container's own restart policy and its rules.
fn restart_policy(e: &mut Errors, container: &Node<'_>) {
    let (policy, rules) = (container.get("restartPolicy"), container.get("restartPolicyRules"));
    if !policy.is_set() {
        if !rules.is_empty() {
            e.push(policy.required("must specify restartPolicy when restart rules are used"));
        }
    } else if !matches!(policy.text(), "Always" | "Never" | "OnFailure") {
        e.push(policy.not_supported(&["Always", "Never", "OnFailure"]));
    }
    if rules.len() > 20 {
        e.push(FieldError::too_many(&rules.path, rules.len(), 20));
    }
    for rule in rules.items() {
        if !matches!(rule.get("action").text(), "Restart" | "RestartAllContainers") {
            e.push(rule.get("action").not_supported(&["Restart", "RestartAllContainers"]));
        }
        let codes = rule.get("exitCodes");
        if !codes.is_set() {
            e.push(codes.required("must be specified"));
            continue;
        }
        if !matches!(codes.get("operator").text(), "In" | "NotIn") {
            e.push(codes.get("operator").not_supported(&["In", "NotIn"]));
        }
        if codes.get("values").len() > 255 {
            e.push(FieldError::too_many(&codes.get("values").path, codes.get("values").len(), 255));
        }
    }
}

/// A port's number or name.
pub fn port_number_or_name(e: &mut Errors, port: &Node<'_>) {
    if port.value.is_string() {
        check_text(e, port, names::port_name);
    } else {
        e.extend(names::port_number(port.int()).iter().map(|m| port.invalid_as(port.int(), m)));
    }
}
