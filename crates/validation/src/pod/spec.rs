//! PodSpec: the order of the checks.

use super::{PodContext, affinity, containers, dns, env, os, scheduling, security, volumes};
use crate::metadata::labels;
use crate::node::{Errors, Node, check_text, check_text_if_set};
use crate::resources;
use object::{FieldError, Quantity, names};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Checks a PodSpec.
pub fn validate(e: &mut Errors, spec: &Node<'_>, context: PodContext<'_>) {
    if !spec.get("terminationGracePeriodSeconds").is_set() {
        e.push(spec.get("terminationGracePeriodSeconds").required(""));
    }
    let valid_volumes = volumes::validate(e, &spec.get("volumes"), context);
    let claims = spec.get("resourceClaims");
    resource_claims(e, &claims);
    let scope = containers::Scope {
        volumes: valid_volumes,
        claim_names: claims.items().map(|c| c.get("name").text()).filter(|n| !n.is_empty()).collect(),
        grace_period: spec.get("terminationGracePeriodSeconds").number(),
        restart_policy: spec.get("restartPolicy").text(),
        host_users: spec.get("hostUsers").value != &json!(false),
    };
    containers::ordinary(e, &spec.get("containers"), &scope);
    containers::init(e, spec, &scope);
    containers::ephemeral(e, spec, &scope);
    pod_level_resources(e, spec, &scope.claim_names);
    host_network_ports(e, spec, context);
    policies(e, spec);
    labels(e, &spec.get("nodeSelector"));
    security::pod(e, spec);
    affinity::validate(e, &spec.get("affinity"));
    dns::validate(e, spec);
    for gate in spec.get("readinessGates").items() {
        check_text(e, &gate.get("conditionType"), names::qualified_name);
    }
    scheduling::gates(e, &spec.get("schedulingGates"));
    scheduling::topology_spread(e, &spec.get("topologySpreadConstraints"));
    os::host_process(e, spec);
    host_users(e, spec);
    host_name_override(e, spec);
    check_text_if_set(e, &spec.get("serviceAccountName"), names::dns1123_subdomain);
    check_text_if_set(e, &spec.get("nodeName"), names::dns1123_subdomain);
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.number().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds)) {
        e.push(deadline.invalid(&names::range_error(1, i32::MAX.into())));
    }
    check_text_if_set(e, &spec.get("hostname"), names::dns1123_label);
    check_text_if_set(e, &spec.get("subdomain"), names::dns1123_label);
    scheduling::tolerations(e, &spec.get("tolerations"));
    dns::host_aliases(e, &spec.get("hostAliases"));
    check_text_if_set(e, &spec.get("priorityClassName"), names::dns1123_subdomain);
    if spec.get("runtimeClassName").is_set() {
        check_text(e, &spec.get("runtimeClassName"), names::dns1123_subdomain);
    }
    preemption_policy(e, &spec.get("preemptionPolicy"));
    overhead(e, &spec.get("overhead"));
    os::validate(e, spec);
    env::file_volumes(e, spec);
}

fn policies(e: &mut Errors, spec: &Node<'_>) {
    let restart = spec.get("restartPolicy");
    match restart.text() {
        "Always" | "OnFailure" | "Never" => {}
        "" => e.push(restart.required("")),
        _ => e.push(restart.not_supported(&["Always", "OnFailure", "Never"])),
    }
    let dns = spec.get("dnsPolicy");
    match dns.text() {
        "ClusterFirstWithHostNet" | "ClusterFirst" | "Default" | "None" => {}
        "" => e.push(dns.required("")),
        _ => e.push(dns.not_supported(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])),
    }
}

/// `preemptionPolicy`, of a pod or a PriorityClass.
pub fn preemption_policy(e: &mut Errors, policy: &Node<'_>) {
    match policy.text() {
        "PreemptLowerPriority" | "Never" => {}
        "" if policy.is_set() => e.push(policy.required("")),
        "" => {}
        _ => e.push(policy.not_supported(&["PreemptLowerPriority", "Never"])),
    }
}

fn overhead(e: &mut Errors, overhead: &Node<'_>) {
    if overhead.is_set() {
        let wrapped = json!({"limits": overhead.value});
        let node = Node::at(&wrapped, overhead.path.clone());
        resources::requirements(e, &node, resources::container_resource_name, &BTreeSet::new());
    }
}

fn resource_claims(e: &mut Errors, claims: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let name = claim.get("name");
        if name.text().is_empty() {
            e.push(name.required(""));
        } else if !seen.insert(name.text()) {
            e.push(name.duplicate());
        } else {
            check_text(e, &name, names::dns1123_label);
        }
        let (by_name, by_template) = (claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName"));
        // Go shows its own field names here.
        let shown = format!(
            "{{\"Name\":{},\"ResourceClaimName\":{},\"ResourceClaimTemplateName\":{}}}",
            json!(name.text()),
            by_name.value,
            by_template.value
        );
        if by_name.is_set() && by_template.is_set() {
            let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            e.push(FieldError::invalid_shown(&claim.path, &shown, detail));
        }
        if !by_name.is_set() && !by_template.is_set() {
            let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            e.push(FieldError::invalid_shown(&claim.path, &shown, detail));
        }
        for reference in [by_name, by_template] {
            if reference.is_set() {
                check_text(e, &reference, names::dns1123_subdomain);
            }
        }
    }
}

fn pod_level_resources(e: &mut Errors, spec: &Node<'_>, claim_names: &BTreeSet<&str>) {
    let pod = spec.get("resources");
    if pod.is_empty() {
        return;
    }
    if pod.get("claims").is_set() {
        e.push(pod.get("claims").forbidden("claims may not be set for Resources at pod-level"));
    }
    resources::requirements(e, &pod, resources::pod_resource_name, claim_names);
    for (name, total) in container_requests(spec) {
        let request = resources::quantity(pod.raw("requests").get(name).unwrap_or(&json!("0")));
        if total > request {
            let path = pod.path.field("requests").key(name);
            let detail = format!("must be greater than or equal to aggregate container requests of {total}");
            e.push(FieldError::invalid(&path, &json!(request.to_string()), &detail));
        }
    }
    for (i, container) in spec.get("containers").items().enumerate() {
        for (name, limit) in container.get("resources").get("limits").entries() {
            let limit = resources::quantity(limit.value);
            let Some(pod_limit) = pod.raw("limits").get(name).map(resources::quantity) else { continue };
            if limit > pod_limit {
                let path = pod.path.field("containers").index(i).key(name).field("limits");
                let detail = format!("must be less than or equal to pod limits of {pod_limit}");
                e.push(FieldError::invalid(&path, &json!(limit.to_string()), &detail));
            }
        }
    }
}

/// What all containers request together: sidecars count with the containers, other init containers one by one.
fn container_requests<'a>(spec: &Node<'a>) -> BTreeMap<&'a str, Quantity> {
    let add = |sum: &mut BTreeMap<&'a str, Quantity>, container: &Node<'a>| {
        for (name, amount) in container.get("resources").get("requests").entries() {
            let entry = sum.entry(name).or_default();
            *entry = entry.add(&resources::quantity(amount.value));
        }
    };
    let mut total = BTreeMap::new();
    for container in spec.get("containers").items() {
        add(&mut total, &container);
    }
    let (mut sidecars, mut peak) = (BTreeMap::new(), BTreeMap::<&str, Quantity>::new());
    for container in spec.get("initContainers").items() {
        let mut now = sidecars.clone();
        add(&mut now, &container);
        if container.get("restartPolicy").text() == "Always" {
            add(&mut total, &container);
            add(&mut sidecars, &container);
        }
        for (name, amount) in now {
            let entry = peak.entry(name).or_default();
            *entry = amount.max(entry.clone());
        }
    }
    for (name, amount) in peak {
        let entry = total.entry(name).or_default();
        *entry = amount.max(entry.clone());
    }
    total
}

fn host_network_ports(e: &mut Errors, spec: &Node<'_>, context: PodContext<'_>) {
    if !spec.get("hostNetwork").is_true() {
        return;
    }
    for container in spec.get("containers").items() {
        for port in container.get("ports").items() {
            let (host, own) = (port.get("hostPort"), port.get("containerPort").int());
            if (context.is_pod || host.int() != 0) && host.int() != own {
                e.push(host.invalid_as(host.int(), "must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}

const WITHOUT_HOST_USERS: &str = "when `hostUsers` is false";

fn host_users(e: &mut Errors, spec: &Node<'_>) {
    if spec.get("hostUsers").value != &json!(false) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.get(field).is_true() {
            let path = spec.path.field(shown);
            e.push(FieldError::forbidden(&path, WITHOUT_HOST_USERS));
        }
    }
    for container in super::all_containers(spec) {
        if !container.get("volumeDevices").is_empty() {
            e.push(container.get("volumeDevices").forbidden(WITHOUT_HOST_USERS));
        }
    }
}

fn host_name_override(e: &mut Errors, spec: &Node<'_>) {
    let name = spec.get("hostnameOverride");
    if !name.is_set() {
        return;
    }
    if spec.get("setHostnameAsFQDN").is_true() {
        e.push(name.forbidden("may not be specified when setHostnameAsFQDN is true"));
    }
    if spec.get("hostNetwork").is_true() {
        e.push(name.forbidden("may not be specified when hostNetwork is true"));
    }
    if name.len() > 64 {
        e.push(name.too_long(64));
    }
    check_text(e, &name, names::dns1123_subdomain);
}
