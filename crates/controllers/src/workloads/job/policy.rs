//! The pod failure policy: what a failed pod means, by exit codes and conditions.

use super::indexes::index_of;
use crate::common::conditions;
use object::meta;
use serde_json::Value;

/// What the first matching rule says of a failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// As if there were no policy.
    Count,
    /// The pod does not count.
    Ignore,
    /// The whole job failed; why.
    FailJob(String),
    /// Its index failed.
    FailIndex,
}

/// Whether a failed pod counts towards the backoff limit.
pub(super) fn counts(job: &Value, pod: &Value) -> bool {
    meaning(job, pod) != Meaning::Ignore
}

/// What a failed pod means for its job.
pub(super) fn meaning(job: &Value, pod: &Value) -> Meaning {
    let rules = job["spec"]["podFailurePolicy"]["rules"].as_array().map_or(&[][..], Vec::as_slice);
    for (number, rule) in rules.iter().enumerate() {
        let Some(what) = by_exit_code(rule, pod).or_else(|| by_condition(rule, pod)) else { continue };
        return match rule["action"].as_str() {
            Some("Ignore") => Meaning::Ignore,
            Some("FailJob") => Meaning::FailJob(format!("{what} matching FailJob rule at index {number}")),
            Some("FailIndex") => Meaning::FailIndex,
            _ => Meaning::Count,
        };
    }
    Meaning::Count
}

fn by_exit_code(rule: &Value, pod: &Value) -> Option<String> {
    let wanted = &rule["onExitCodes"];
    let values = wanted["values"].as_array()?;
    let lists = ["containerStatuses", "initContainerStatuses"].map(|list| &pod["status"][list]);
    let statuses = lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten());
    for status in statuses {
        let named = wanted["containerName"].as_str().is_none_or(|name| status["name"] == name);
        let Some(code) = status["state"]["terminated"]["exitCode"].as_i64().filter(|code| *code != 0) else {
            continue;
        };
        let listed = values.iter().any(|value| *value == code);
        let matched = if wanted["operator"] == "NotIn" { !listed } else { listed };
        if named && matched {
            let container = status["name"].as_str().unwrap_or("");
            return Some(format!(
                "Container {container} for pod {} failed with exit code {code}",
                full_name(pod)
            ));
        }
    }
    None
}

fn by_condition(rule: &Value, pod: &Value) -> Option<String> {
    for pattern in rule["onPodConditions"].as_array()? {
        let kind = pattern["type"].as_str().unwrap_or("");
        let found = conditions::find(&pod["status"]["conditions"], kind);
        let status = pattern["status"].as_str().unwrap_or("True");
        if found.is_some_and(|condition| condition["status"] == status) {
            return Some(format!("Pod {} has condition {kind}", full_name(pod)));
        }
    }
    None
}

fn full_name(pod: &Value) -> String {
    format!("{}/{}", meta::namespace(pod), meta::name(pod))
}

/// How often the pod's index had failed before it, and whether this failure is its last.
pub(super) fn fails_index(job: &Value, pod: &Value) -> bool {
    let Some(limit) = job["spec"]["backoffLimitPerIndex"].as_i64() else { return false };
    if index_of(pod).is_none() {
        return false;
    }
    match meaning(job, pod) {
        Meaning::FailIndex => true,
        Meaning::Ignore => false,
        _ => index_failures(pod) >= limit,
    }
}

/// How many pods of the same index had failed when this one was made.
pub(super) fn index_failures(pod: &Value) -> i64 {
    meta::annotation(pod, "batch.kubernetes.io/job-index-failure-count")
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}
