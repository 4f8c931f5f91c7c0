//! How long a job waits after failures before it makes another pod.
//!
//! A failed pod may be gone by the time its replacement is due, so each failure is remembered until the job ends; what is
//! not remembered (after a restart) follows from the pods that are there and the job's own count.

use super::tracking::{has_failed, is_tracked};
use super::{int, policy};
use crate::common::conditions;
use object::{meta, time};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The first wait after a failure, seconds; doubled each time up to the cap.
const FIRST: u64 = 10;
const CAP: u64 = 600;

/// Failures since the last success, and when the last was.
pub(super) type Failures = (u32, i64);

#[derive(Default)]
struct Record {
    failures: Option<Failures>,
    /// Finished pods that are part of it and are still tracked.
    seen: HashSet<String>,
}

/// The failures of each job, by its uid; an entry goes with its job.
#[derive(Default)]
pub(super) struct Backoff(Mutex<HashMap<Box<str>, Record>>);

impl Backoff {
    pub(super) fn forget(&self, job: &str) {
        self.0.lock().remove(job);
    }

    /// Failures of the job up to now.
    pub(super) fn failures(&self, job: &Value, pods: &[Arc<Value>]) -> Option<Failures> {
        let tracked = pods.iter().filter(|pod| is_tracked(pod));
        let over: Vec<_> = tracked.filter(|pod| has_failed(job, pod) || succeeded(pod)).collect();
        let mut records = self.0.lock();
        let known = records.get_mut(meta::uid(job));
        let remembered = if known.is_none() && over.is_empty() {
            None
        } else {
            let record = records.entry(meta::uid(job).into()).or_default();
            record.note(job, &over);
            record.failures
        };
        let present = present(job, pods);
        match (remembered, present) {
            (Some((a, b)), Some((c, d))) => Some((a.max(c), b.max(d))),
            (one, other) => one.or(other),
        }
    }
}

impl Record {
    fn note(&mut self, job: &Value, over: &[&Arc<Value>]) {
        let fresh: Vec<_> = over.iter().filter(|pod| !self.seen.contains(meta::uid(pod))).collect();
        let success = fresh.iter().filter(|pod| succeeded(pod)).filter_map(|pod| ended(pod)).max();
        if fresh.iter().any(|pod| succeeded(pod)) {
            self.failures = None;
        }
        let failed = fresh.iter().filter(|pod| !succeeded(pod) && policy::counts(job, pod));
        for end in failed.filter_map(|pod| ended(pod)) {
            if success.is_none_or(|success| end > success) {
                let (count, last) = self.failures.unwrap_or((0, end));
                self.failures = Some((count.saturating_add(1), last.max(end)));
            }
        }
        self.seen = over.iter().map(|pod| meta::uid(pod).to_owned()).collect();
    }
}

fn succeeded(pod: &Value) -> bool {
    pod["status"]["phase"] == "Succeeded"
}

/// What the pods that are there tell.
fn present(job: &Value, pods: &[Arc<Value>]) -> Option<Failures> {
    let success = pods.iter().filter(|pod| succeeded(pod)).filter_map(|pod| ended(pod)).max();
    let failed = pods.iter().filter(|pod| pod["status"]["phase"] == "Failed").filter_map(|pod| ended(pod));
    let failed: Vec<i64> = failed.filter(|end| success.is_none_or(|success| *end >= success)).collect();
    let last = failed.iter().copied().max()?;
    let before = if success.is_none() { int(&job["status"]["failed"]) } else { 0 };
    Some(((failed.len() as u32).max(u32::try_from(before).unwrap_or(u32::MAX)), last))
}

/// When a pod was over, seconds: by its containers, its Ready condition, its deletion, or (never, with kubelets) its creation.
pub(super) fn ended(pod: &Value) -> Option<i64> {
    let parse =
        |text: Option<&str>| text.and_then(|text| time::parse(text).ok()).map(|time| time.as_second());
    let statuses = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let ends: Option<Vec<i64>> =
        statuses.iter().map(|status| parse(status["state"]["terminated"]["finishedAt"].as_str())).collect();
    let containers = ends.and_then(|ends| ends.into_iter().max());
    let unready = || {
        let ready = conditions::find(&pod["status"]["conditions"], "Ready")?;
        parse(ready["lastTransitionTime"].as_str().filter(|_| ready["status"] == "False"))
    };
    let deleted =
        || Some(parse(meta::deletion_timestamp(pod))? - int(&pod["metadata"]["deletionGracePeriodSeconds"]));
    containers.or_else(unready).or_else(deleted).or_else(|| parse(meta::creation_timestamp(pod)))
}

/// Time left to wait.
pub(super) fn wait(failures: Option<Failures>, now: i64) -> Option<Duration> {
    let (count, last) = failures.filter(|(count, _)| *count > 0)?;
    let delay = FIRST.saturating_mul(1u64.checked_shl(count - 1).unwrap_or(u64::MAX)).min(CAP);
    let left = last + delay as i64 - now;
    (left > 0).then(|| Duration::from_secs(left.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(uid: &str, phase: &str, second: i64) -> Arc<Value> {
        let at = time::format(jiff::Timestamp::from_second(second).unwrap());
        Arc::new(json!({"metadata": {"uid": uid, "finalizers": [super::super::FINALIZER]},
            "status": {"phase": phase, "containerStatuses": [{"state": {"terminated": {"finishedAt": at}}}]}}))
    }

    #[test]
    fn failures_are_remembered_when_their_pods_are_gone() {
        let (backoff, job) = (Backoff::default(), json!({"metadata": {"uid": "j"}}));
        assert_eq!(backoff.failures(&job, &[]), None);
        assert_eq!(backoff.failures(&job, &[pod("a", "Failed", 5)]), Some((1, 5)));
        assert_eq!(backoff.failures(&job, &[pod("a", "Failed", 5)]), Some((1, 5)));
        assert_eq!(backoff.failures(&job, &[]), Some((1, 5)));
        assert_eq!(backoff.failures(&job, &[pod("b", "Failed", 9)]), Some((2, 9)));
        assert_eq!(
            backoff.failures(&job, &[pod("c", "Succeeded", 10), pod("d", "Failed", 11)]),
            Some((1, 11))
        );
        backoff.forget("j");
        assert_eq!(backoff.failures(&job, &[]), None);
    }

    #[test]
    fn the_wait_doubles_up_to_ten_minutes() {
        let left = |count| wait(Some((count, 100)), 101).map(|wait| wait.as_secs());
        assert_eq!(
            [left(0), left(1), left(2), left(9), left(80)],
            [None, Some(9), Some(19), Some(599), Some(599)]
        );
        assert_eq!(wait(Some((1, 100)), 110), None);
    }
}
