//! Jobs.

use super::{check_selector_kept, invalid_selector, selector_matches};
use crate::node::{
    Errors, IMMUTABLE, Node, check_immutable, check_immutable_struct, check_non_negative, check_text, same,
};
use crate::pod;
use crate::selectors::label_selector;
use object::{FieldError, LabelSelector, names};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

mod indexes;
mod policies;
mod status;

pub use status::job_status;

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// A Job.
pub fn job(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let spec = root.get("spec");
    generated_selector(e, &root);
    spec_with_selector(e, &spec);
    let completions = spec.get("completions").int();
    if spec.get("completionMode").text() == "Indexed" && completions > 0 {
        let name = root.get("metadata").get("name");
        let hostname = format!("{}-{}", name.text(), completions - 1);
        if !names::dns1123_label(&hostname).is_empty() {
            e.push(name.invalid(&format!("will not able to create pod with invalid DNS label: {hostname}")));
        }
    }
}

/// Unless chosen by hand, selector and template carry the labels made from the job's name and uid.
fn generated_selector(e: &mut Errors, root: &Node<'_>) {
    let spec = root.get("spec");
    let selector = spec.get("selector");
    if spec.get("manualSelector").is_true() || !selector.is_set() {
        return;
    }
    let meta = root.get("metadata");
    let (uid, name) = (meta.get("uid").text(), meta.get("name").text());
    if uid.is_empty() {
        e.push(meta.get("uid").required(""));
    }
    let expected = [("controller-uid", uid), ("job-name", name), (UID_LABEL, uid), (NAME_LABEL, name)];
    let template = spec.get("template").get("metadata");
    let labels = template.get("labels");
    for (key, value) in expected {
        let path = labels.path.key(key);
        match labels.value.get(key).and_then(Value::as_str) {
            None => e.push(FieldError::required(&path, &format!("must be '{value}'"))),
            Some(actual) if actual != value => {
                e.push(FieldError::invalid(&path, labels.value, &format!("must be '{value}'")));
            }
            Some(_) => {}
        }
    }
    if let Ok(parsed) = LabelSelector::from_object(selector.value) {
        let has = |key: &str| expected.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        if !parsed.matches(has) {
            e.push(invalid_selector(&selector, "`selector` not auto-generated"));
        }
    }
}

fn spec_with_selector(e: &mut Errors, spec: &Node<'_>) {
    job_spec(e, spec);
    let selector = spec.get("selector");
    if selector.is_set() {
        label_selector(e, &selector);
    } else {
        e.push(selector.required(""));
    }
    if let Ok(parsed) = LabelSelector::from_object(selector.value) {
        selector_matches(e, &parsed, &spec.get("template"));
    }
}

/// A JobSpec but for its selector, as a CronJob's template has it too.
pub fn job_spec(e: &mut Errors, spec: &Node<'_>) {
    let fields = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for field in fields {
        check_non_negative(e, &spec.get(field));
    }
    let (per_index, max_failed) = (spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"));
    if max_failed.is_set() && !per_index.is_set() {
        e.push(per_index.required("when maxFailedIndexes is specified"));
    }
    let managed_by = spec.get("managedBy");
    if managed_by.is_set() {
        domain_prefixed_path(e, &managed_by);
        if managed_by.len() > 63 {
            e.push(managed_by.too_long(63));
        }
    }
    completion_mode(e, spec);
    policies::failure(e, spec);
    policies::success(e, spec);
    policies::replacement(e, spec);
    pod::validate_template(e, &spec.get("template"));
    restart_policy(e, spec);
}

fn restart_policy(e: &mut Errors, spec: &Node<'_>) {
    let policy = spec.get("template").get("spec").get("restartPolicy");
    match policy.text() {
        "Always" | "" => e.push(policy.required("valid values: \"OnFailure\", \"Never\"")),
        "Never" => {}
        "OnFailure" if spec.get("podFailurePolicy").is_set() => {
            e.push(policy.invalid("only \"Never\" is supported when podFailurePolicy is specified"));
        }
        "OnFailure" => {}
        _ => e.push(policy.not_supported(&["OnFailure", "Never"])),
    }
}

/// `domain/path`, as `managedBy` and IngressClass controllers are written.
pub fn domain_prefixed_path(e: &mut Errors, node: &Node<'_>) {
    if node.is_empty() {
        e.push(node.required(""));
        return;
    }
    let Some((host, path)) = node.text().split_once('/').filter(|(h, p)| !h.is_empty() && !p.is_empty())
    else {
        e.push(node.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")"));
        return;
    };
    e.extend(names::dns1123_subdomain(host).iter().map(|m| node.invalid_as(host, m)));
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)) {
        let regex = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
        e.push(node.invalid_as(path, &names::regex_error("Invalid path", regex, &[])));
    }
}

fn completion_mode(e: &mut Errors, spec: &Node<'_>) {
    let (mode, completions) = (spec.get("completionMode"), spec.get("completions"));
    let (per_index, max_failed) = (spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"));
    let parallelism = spec.get("parallelism");
    match mode.text() {
        "Indexed" => {
            if !completions.is_set() {
                e.push(completions.required("when completion mode is Indexed"));
            }
            if parallelism.int() > 100_000 {
                let detail = "must be less than or equal to 100000 when completion mode is Indexed";
                e.push(parallelism.invalid(detail));
            }
            if completions.is_set() && max_failed.int() > completions.int() {
                e.push(max_failed.invalid("must be less than or equal to completions"));
            }
            if max_failed.int() > 100_000 {
                e.push(max_failed.invalid("must be less than or equal to 100000"));
            }
            if completions.int() > 100_000 && per_index.is_set() {
                let detail = "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index";
                if !max_failed.is_set() {
                    e.push(max_failed.required("must be specified when completions is above 100000"));
                }
                e.extend(
                    [&parallelism, &max_failed]
                        .iter()
                        .filter(|n| n.int() > 10_000)
                        .map(|n| n.invalid(detail)),
                );
            }
        }
        mode_text if mode_text == "NonIndexed" || !mode.is_set() => {
            for node in [&per_index, &max_failed].into_iter().filter(|n| n.is_set()) {
                e.push(node.invalid("requires indexed completion mode"));
            }
        }
        _ => e.push(mode.not_supported(&["NonIndexed", "Indexed"])),
    }
}

/// An update of a Job, which Kubernetes judges as a new one, too: what it runs stays.
pub fn job_update(e: &mut Errors, new: &Value, old: &Value) {
    job(e, new);
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (spec, was) = (root.get("spec"), old_root.get("spec"));
    spec_with_selector(e, &spec);
    completions_update(e, &spec, &was);
    check_selector_kept(e, &spec, &was);
    template_update(e, &root, &old_root);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        let (now, before) = (spec.get(field), was.get(field));
        match field {
            "podFailurePolicy" => check_immutable_struct(e, &now, &before, "*PodFailurePolicy"),
            "successPolicy" => check_immutable_struct(e, &now, &before, "*SuccessPolicy"),
            _ => check_immutable(e, &now, &before),
        }
    }
}

fn completions_update(e: &mut Errors, spec: &Node<'_>, was: &Node<'_>) {
    let (now, before) = (spec.get("completions"), was.get("completions"));
    if spec.get("completionMode").text() != "Indexed" {
        check_immutable(e, &now, &before);
        return;
    }
    if now.value == before.value || !now.is_set() {
        return;
    }
    let tandem = "can only be modified in tandem with spec.parallelism";
    if now.value != spec.raw("parallelism") {
        e.push(now.invalid(tandem));
    }
}

/// While a job is suspended and none of its pods is there, their scheduling and resources may still be chosen.
fn template_update(e: &mut Errors, root: &Node<'_>, old_root: &Node<'_>) {
    let (template, was) = (root.get("spec").get("template"), old_root.get("spec").get("template"));
    let suspended = old_root.get("spec").get("suspend").is_true();
    let status = old_root.get("status");
    let not_started = !status.get("startTime").is_set() || has_condition(&status, "Suspended");
    if !(suspended && not_started && status.get("active").int() == 0) {
        check_immutable_struct(e, &template, &was, "PodTemplateSpec");
        return;
    }
    let (now, mut before) = (template.value["spec"].clone(), was.value["spec"].clone());
    take_scheduling(&mut before, &now);
    take_resources(&mut before, &now);
    if !same(&now, &before) {
        let path = template.path.field("spec");
        e.push(Node::at(&now, path).invalid_struct("PodSpec", IMMUTABLE));
    }
}

fn has_condition(status: &Node<'_>, kind: &str) -> bool {
    status.get("conditions").list().iter().any(|c| c["type"] == kind && c["status"] == "True")
}

/// Gives `to` what `from` says about where its pods may run.
fn take_scheduling(to: &mut Value, from: &Value) {
    for field in ["nodeSelector", "tolerations", "schedulingGates"] {
        take(to, from, field);
    }
    if let Some(chosen) = from.get("affinity") {
        take_in(object::meta::child_mut(to, "affinity"), chosen, "nodeAffinity");
    } else if to.get("affinity").is_some() {
        let affinity = object::meta::child_mut(to, "affinity");
        affinity.remove("nodeAffinity");
        if affinity.is_empty() {
            take(to, from, "affinity");
        }
    }
}

fn take_resources(to: &mut Value, from: &Value) {
    for list in ["containers", "initContainers"] {
        let (Some(containers), Some(chosen)) = (to[list].as_array_mut(), from[list].as_array()) else {
            continue;
        };
        if containers.len() != chosen.len() {
            continue;
        }
        for (container, chosen) in containers.iter_mut().zip(chosen) {
            if container["name"] == chosen["name"] {
                take(container, chosen, "resources");
            }
        }
    }
}

fn take(to: &mut Value, from: &Value, field: &str) {
    if let Some(map) = to.as_object_mut() {
        take_in(map, from, field);
    }
}

fn take_in(to: &mut Map<String, Value>, from: &Value, field: &str) {
    match from.get(field).filter(|value| !value.is_null()) {
        Some(value) => to.insert(field.to_owned(), value.clone()),
        None => to.remove(field),
    };
}

fn container_names<'a>(spec: &Node<'a>) -> BTreeSet<&'a str> {
    let pod = spec.get("template").get("spec");
    ["containers", "initContainers"]
        .into_iter()
        .flat_map(|l| pod.get(l).items())
        .map(|c| c.get("name").text())
        .collect()
}

fn qualified(e: &mut Errors, node: &Node<'_>) {
    check_text(e, node, names::qualified_name);
}
