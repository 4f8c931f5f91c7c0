//! Updates of a Pod's status.

use super::annotations;
use crate::ip;
use crate::node::{Errors, IMMUTABLE, Node, check_text, check_text_if_set};
use object::{FieldError, Path, names};
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks an update of a Pod's status, but for its ObjectMeta.
pub fn validate(e: &mut Errors, new: &Value, old: &Value) {
    annotations::validate_update(e, new, old);
    let (new_root, old_root) = (Node::root(new), Node::root(old));
    let (spec, status) = (new_root.get("spec"), new_root.get("status"));
    let (old_spec, old_status) = (old_root.get("spec"), old_root.get("status"));
    for (i, condition) in status.get("conditions").items().enumerate() {
        let kind = condition.get("type").moved(Path::new("metadata.conditions").index(i).field("Type"));
        if !matches!(kind.text(), "PodScheduled" | "Ready" | "Initialized") {
            check_text(e, &kind, names::qualified_name);
        }
    }
    if spec.get("nodeName").text() != old_spec.get("nodeName").text() {
        e.push(status.get("nodeName").forbidden("may not be changed directly"));
    }
    let nominated = status.get("nominatedNodeName");
    if nominated.text() != old_status.get("nominatedNodeName").text() {
        check_text_if_set(e, &nominated, names::dns1123_subdomain);
    }
    if status.get("qosClass").text() != old_status.get("qosClass").text() {
        e.push(status.get("qosClass").invalid_text(IMMUTABLE));
    }
    let policy = old_spec.get("restartPolicy").text();
    transitions(e, &status, &old_status, "containerStatuses", policy, |_| false);
    let sidecar = |name: &str| {
        let mut init = old_spec.get("initContainers").items();
        init.any(|c| c.get("name").text() == name && c.get("restartPolicy").text() == "Always")
    };
    transitions(e, &status, &old_status, "initContainerStatuses", policy, sidecar);
    transitions(e, &status, &old_status, "ephemeralContainerStatuses", "Never", |_| false);
    claim_statuses(e, &status.get("resourceClaimStatuses"), &spec.get("resourceClaims"));
    addresses(e, &status.get("podIPs"));
    let host_ips = status.get("hostIPs");
    if !host_ips.is_empty() {
        let first = Node::at(&host_ips.list()[0]["ip"], host_ips.path.index(0).field("ip"));
        if first.text() != status.get("hostIP").text() {
            e.push(first.invalid_text("must be equal to `hostIP`"));
        }
        addresses(e, &host_ips);
    }
}

/// Where nothing restarts, what has terminated stays so.
fn transitions(
    e: &mut Errors,
    new: &Node<'_>,
    old: &Node<'_>,
    list: &str,
    policy: &str,
    skip: impl Fn(&str) -> bool,
) {
    if policy == "Always" {
        return;
    }
    for (i, before) in old.get(list).items().enumerate() {
        let terminated = before.get("state").get("terminated");
        let failed = terminated.get("exitCode").int() != 0;
        if !terminated.is_set() || failed && policy == "OnFailure" || skip(before.get("name").text()) {
            continue;
        }
        let revived = |now: &Node<'_>| {
            now.raw("name") == before.raw("name") && !now.get("state").get("terminated").is_set()
        };
        if new.get(list).items().any(|now| revived(&now)) {
            let path = new.get(list).path.index(i).field("state");
            e.push(FieldError::forbidden(&path, "may not be transitioned to non-terminated state"));
        }
    }
}

fn claim_statuses(e: &mut Errors, statuses: &Node<'_>, claims: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for status in statuses.items() {
        let name = status.get("name");
        if !claims.list().iter().any(|claim| &claim["name"] == name.value) {
            e.push(name.invalid_text("must match the name of an entry in `spec.resourceClaims`"));
        }
        if !seen.insert(name.text()) {
            e.push(name.duplicate());
        }
        let claim = status.get("resourceClaimName").moved(name.path.clone());
        if claim.is_set() {
            check_text(e, &claim, names::dns1123_subdomain);
        }
    }
}

/// At most one address of each family.
fn addresses(e: &mut Errors, list: &Node<'_>) {
    for item in list.items() {
        ip::legacy_ip(e, &item.get("ip").moved(item.path.clone()), &[]);
    }
    if list.len() < 2 {
        return;
    }
    let texts: Vec<_> = list.items().map(|item| item.get("ip").text()).collect();
    if !ip::is_dual_stack(&texts) || texts.len() > 2 {
        e.push(list.invalid("may specify no more than one IP for each IP family"));
    }
    let mut seen = BTreeSet::new();
    for item in list.items() {
        if !seen.insert(item.get("ip").text()) {
            e.push(item.duplicate());
        }
    }
}
