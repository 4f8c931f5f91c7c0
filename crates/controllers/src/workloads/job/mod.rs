//! Jobs: pods that run to their end, counted exactly once.
//!
//! Every pod carries a finalizer until it is counted: [`tracking`] notes finished pods in the status first, then lets them go,
//! then counts them. [`outcome`] decides whether the job is over, [`pods`] which pods are made or deleted, [`indexes`] knows the
//! completion indexes, [`policy`] the pod failure policy, [`backoff`] how long to wait after failures. All states follow from the
//! job and its pods; only that wait also remembers pods that are gone.

mod backoff;
mod indexes;
mod outcome;
mod pods;
mod policy;
mod tracking;

use super::int;
use crate::common::{conditions, owners};
use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{JOBS, PODS};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, LabelSelector, meta, time};
use outcome::{Outcome, Verdict};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tracking::Tracked;

pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

#[derive(Default)]
pub(crate) struct JobController {
    backoff: backoff::Backoff,
}

impl Controller for JobController {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&JOBS, &PODS]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&JOBS) {
            let entry = change.entry();
            if change.new.is_none() {
                self.backoff.forget(&entry.uid);
            }
            return add(Key::new(&entry.namespace, &entry.name));
        }
        for pod in change.both() {
            if let Some(owner) = owners::controller_named(pod, "Job") {
                add(Key::new(&pod.namespace, owner));
            }
        }
        // A pod whose job is gone still has the finalizer that only we take off.
        if let Some(pod) = change.new.as_ref().filter(|pod| pod.has_finalizer(FINALIZER))
            && pod.controller().is_none_or(|owner| cache.entry(&JOBS, &pod.namespace, &owner.name).is_none())
        {
            add(Key::new(&pod.namespace, pod.controller().map_or("", |owner| &owner.name)));
        }
        if let Some(orphan) = change.new.as_ref().filter(|pod| pod.controller().is_none() && !pod.deleting) {
            for job in cache.list(&JOBS, &orphan.namespace) {
                if job.value().is_some_and(|value| owners::matches(&selector(&value), orphan)) {
                    add(Key::new(&job.namespace, &job.name));
                }
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(job) = cache.get(&JOBS, &key.namespace, &key.name) else { return orphans(cache, key) };
        if managed_elsewhere(&job) {
            return Plan::nothing();
        }
        let claimed = owners::claim(cache, &PODS, &job, &selector(&job));
        let mut plan = Plan::of(claimed.actions);
        if is_finished(&job) {
            self.backoff.forget(meta::uid(&job));
            // What is left only loses its finalizer.
            plan.actions.extend(
                claimed
                    .objects
                    .iter()
                    .filter(|pod| tracking::is_tracked(pod))
                    .map(|pod| tracking::release(pod)),
            );
            return plan;
        }
        Sync { job: &job, pods: claimed.objects, backoff: &self.backoff, now }.plan(&mut plan);
        plan
    }
}

fn selector(job: &Value) -> LabelSelector {
    LabelSelector::from_object(&job["spec"]["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
}

/// Another controller's.
fn managed_elsewhere(job: &Value) -> bool {
    job["spec"]["managedBy"].as_str().is_some_and(|manager| manager != "kubernetes.io/job-controller")
}

/// Whether a job is complete or failed.
pub(crate) fn is_finished(job: &Value) -> bool {
    let all = &job["status"]["conditions"];
    conditions::is_true(all, "Complete") || conditions::is_true(all, "Failed")
}

fn is_indexed(job: &Value) -> bool {
    job["spec"]["completionMode"] == "Indexed"
}

fn is_suspended(job: &Value) -> bool {
    job["spec"]["suspend"] == true
}

/// Pods of a job that is gone are held by nobody.
fn orphans(cache: &Cache, key: &Key) -> Plan {
    let ours = |pod: &Arc<client::Entry>| {
        let owner = pod.controller();
        pod.has_finalizer(FINALIZER)
            && owner.is_none_or(|owner| &*owner.kind == "Job" && owner.name == key.name)
    };
    let gone = |pod: &Arc<client::Entry>| {
        pod.controller().is_none_or(|owner| {
            cache.entry(&JOBS, &pod.namespace, &owner.name).is_none_or(|job| job.uid != owner.uid)
        })
    };
    let pods = cache.list(&PODS, &key.namespace).into_iter().filter(ours).filter(gone);
    Plan::of(pods.filter_map(|pod| pod.value()).map(|pod| tracking::release(&pod)).collect())
}

/// One round about one job.
struct Sync<'a> {
    job: &'a Value,
    pods: Vec<Arc<Value>>,
    backoff: &'a backoff::Backoff,
    now: Timestamp,
}

impl Sync<'_> {
    fn plan(&self, plan: &mut Plan) {
        let job = self.job;
        let mut tracked = Tracked::of(job, &self.pods);
        let counts = pods::Counts::of(&self.pods);
        let failures = self.backoff.failures(job, &self.pods);
        let verdict = outcome::judge(job, &self.pods, &tracked, &counts, self.now);
        let mut work = pods::Work::default();
        match &verdict.outcome {
            Some(_) => work.delete = counts.active.clone(),
            None if meta::deletion_timestamp(job).is_some() => {}
            None if is_suspended(job) => work.delete = counts.active.clone(),
            None => work = pods::manage(job, &counts, &tracked, failures, self.now),
        }
        // Pods that are deleted although nothing failed do not count: they are let go before. All are when the job fails.
        match &verdict.outcome {
            Some(Outcome::Failed { .. }) => tracked.give_up(job, &self.pods),
            Some(Outcome::Succeeded { .. }) => tracked.release_all(&self.pods),
            None if meta::deletion_timestamp(job).is_some() => tracked.release_all(&self.pods),
            None => {}
        }
        let mut status = std::mem::take(&mut tracked.status);
        let mut events = vec![];
        if status["startTime"].is_null() && !is_suspended(job) {
            status["startTime"] = time::format(self.now).into();
        }
        if verdict.outcome.is_none() && meta::deletion_timestamp(job).is_none() {
            self.suspend_or_resume(&mut status, &mut events);
        }
        self.conclude(&verdict, &counts, &tracked, &mut status, &mut events);
        // An active pod that is about to be deleted is one no more.
        self.numbers(&counts, &work.delete, &mut status);
        self.write_status(status, plan);
        plan.actions.extend(events);
        // Only what the status has noted may be let go.
        let let_go: Vec<_> = tracked.releases.iter().map(|pod| meta::uid(pod).to_owned()).collect();
        plan.actions.extend(tracked.releases.iter().map(|pod| tracking::release(pod)));
        if verdict.outcome.is_none() {
            let others = work.delete.iter().filter(|pod| !let_go.iter().any(|uid| uid == meta::uid(pod)));
            plan.actions.extend(others.filter(|p| tracking::is_tracked(p)).map(|pod| tracking::release(pod)));
        }
        let told = |pod: &Arc<Value>| {
            Action::delete(&PODS, pod)
                .told(Event::normal(job, "SuccessfulDelete", "Deleted pod: {name}"))
                .told_failure(Event::warning(job, "FailedDelete", "Error deleting: {error}"))
        };
        plan.actions.extend(work.delete.iter().map(told));
        plan.actions.extend(work.create.into_iter().map(|pod| {
            Action::create(&PODS, pod)
                .told(Event::normal(job, "SuccessfulCreate", "Created pod: {name}"))
                .told_failure(Event::warning(job, "FailedCreate", "Error creating: {error}"))
        }));
        for wait in work.wait.into_iter().chain(self.deadline_in()) {
            plan.requeue(wait);
        }
    }

    /// Seconds until the active deadline.
    fn deadline_in(&self) -> Option<Duration> {
        let deadline =
            self.job["spec"]["activeDeadlineSeconds"].as_i64().filter(|_| !is_suspended(self.job))?;
        let start = time::parse(self.job["status"]["startTime"].as_str()?).ok()?;
        let left = start.as_second() + deadline - self.now.as_second();
        (left > 0).then(|| Duration::from_secs(left.unsigned_abs()))
    }

    fn suspend_or_resume(&self, status: &mut Value, events: &mut Vec<Action>) {
        let suspended = is_suspended(self.job);
        let known = conditions::is_true(&status["conditions"], "Suspended");
        if suspended && !known {
            let condition =
                outcome::condition("Suspended", "True", "JobSuspended", "Job suspended", self.now);
            conditions::set(&mut status["conditions"], condition);
            events.push(Action::event(Event::normal(self.job, "Suspended", "Job suspended")));
        } else if !suspended && known {
            let condition = outcome::condition("Suspended", "False", "JobResumed", "Job resumed", self.now);
            conditions::set(&mut status["conditions"], condition);
            events.push(Action::event(Event::normal(self.job, "Resumed", "Job resumed")));
            status["startTime"] = time::format(self.now).into();
        }
        if suspended && let Some(map) = status.as_object_mut() {
            map.remove("startTime");
        }
    }

    /// Says that the job is about to be over, and that it is, once all its pods are gone and counted.
    fn conclude(
        &self,
        verdict: &Verdict,
        counts: &pods::Counts,
        tracked: &Tracked,
        status: &mut Value,
        events: &mut Vec<Action>,
    ) {
        for (field, indexes) in [("completedIndexes", &verdict.completed), ("failedIndexes", &verdict.failed)]
        {
            if let Some(indexes) = indexes {
                status[field] = indexes.to_string().into();
            }
        }
        let Some(outcome) = &verdict.outcome else { return };
        let (before, last) = match outcome {
            Outcome::Succeeded { .. } => ("SuccessCriteriaMet", "Complete"),
            Outcome::Failed { .. } => ("FailureTarget", "Failed"),
        };
        let (reason, message) = outcome.words();
        let set = |kind: &str, status: &mut Value| {
            if conditions::find(&status["conditions"], kind).is_none() {
                let condition = outcome::condition(kind, "True", reason, message, self.now);
                conditions::set(&mut status["conditions"], condition);
            }
        };
        set(before, status);
        if !counts.active.is_empty() || counts.terminating > 0 || !tracked.is_settled() {
            return;
        }
        set(last, status);
        let wanted = self.job["spec"]["completions"].as_i64();
        if last == "Complete" && wanted.is_some_and(|wanted| int(&status["succeeded"]) > wanted) {
            let message = "Too many succeeded pods running after completion count reached";
            events.push(Action::event(Event::warning(self.job, "TooManySucceededPods", message)));
        }
        events.push(Action::event(match outcome {
            Outcome::Succeeded { .. } => Event::normal(self.job, "Completed", "Job completed"),
            Outcome::Failed { .. } => Event::warning(self.job, reason, message),
        }));
        if last == "Complete" {
            status["completionTime"] = time::format(self.now).into();
        }
    }

    fn numbers(&self, counts: &pods::Counts, deleted: &[Arc<Value>], status: &mut Value) {
        let Some(map) = status.as_object_mut() else { return };
        let gone = deleted.len().min(counts.active.len());
        let ready = deleted.iter().filter(|pod| crate::common::pods::is_ready(pod)).count();
        for (field, number) in [
            ("active", counts.active.len() - gone),
            ("ready", counts.ready.saturating_sub(ready)),
            ("terminating", counts.terminating + gone),
        ] {
            if field == "active" && number == 0 {
                map.remove(field);
            } else {
                map.insert(field.into(), number.into());
            }
        }
        if map.get("conditions").is_some_and(Value::is_null) {
            map.remove("conditions");
        }
    }

    fn write_status(&self, status: Value, plan: &mut Plan) {
        if status == self.job["status"] {
            return;
        }
        let mut next = self.job.clone();
        next["status"] = status;
        plan.push(Action::update_status(&JOBS, next));
    }
}

/// A status object to start from.
fn status_of(job: &Value) -> Value {
    let status = job["status"].as_object().cloned().unwrap_or_else(Map::new);
    let mut status = Value::from(status);
    if status["uncountedTerminatedPods"].is_null() {
        status["uncountedTerminatedPods"] = json!({});
    }
    status
}

#[cfg(test)]
mod tests;
