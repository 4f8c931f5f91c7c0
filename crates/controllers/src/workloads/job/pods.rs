//! Which pods a job makes and deletes.

use super::backoff::{self, Failures, ended};
use super::indexes::{self, index_of};
use super::tracking::{Tracked, has_failed};
use super::{FINALIZER, INDEX, is_indexed, outcome, policy};
use crate::common::pods as common;
use jiff::Timestamp;
use object::meta;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The most pods made or deleted in one round.
const BURST: usize = 500;

/// The job's pods by what they are doing.
pub(super) struct Counts {
    pub(super) active: Vec<Arc<Value>>,
    pub(super) ready: usize,
    pub(super) terminating: usize,
    all: Vec<Arc<Value>>,
}

/// What is to be done.
#[derive(Default)]
pub(super) struct Work {
    pub(super) create: Vec<Value>,
    pub(super) delete: Vec<Arc<Value>>,
    /// Until more may be made.
    pub(super) wait: Option<Duration>,
}

impl Counts {
    pub(super) fn of(pods: &[Arc<Value>]) -> Self {
        let active: Vec<_> = pods.iter().filter(|pod| common::is_active(pod)).cloned().collect();
        let going = |pod: &&Arc<Value>| !common::is_finished(pod) && meta::deletion_timestamp(pod).is_some();
        let ready = active.iter().filter(|pod| common::is_ready(pod)).count();
        Self { ready, terminating: pods.iter().filter(going).count(), active, all: pods.to_vec() }
    }
}

/// Makes as many pods as may run, or deletes those too many.
pub(super) fn manage(
    job: &Value,
    counts: &Counts,
    tracked: &Tracked,
    failures: Option<Failures>,
    now: Timestamp,
) -> Work {
    let parallelism = job["spec"]["parallelism"].as_i64().unwrap_or(1);
    let active = counts.active.len() as i64;
    let succeeded = tracked.succeeded();
    let wanted = match job["spec"]["completions"].as_i64() {
        Some(completions) => parallelism.min((completions - succeeded).max(0)),
        None if succeeded > 0 => active,
        None => parallelism,
    };
    let mut work = Work::default();
    let (duplicates, keep) =
        if is_indexed(job) { duplicates(job, counts) } else { (vec![], counts.active.clone()) };
    work.delete = duplicates;
    let surplus = usize::try_from(keep.len() as i64 - wanted).unwrap_or(0).min(BURST);
    if surplus > 0 {
        let mut ranked: Vec<_> = keep.iter().collect();
        ranked.sort_by(|a, b| common::goes_first(&(0, a), &(0, b), now));
        work.delete.extend(ranked.into_iter().take(surplus).cloned());
        return work;
    }
    let replaces_late =
        job["spec"]["podReplacementPolicy"] == "Failed" || job["spec"]["podFailurePolicy"].is_object();
    let going = if replaces_late { counts.terminating as i64 } else { 0 };
    let missing = usize::try_from(wanted - keep.len() as i64 - going).unwrap_or(0).min(BURST);
    if missing == 0 {
        return work;
    }
    if is_indexed(job) {
        indexed(job, counts, &keep, missing, (failures, now.as_second()), &mut work);
    } else if let Some(wait) = backoff::wait(failures, now.as_second()) {
        work.wait = Some(wait);
    } else {
        work.create = (0..missing).map(|_| pod(job, None, 0)).collect();
    }
    work
}

/// Of several active pods with one index all but one go, and so do those whose index is none (any more).
fn duplicates(job: &Value, counts: &Counts) -> (Vec<Arc<Value>>, Vec<Arc<Value>>) {
    let done = indexes::completed(job, &counts.all);
    let mut seen = HashSet::new();
    counts.active.iter().cloned().partition(|pod| match index_of(pod) {
        Some(index) => index >= indexes::completions(job) || done.contains(index) || !seen.insert(index),
        None => true,
    })
}

fn indexed(
    job: &Value,
    counts: &Counts,
    keep: &[Arc<Value>],
    missing: usize,
    (failures, now): (Option<Failures>, i64),
    work: &mut Work,
) {
    let done = indexes::completed(job, &counts.all);
    let failed = outcome::failed_indexes(job, &counts.all);
    let replaces_late =
        job["spec"]["podReplacementPolicy"] == "Failed" || job["spec"]["podFailurePolicy"].is_object();
    let running: HashSet<_> = keep.iter().filter_map(|pod| index_of(pod)).collect();
    let ending = |pod: &&Arc<Value>| {
        replaces_late && !common::is_finished(pod) && meta::deletion_timestamp(pod).is_some()
    };
    let ending: HashSet<_> = counts.all.iter().filter(ending).filter_map(|pod| index_of(pod)).collect();
    let mut before: HashMap<i64, &Arc<Value>> = HashMap::new();
    for pod in counts.all.iter().filter(|pod| has_failed(job, pod)) {
        if let Some(index) = index_of(pod) {
            let known = before.entry(index).or_insert(pod);
            if policy::index_failures(pod) > policy::index_failures(known) {
                *known = pod;
            }
        }
    }
    let per_index = job["spec"]["backoffLimitPerIndex"].is_i64();
    let free = (0..indexes::completions(job)).filter(|index| {
        !done.contains(*index)
            && !running.contains(index)
            && !ending.contains(index)
            && !failed.as_ref().is_some_and(|failed| failed.contains(*index))
    });
    let all = backoff::wait(failures, now).filter(|_| !per_index);
    for index in free.take(missing) {
        let last = before.get(&index);
        let failures =
            last.map_or(0, |pod| policy::index_failures(pod) + i64::from(policy::counts(job, pod)));
        let own = last.filter(|_| per_index).and_then(|pod| {
            backoff::wait(Some((u32::try_from(failures).unwrap_or(1).max(1), ended(pod)?)), now)
        });
        match all.or(own) {
            Some(left) => work.wait = Some(work.wait.map_or(left, |known| known.min(left))),
            None => work.create.push(pod(job, Some(index), failures)),
        }
    }
}

/// A pod of the job, for an index if it has indexes.
fn pod(job: &Value, index: Option<i64>, failures: i64) -> Value {
    let mut pod = common::from_template(&job["spec"]["template"], job);
    let mut finalizers: Vec<String> = meta::finalizers(&pod).map(str::to_owned).collect();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    meta::set(&mut pod, "finalizers", finalizers);
    let Some(index) = index else { return pod };
    let name = meta::name(job);
    meta::set(&mut pod, "generateName", format!("{name}-{index}-"));
    meta::set_annotation(&mut pod, INDEX, &index.to_string());
    meta::set_label(&mut pod, INDEX, &index.to_string());
    if job["spec"]["backoffLimitPerIndex"].is_i64() {
        meta::set_annotation(&mut pod, "batch.kubernetes.io/job-index-failure-count", &failures.to_string());
    }
    pod["spec"]["hostname"] = format!("{name}-{index}").into();
    let variable = json!({"name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.labels['{INDEX}']")}}});
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let mut variables = container["env"].as_array().cloned().unwrap_or_default();
            if !variables.iter().any(|known| known["name"] == "JOB_COMPLETION_INDEX") {
                variables.push(variable.clone());
            }
            container["env"] = variables.into();
        }
    }
    pod
}
