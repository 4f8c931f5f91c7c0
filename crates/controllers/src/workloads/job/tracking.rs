//! Counts each finished pod once, in three steps that may be interrupted anywhere: its uid is noted in the status, it loses the
//! finalizer, its uid gives way to a count.

use super::{FINALIZER, indexes, int, is_indexed, policy, status_of};
use crate::plan::Action;
use crate::resources::PODS;
use object::meta;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Uids noted at a time.
const NOTED: usize = 500;

/// The job's status with all finished pods noted or counted, and the finalizers that may go when it is written.
pub(super) struct Tracked {
    pub(super) status: Value,
    pub(super) releases: Vec<Arc<Value>>,
}

pub(super) fn is_tracked(pod: &Value) -> bool {
    meta::finalizers(pod).any(|finalizer| finalizer == FINALIZER)
}

/// Takes the finalizer off.
pub(super) fn release(pod: &Value) -> Action {
    let left: Vec<_> = meta::finalizers(pod).filter(|finalizer| *finalizer != FINALIZER).collect();
    let patch = json!({"metadata": {"uid": meta::uid(pod), "finalizers": left}});
    Action::merge(&PODS, pod, patch)
}

/// Whether a pod is over: by itself, or deleted before it ran anywhere.
pub(super) fn has_failed(job: &Value, pod: &Value) -> bool {
    if pod["status"]["phase"] == "Failed" {
        return true;
    }
    let waits_for_the_end =
        job["spec"]["podReplacementPolicy"] == "Failed" || job["spec"]["podFailurePolicy"].is_object();
    meta::deletion_timestamp(pod).is_some() && !waits_for_the_end && pod["status"]["phase"] != "Succeeded"
}

impl Tracked {
    pub(super) fn of(job: &Value, pods: &[Arc<Value>]) -> Self {
        let mut status = status_of(job);
        let tracked: BTreeSet<&str> =
            pods.iter().filter(|pod| is_tracked(pod)).map(|pod| meta::uid(pod)).collect();
        let noted = |list: &str| -> Vec<String> {
            let uids = job["status"]["uncountedTerminatedPods"][list].as_array().into_iter().flatten();
            uids.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut releases = vec![];
        let mut lists = [("succeeded", noted("succeeded")), ("failed", noted("failed"))];
        for (list, uids) in &mut lists {
            // Those without a finalizer are counted for good.
            let before = uids.len();
            uids.retain(|uid| tracked.contains(uid.as_str()));
            let counted = (before - uids.len()) as i64;
            if counted > 0 {
                status[*list] = (int(&status[*list]) + counted).into();
            }
        }
        let known: BTreeSet<String> = lists.iter().flat_map(|(_, uids)| uids.clone()).collect();
        let mut room = NOTED.saturating_sub(known.len());
        for pod in pods.iter().filter(|pod| is_tracked(pod)) {
            let uid = meta::uid(pod);
            let succeeded = pod["status"]["phase"] == "Succeeded";
            if !succeeded && !has_failed(job, pod) {
                continue;
            }
            if !known.contains(uid) {
                if room == 0 {
                    continue;
                }
                room -= 1;
                let counts = if succeeded {
                    !is_indexed(job) || indexes::counts(job, pod)
                } else {
                    policy::counts(job, pod)
                };
                if counts && !(succeeded && is_indexed(job)) {
                    lists[usize::from(!succeeded)].1.push(uid.to_owned());
                }
            }
            releases.push(pod.clone());
        }
        let uncounted: serde_json::Map<_, _> = lists
            .into_iter()
            .filter(|(_, uids)| !uids.is_empty())
            .map(|(list, uids)| (list.to_owned(), uids.into()))
            .collect();
        status["uncountedTerminatedPods"] = uncounted.into();
        if is_indexed(job) {
            // Indexed jobs count indexes, which the status names, not pods.
            let done = indexes::completed(job, pods);
            status["completedIndexes"] = done.to_string().into();
            let count = done.len() as i64;
            status["succeeded"] = count.into();
            for field in ["completedIndexes", "succeeded"] {
                if count == 0
                    && let Some(map) = status.as_object_mut()
                {
                    map.remove(field);
                }
            }
        }
        Self { status, releases }
    }

    /// Notes every pod that has not succeeded as failed, and lets all go: the job is over.
    pub(super) fn give_up(&mut self, job: &Value, pods: &[Arc<Value>]) {
        let noted: Vec<&str> = self.releases.iter().map(|pod| meta::uid(pod)).collect();
        let left = |pod: &&Arc<Value>| is_tracked(pod) && !noted.contains(&meta::uid(pod));
        let left: Vec<_> = pods.iter().filter(left).take(NOTED).cloned().collect();
        for pod in left {
            let one_of_them = !is_indexed(job) || indexes::counts(job, &pod);
            if one_of_them && policy::counts(job, &pod) {
                let uncounted = meta::child_mut(&mut self.status, "uncountedTerminatedPods");
                let uids = uncounted.entry("failed").or_insert_with(|| json!([]));
                if let Some(uids) = uids.as_array_mut().filter(|uids| !uids.contains(&meta::uid(&pod).into()))
                {
                    uids.push(meta::uid(&pod).into());
                }
            }
            self.releases.push(pod);
        }
    }

    /// Lets all go, counted or not.
    pub(super) fn release_all(&mut self, pods: &[Arc<Value>]) {
        for pod in pods.iter().filter(|pod| is_tracked(pod)) {
            if !self.releases.iter().any(|known| meta::uid(known) == meta::uid(pod)) {
                self.releases.push(pod.clone());
            }
        }
    }

    fn number(&self, list: &str) -> i64 {
        let noted = self.status["uncountedTerminatedPods"][list].as_array().map_or(0, Vec::len);
        int(&self.status[list]) + noted as i64
    }

    pub(super) fn succeeded(&self) -> i64 {
        self.number("succeeded")
    }

    pub(super) fn failed(&self) -> i64 {
        self.number("failed")
    }

    /// Whether everything is counted.
    pub(super) fn is_settled(&self) -> bool {
        self.releases.is_empty()
            && self.status["uncountedTerminatedPods"].as_object().is_none_or(serde_json::Map::is_empty)
    }
}
