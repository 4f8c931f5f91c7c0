//! PodSecurity: the Pod Security Standards, as the labels of a namespace ask for them.
//!
//! Pods are refused (`enforce`), noted in the audit log (`audit`) or warned about (`warn`); objects that make pods are only
//! noted and warned about.

mod baseline;
mod policy;
mod restricted;
mod violation;

use super::{Operation, is};
use crate::pipeline::Write;
use crate::{failure, stored};
use object::{ApiError, GroupKind, Result, Value, meta};
use policy::{Level, Policy, Standard};
use std::collections::BTreeMap;
use store::ListRequest;
use violation::Violation;

/// So many pods are looked at when a namespace begins to enforce a level.
const MAX_EXISTING: usize = 3000;

pub(super) async fn validate(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    if operation == Operation::Delete {
        return Ok(());
    }
    if is(write, "", "namespaces") {
        return namespace(write, object).await;
    }
    if !matches!(write.target.at.subresource.as_str(), "" | "ephemeralcontainers") {
        return Ok(());
    }
    let is_pod = is(write, "", "pods");
    let Some(pod) = pod_of(write, is_pod, object) else { return Ok(()) };
    if operation == Operation::Update && write.old.is_some_and(|old| !is_significant(is_pod, old, pod)) {
        return Ok(());
    }
    let key = format!("/core/namespaces/{}", write.target.at.namespace);
    let (entry, _) = write.call.api.store.get(&key).await.map_err(failure::store)?;
    // Most namespaces ask for nothing.
    let entry = entry.filter(|entry| stored::mentions(&entry.value, policy::PREFIX));
    let namespace = entry.as_ref().and_then(stored::decode).unwrap_or_default();
    let (policy, _) = Policy::of(&namespace);
    let call = write.call;
    if call.audit.is_some() {
        if is_pod {
            call.annotate("pod-security.kubernetes.io/enforce-policy", &policy.enforce.to_string());
        }
        let violations = policy.audit.evaluate(pod);
        if !violations.is_empty() {
            let details = violation::details(&violations);
            let noted = format!("would violate PodSecurity \"{}\": {details}", policy.audit);
            call.annotate("pod-security.kubernetes.io/audit-violations", &noted);
        }
    }
    if is_pod {
        let violations = policy.enforce.evaluate(pod);
        if !violations.is_empty() {
            return Err(ApiError::Forbidden {
                resource: write.target.group_resource(),
                name: meta::name(object).into(),
                reason: format!(
                    "violates PodSecurity \"{}\": {}",
                    policy.enforce,
                    violation::details(&violations)
                ),
            });
        }
    }
    let violations = policy.warn.evaluate(pod);
    if !violations.is_empty() {
        let details = violation::details(&violations);
        write.call.warn(format!("would violate PodSecurity \"{}\": {details}", policy.warn));
    }
    Ok(())
}

/// The pod, or the pod that an object would make.
fn pod_of<'a>(write: &Write<'_>, is_pod: bool, object: &'a Value) -> Option<&'a Value> {
    let storage = &write.target.resource.storage;
    let template = match (storage.group.as_str(), storage.resource.as_str()) {
        _ if is_pod => return Some(object),
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => &object["spec"]["template"],
        ("batch", "cronjobs") => &object["spec"]["jobTemplate"]["spec"]["template"],
        ("", "podtemplates") => &object["template"],
        _ => return None,
    };
    template.is_object().then_some(template)
}

/// An update of a pod that cannot make it worse is let through.
fn is_significant(is_pod: bool, old: &Value, pod: &Value) -> bool {
    if !is_pod {
        return true;
    }
    if meta::deletion_timestamp(pod).is_some() {
        return false;
    }
    let notable = |object: &Value| -> BTreeMap<String, String> {
        let prefixes =
            ["seccomp.security.alpha.kubernetes.io/", "container.apparmor.security.beta.kubernetes.io/"];
        meta::annotations(object)
            .filter(|(key, _)| prefixes.iter().any(|p| key.starts_with(p)))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    };
    notable(old) != notable(pod) || old["spec"] != pod["spec"]
}

/// Labels must be readable; a stricter level is answered with what of the namespace already breaks it.
async fn namespace(write: &Write<'_>, object: &Value) -> Result<()> {
    if !write.target.at.subresource.is_empty() {
        return Ok(());
    }
    let (policy, errors) = Policy::of(object);
    let (before, known) = write.old.map(Policy::of).unwrap_or_default();
    if !errors.is_empty() {
        if write.old.is_some() && errors == known {
            return Ok(());
        }
        let kind = GroupKind { group: String::new(), kind: "Namespace".into() };
        return Err(ApiError::Invalid { kind, name: meta::name(object).into(), errors });
    }
    if write.old.is_none() || policy.enforce == before.enforce || policy.enforce.level <= before.enforce.level
    {
        return Ok(());
    }
    warn_of_existing(write, meta::name(object), &policy.enforce).await
}

async fn warn_of_existing(write: &Write<'_>, namespace: &str, standard: &Standard) -> Result<()> {
    let request =
        ListRequest { prefix: format!("/core/pods/{namespace}/"), limit: MAX_EXISTING, ..Default::default() };
    let listing = write.call.api.store.list(request).await.map_err(failure::store)?;
    let mut offenders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in listing.entries.iter().filter_map(stored::decode) {
        let violations = standard.evaluate(&pod);
        if !violations.is_empty() {
            offenders.entry(violation::reasons(&violations)).or_default().push(meta::name(&pod).to_owned());
        }
    }
    if offenders.is_empty() {
        return Ok(());
    }
    write.call.warn(format!(
        "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{standard}\""
    ));
    let mut lines: Vec<String> = offenders
        .into_iter()
        .map(|(reasons, pods)| match pods.len() {
            1 => format!("{}: {reasons}", pods[0]),
            2 => format!("{} (and 1 other pod): {reasons}", pods[0]),
            n => format!("{} (and {} other pods): {reasons}", pods[0], n - 1),
        })
        .collect();
    lines.sort();
    lines.into_iter().for_each(|line| write.call.warn(line));
    Ok(())
}

impl Standard {
    /// How a pod breaks the standard.
    fn evaluate(&self, pod: &Value) -> Vec<Violation> {
        let mut found = Vec::new();
        if self.level >= Level::Baseline {
            baseline::check(self, pod, &mut found);
        }
        if self.level == Level::Restricted {
            restricted::check(self, pod, &mut found);
        }
        found
    }
}
