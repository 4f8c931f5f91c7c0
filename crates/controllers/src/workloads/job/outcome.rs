//! Whether a job is over, and why.

use super::indexes::{self, Indexes, index_of};
use super::pods::Counts;
use super::policy::{self, Meaning};
use super::tracking::{Tracked, has_failed, is_tracked};
use super::{is_indexed, is_suspended};
use crate::common::conditions;
use jiff::Timestamp;
use object::time;
use serde_json::{Value, json};
use std::sync::Arc;

/// How a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded { reason: String, message: String },
    Failed { reason: String, message: String },
}

impl Outcome {
    pub(super) fn words(&self) -> (&str, &str) {
        match self {
            Self::Succeeded { reason, message } | Self::Failed { reason, message } => (reason, message),
        }
    }

    fn failed(reason: &str, message: impl Into<String>) -> Option<Self> {
        Some(Self::Failed { reason: reason.into(), message: message.into() })
    }

    fn succeeded(reason: &str, message: impl Into<String>) -> Option<Self> {
        Some(Self::Succeeded { reason: reason.into(), message: message.into() })
    }
}

/// What was found out.
pub(super) struct Verdict {
    pub(super) outcome: Option<Outcome>,
    /// Of an indexed job that has any.
    pub(super) completed: Option<Indexes>,
    /// Of an indexed job with a limit per index.
    pub(super) failed: Option<Indexes>,
}

/// A job's condition, with the time that Kubernetes adds to all of them.
pub(super) fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    let now = time::format(now);
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastProbeTime": now, "lastTransitionTime": now})
}

pub(super) fn judge(
    job: &Value,
    pods: &[Arc<Value>],
    tracked: &Tracked,
    counts: &Counts,
    now: Timestamp,
) -> Verdict {
    let completed = is_indexed(job).then(|| indexes::completed(job, pods));
    let failed = is_indexed(job).then(|| failed_indexes(job, pods)).flatten();
    let outcome = decided(job)
        .or_else(|| by_policy(job, pods))
        .or_else(|| by_limits(job, pods, tracked, completed.as_ref(), failed.as_ref(), now))
        .or_else(|| by_success_policy(job, completed.as_ref()))
        .or_else(|| by_completion(job, tracked, counts, completed.as_ref()));
    Verdict { outcome, completed: completed.filter(|indexes| !indexes.is_empty()), failed }
}

/// What was decided in an earlier round stands.
fn decided(job: &Value) -> Option<Outcome> {
    let all = &job["status"]["conditions"];
    let words = |condition: &Value| {
        let text = |field: &str| condition[field].as_str().unwrap_or("").to_owned();
        (text("reason"), text("message"))
    };
    let is = |kind: &str| conditions::find(all, kind).filter(|c| c["status"] == "True").map(words);
    if let Some((reason, message)) = is("SuccessCriteriaMet") {
        return Some(Outcome::Succeeded { reason, message });
    }
    let (reason, message) = is("FailureTarget")?;
    Some(Outcome::Failed { reason, message })
}

fn by_policy(job: &Value, pods: &[Arc<Value>]) -> Option<Outcome> {
    let failed = pods.iter().filter(|pod| is_tracked(pod) && has_failed(job, pod));
    let mut meanings = failed.map(|pod| policy::meaning(job, pod));
    meanings.find_map(|meaning| match meaning {
        Meaning::FailJob(message) => Outcome::failed("PodFailurePolicy", message),
        _ => None,
    })
}

fn by_limits(
    job: &Value,
    pods: &[Arc<Value>],
    tracked: &Tracked,
    completed: Option<&Indexes>,
    failed: Option<&Indexes>,
    now: Timestamp,
) -> Option<Outcome> {
    let limit = job["spec"]["backoffLimit"].as_i64().unwrap_or(6);
    if tracked.failed() > limit || restarted_too_often(job, pods, limit) {
        return Outcome::failed("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    let started = job["status"]["startTime"].as_str().and_then(|text| time::parse(text).ok());
    if let (Some(deadline), Some(start)) = (job["spec"]["activeDeadlineSeconds"].as_i64(), started)
        && !is_suspended(job)
        && now.as_second() - start.as_second() >= deadline
    {
        return Outcome::failed("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    let most = job["spec"]["maxFailedIndexes"].as_i64();
    if failed.zip(most).is_some_and(|(failed, most)| failed.len() as i64 > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Outcome::failed("MaxFailedIndexesExceeded", message);
    }
    let lost = failed.map_or(0, Indexes::len) as i64;
    let done = completed.map_or(0, Indexes::len) as i64;
    if lost > 0 && lost + done >= indexes::completions(job) {
        return Outcome::failed("FailedIndexes", "Job has failed indexes");
    }
    None
}

/// Of pods that restart their containers themselves all restarts count.
fn restarted_too_often(job: &Value, pods: &[Arc<Value>], limit: i64) -> bool {
    if job["spec"]["template"]["spec"]["restartPolicy"] != "OnFailure" {
        return false;
    }
    let alive =
        pods.iter().filter(|pod| matches!(pod["status"]["phase"].as_str(), Some("Running" | "Pending")));
    let lists =
        alive.flat_map(|pod| ["initContainerStatuses", "containerStatuses"].map(|l| &pod["status"][l]));
    let statuses = lists.flat_map(|list| list.as_array().into_iter().flatten());
    let restarts: i64 = statuses.filter_map(|status| status["restartCount"].as_i64()).sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

fn by_success_policy(job: &Value, completed: Option<&Indexes>) -> Option<Outcome> {
    let completed = completed?;
    for (number, rule) in job["spec"]["successPolicy"]["rules"].as_array()?.iter().enumerate() {
        let wanted =
            rule["succeededIndexes"].as_str().map(|text| Indexes::parse(text, indexes::completions(job)));
        let done = match &wanted {
            Some(wanted) => (0..indexes::completions(job))
                .filter(|i| wanted.contains(*i) && completed.contains(*i))
                .count(),
            None => completed.len(),
        };
        let enough = match (rule["succeededCount"].as_i64(), &wanted) {
            (Some(count), _) => done as i64 >= count,
            (None, Some(wanted)) => done == wanted.len(),
            (None, None) => false,
        };
        if enough {
            return Outcome::succeeded("SuccessPolicy", format!("Matched rules at index {number}"));
        }
    }
    None
}

fn by_completion(
    job: &Value,
    tracked: &Tracked,
    counts: &Counts,
    completed: Option<&Indexes>,
) -> Option<Outcome> {
    let met = || Outcome::succeeded("CompletionsReached", "Reached expected number of succeeded pods");
    let Some(wanted) = job["spec"]["completions"].as_i64() else {
        // A work queue is done when one worker succeeded and all have ended.
        return if tracked.succeeded() > 0 && counts.active.is_empty() { met() } else { None };
    };
    let done = completed.map_or(tracked.succeeded(), |indexes| indexes.len() as i64);
    if done >= wanted { met() } else { None }
}

/// Indexes that are given up, if there is a limit per index.
pub(super) fn failed_indexes(job: &Value, pods: &[Arc<Value>]) -> Option<Indexes> {
    job["spec"]["backoffLimitPerIndex"].as_i64()?;
    let total = indexes::completions(job);
    let mut all = Indexes::parse(job["status"]["failedIndexes"].as_str().unwrap_or(""), total);
    let given_up = pods.iter();
    let given_up =
        given_up.filter(|pod| is_tracked(pod) && has_failed(job, pod) && policy::fails_index(job, pod));
    given_up
        .filter_map(|pod| index_of(pod))
        .filter(|index| *index < total)
        .for_each(|index| all.insert(index));
    Some(all)
}
