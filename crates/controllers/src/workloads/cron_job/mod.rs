//! CronJobs: make a job whenever it is time.

mod schedule;

use super::job::is_finished;
use crate::common::{conditions, owners};
use crate::plan::{Action, Controller, Event, Finish, Key, Plan, reference};
use crate::resources::{CRON_JOBS, JOBS};
use client::{Cache, Change, DeleteOptions, Propagation};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use object::{GroupVersionResource, meta, time};
use schedule::Schedule;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Missed times beyond this are told of.
const MANY_MISSED: i64 = 100;
/// How long after its time a job is made, so that clocks may differ a little.
const LATE: Duration = Duration::from_millis(100);

/// The first time after `after` at which a CronJob with this schedule starts a job; `None`: never.
///
/// # Errors
/// Says what is wrong with the schedule, or with the name of the time zone.
pub fn next_start(schedule: &str, zone: &str, after: Timestamp) -> Result<Option<Timestamp>, String> {
    let zone = TimeZone::get(zone).map_err(|error| error.to_string())?;
    Ok(Schedule::parse(schedule)?.next(after, &zone))
}

pub(crate) struct CronJobController;

impl Controller for CronJobController {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&CRON_JOBS, &JOBS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&CRON_JOBS) {
            let entry = change.entry();
            return add(Key::new(&entry.namespace, &entry.name));
        }
        for job in change.both() {
            if let Some(owner) = owners::controller_named(job, "CronJob") {
                add(Key::new(&job.namespace, owner));
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(cron) = cache.get(&CRON_JOBS, &key.namespace, &key.name) else { return Plan::nothing() };
        let owned = cache.owned_by(&JOBS, meta::uid(&cron));
        let jobs: Vec<_> = owned.iter().filter_map(|job| job.value()).collect();
        let mut round = Round {
            cron: &cron,
            status: cron["status"].clone(),
            jobs,
            now,
            plan: Plan::nothing(),
            made: None,
        };
        round.take_stock();
        if meta::deletion_timestamp(&cron).is_none() {
            round.run();
            round.clean_up();
        }
        round.finish(key)
    }
}

struct Round<'a> {
    cron: &'a Value,
    status: Value,
    jobs: Vec<Arc<Value>>,
    now: Timestamp,
    plan: Plan,
    /// The job made in this round.
    made: Option<String>,
}

/// What a schedule says about now.
struct Due {
    /// The newest time that has come and was not served.
    time: Option<Timestamp>,
    too_many: bool,
    next: Option<Timestamp>,
}

impl Round<'_> {
    fn tell(&mut self, event: Event) {
        self.plan.push(Action::event(event));
    }

    fn active(&self) -> Vec<Value> {
        self.status["active"].as_array().cloned().unwrap_or_default()
    }

    /// Keeps the list of active jobs and the time of the last success.
    fn take_stock(&mut self) {
        let mut active = self.active();
        for job in self.jobs.clone() {
            let listed = active.iter().position(|known| known["uid"] == job["metadata"]["uid"]);
            let over = is_finished(&job);
            match listed {
                None if !over => {
                    let message = format!(
                        "Saw a job that the controller did not create or forgot: {}",
                        meta::name(&job)
                    );
                    self.tell(Event::warning(self.cron, "UnexpectedJob", message));
                }
                Some(index) if over => {
                    active.remove(index);
                    let complete = conditions::is_true(&job["status"]["conditions"], "Complete");
                    let condition = if complete { "Complete" } else { "Failed" };
                    let message = format!("Saw completed job: {}, condition: {condition}", meta::name(&job));
                    self.tell(Event::normal(self.cron, "SawCompletedJob", message));
                }
                _ => {}
            }
            let done = &job["status"]["completionTime"];
            if over && done.is_string() && done.as_str() > self.status["lastSuccessfulTime"].as_str() {
                self.status["lastSuccessfulTime"] = done.clone();
            }
        }
        let (there, missing): (Vec<_>, Vec<_>) = active
            .into_iter()
            .partition(|known| self.jobs.iter().any(|job| job["metadata"]["uid"] == known["uid"]));
        for gone in &missing {
            let message = format!("Active job went missing: {}", gone["name"].as_str().unwrap_or(""));
            self.tell(Event::normal(self.cron, "MissingJob", message));
        }
        self.set_active(there);
    }

    fn set_active(&mut self, active: Vec<Value>) {
        if !active.is_empty() {
            self.status["active"] = active.into();
        } else if let Some(map) = self.status.as_object_mut() {
            map.remove("active");
        }
    }

    fn run(&mut self) {
        let spec = &self.cron["spec"];
        let zone = match spec["timeZone"].as_str() {
            None => TimeZone::UTC,
            Some(name) => match TimeZone::get(name) {
                Ok(zone) => zone,
                Err(error) => {
                    let message = format!("invalid timeZone: {name:?}: {error}");
                    return self.tell(Event::warning(self.cron, "UnknownTimeZone", message));
                }
            },
        };
        if spec["suspend"] == true {
            return;
        }
        let text = spec["schedule"].as_str().unwrap_or("");
        let schedule = match Schedule::parse(text) {
            Ok(schedule) => schedule,
            Err(error) => {
                let message = format!("unparseable schedule: {text:?} : {error}");
                return self.tell(Event::warning(self.cron, "UnparseableSchedule", message));
            }
        };
        let due = self.due(&schedule, &zone);
        if let Some(next) = due.next {
            let wait = next.duration_since(self.now);
            self.plan.requeue(wait.unsigned_abs() + LATE);
        }
        if due.too_many {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.tell(Event::warning(self.cron, "TooManyMissedTimes", message));
        }
        if let Some(time) = due.time {
            self.start(time, &zone);
        }
    }

    fn due(&self, schedule: &Schedule, zone: &TimeZone) -> Due {
        let spec = &self.cron["spec"];
        let since = self.status["lastScheduleTime"].as_str().or(meta::creation_timestamp(self.cron));
        let mut earliest = since.and_then(|text| time::parse(text).ok()).unwrap_or(self.now);
        if let Some(deadline) = spec["startingDeadlineSeconds"].as_i64()
            && earliest.as_second() < self.now.as_second() - deadline
        {
            earliest = Timestamp::from_second(self.now.as_second() - deadline).unwrap_or(earliest);
        }
        let next = schedule.next(self.now, zone);
        let Some(first) = schedule.next(earliest, zone).filter(|first| *first <= self.now) else {
            return Due { time: None, too_many: false, next };
        };
        let Some(second) = schedule.next(first, zone).filter(|second| *second <= self.now) else {
            return Due { time: Some(first), too_many: false, next };
        };
        let apart = (second.as_second() - first.as_second()).max(1);
        let missed = (self.now.as_second() - first.as_second()) / apart + 1;
        // Only the newest counts: skip most of the others.
        let skip = (missed - 10).max(0) * apart;
        let mut newest = first;
        let mut at = Timestamp::from_second(first.as_second() + skip).unwrap_or(first);
        if skip == 0 {
            at = first;
        }
        while let Some(later) = schedule.next(at, zone).filter(|later| *later <= self.now) {
            newest = later;
            at = later;
        }
        Due { time: Some(newest), too_many: missed > MANY_MISSED, next }
    }

    fn start(&mut self, time: Timestamp, zone: &TimeZone) {
        let (cron, spec) = (self.cron, &self.cron["spec"]);
        let deadline = spec["startingDeadlineSeconds"].as_i64();
        if deadline.is_some_and(|deadline| time.as_second() + deadline < self.now.as_second()) {
            let message = format!(
                "Missed scheduled time to start a job: {}",
                time.strftime("%a, %d %b %Y %H:%M:%S +0000")
            );
            return self.tell(Event::warning(cron, "MissSchedule", message));
        }
        let name = job_name(cron, time);
        let known = self.status["lastScheduleTime"].as_str().and_then(|text| time::parse(text).ok());
        if known == Some(time) || self.jobs.iter().any(|job| meta::name(job) == name) {
            return;
        }
        let running = self.active();
        if spec["concurrencyPolicy"] == "Forbid" && !running.is_empty() {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            return self.tell(Event::normal(cron, "JobAlreadyActive", message));
        }
        if spec["concurrencyPolicy"] == "Replace" {
            self.replace(&running);
        }
        let job = job(cron, &name, time, zone);
        let action = Action::create(&JOBS, job)
            .told(Event::normal(cron, "SuccessfulCreate", "Created job {name}"))
            .told_failure(Event::warning(cron, "FailedCreate", "Error creating job: {error}"));
        self.plan.push(action);
        self.status["lastScheduleTime"] = time::format(time).into();
        self.made = Some(name);
    }

    fn replace(&mut self, running: &[Value]) {
        for job in
            self.jobs.iter().filter(|job| running.iter().any(|known| known["uid"] == job["metadata"]["uid"]))
        {
            let message = format!("Deleted job {}", meta::name(job));
            let event = Event::normal(self.cron, "SuccessfulDelete", message);
            self.plan.actions.push(delete(job).told(event));
        }
        self.set_active(vec![]);
    }

    /// Deletes finished jobs past the limits, the oldest first.
    fn clean_up(&mut self) {
        for (condition, field) in
            [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")]
        {
            let Some(limit) = self.cron["spec"][field].as_u64() else { continue };
            let over = |job: &&Arc<Value>| conditions::is_true(&job["status"]["conditions"], condition);
            let mut jobs: Vec<_> = self.jobs.iter().filter(over).collect();
            jobs.sort_by_key(|job| {
                (job["status"]["startTime"].as_str().unwrap_or("").to_owned(), meta::name(job).to_owned())
            });
            let surplus = jobs.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
            for job in jobs.into_iter().take(surplus) {
                let message = format!("Deleted job {}", meta::name(job));
                self.plan.actions.push(delete(job).told(Event::normal(
                    self.cron,
                    "SuccessfulDelete",
                    message,
                )));
            }
        }
    }

    /// Writes the status at the end, when the new job is known.
    fn finish(mut self, key: &Key) -> Plan {
        let (mut status, made, key) = (std::mem::take(&mut self.status), self.made.take(), key.clone());
        let finish: Finish = Box::new(move |cache, failure| {
            let Some(cron) = cache.get(&CRON_JOBS, &key.namespace, &key.name) else { return vec![] };
            if let Some(made) = made {
                match cache.get(&JOBS, &key.namespace, &made) {
                    Some(job) => add_active(&mut status, &job),
                    // It was refused: its time has not been served.
                    None if failure.is_some() => {
                        status["lastScheduleTime"] = cron["status"]["lastScheduleTime"].clone()
                    }
                    None => {}
                }
            }
            if let Some(map) = status.as_object_mut() {
                map.retain(|_, value| !value.is_null());
            }
            let before = cron["status"].as_object().cloned().unwrap_or_default();
            if status.as_object().cloned().unwrap_or_default() == before {
                return vec![];
            }
            let mut next = (*cron).clone();
            next["status"] = status;
            vec![Action::update_status(&CRON_JOBS, next)]
        });
        self.plan.finish = Some(finish);
        self.plan
    }
}

fn add_active(status: &mut Value, job: &Value) {
    let mut active = status["active"].as_array().cloned().unwrap_or_default();
    if !active.iter().any(|known| known["uid"] == job["metadata"]["uid"]) {
        active.push(reference(job));
    }
    status["active"] = active.into();
}

fn delete(job: &Value) -> Action {
    let options =
        DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::uid(meta::uid(job)) };
    Action::delete_with(&JOBS, job, options)
}

/// The same time always gives the same name: a job is never made twice.
fn job_name(cron: &Value, time: Timestamp) -> String {
    format!("{}-{}", meta::name(cron), time.as_second() / 60)
}

fn job(cron: &Value, name: &str, time: Timestamp, zone: &TimeZone) -> Value {
    let template = &cron["spec"]["jobTemplate"];
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": template["spec"],
        "metadata": {"name": name, "namespace": meta::namespace(cron), "ownerReferences": [meta::controller_reference(cron)]}});
    for field in ["labels", "annotations"] {
        if template["metadata"][field].is_object() {
            job["metadata"][field] = template["metadata"][field].clone();
        }
    }
    let stamp = match zone == &TimeZone::UTC {
        true => time::format(time),
        false => time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    };
    meta::set_annotation(&mut job, "batch.kubernetes.io/cronjob-scheduled-timestamp", &stamp);
    job
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn cron(more: Value) -> Value {
        let mut spec = json!({"schedule": "*/10 * * * *", "jobTemplate": {"metadata": {"labels": {"l": "1"}}, "spec": {"x": 1}},
            "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec, "status": {},
            "metadata": {"name": "c", "namespace": "a", "uid": "cron", "creationTimestamp": "1970-01-01T00:05:00Z"}})
    }

    fn job(name: &str, condition: Option<&str>) -> Value {
        let all: Vec<_> = condition.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "a", "uid": name,
                "ownerReferences": [meta::controller_reference(&cron(json!({})))]},
            "status": {"conditions": all, "startTime": format!("1970-01-01T00:00:0{}Z", name.len())}})
    }

    fn plan(objects: Vec<Value>, second: i64) -> (Vec<String>, Option<Duration>) {
        let cache = snapshot(objects);
        let plan =
            CronJobController.plan(&cache, &Key::new("a", "c"), Timestamp::from_second(second).unwrap());
        let wait = plan.requeue_after;
        (shown(plan, &cache), wait)
    }

    #[test]
    fn nothing_happens_before_its_time() {
        let (made, wait) = plan(vec![cron(json!({}))], 540);
        assert!(made.is_empty());
        assert_eq!(wait, Some(Duration::from_millis(60_100)));
    }

    #[test]
    fn a_job_is_made_when_it_is_time_and_not_again() {
        let (made, _) = plan(vec![cron(json!({}))], 601);
        assert_eq!(made[0], "create jobs a/c-10");
        assert_eq!(made[1], "update cronjobs c/status {\"lastScheduleTime\":\"1970-01-01T00:10:00Z\"}");
        let mut served = cron(json!({}));
        served["status"]["lastScheduleTime"] = "1970-01-01T00:10:00Z".into();
        assert!(plan(vec![served], 602).0.is_empty());
    }

    #[test]
    fn of_many_missed_times_only_the_newest_is_served() {
        let (made, _) = plan(vec![cron(json!({}))], 600 * 1000 + 5);
        assert!(made[0].starts_with("event TooManyMissedTimes"), "{made:?}");
        assert_eq!(made[1], "create jobs a/c-10000");
        let (made, _) = plan(vec![cron(json!({"startingDeadlineSeconds": 60}))], 700);
        assert!(made.is_empty(), "{made:?}");
    }

    #[test]
    fn what_runs_decides_by_the_policy() {
        let running = |policy| {
            let mut cron = cron(json!({"concurrencyPolicy": policy}));
            cron["status"]["active"] = json!([{"uid": "j", "name": "j"}]);
            plan(vec![cron, job("j", None)], 601).0
        };
        assert!(running("Forbid")[0].starts_with("event JobAlreadyActive"));
        assert_eq!(running("Replace")[..2], ["delete jobs j", "create jobs a/c-10"]);
        assert_eq!(running("Allow")[0], "create jobs a/c-10");
    }

    #[test]
    fn finished_jobs_leave_the_list_and_then_go() {
        let mut cron = cron(json!({}));
        cron["status"]["active"] = json!([{"uid": "jj", "name": "jj"}]);
        let (made, _) = plan(vec![cron, job("j", Some("Complete")), job("jj", Some("Complete"))], 540);
        assert_eq!(
            made,
            [
                "event SawCompletedJob: Saw completed job: jj, condition: Complete",
                "delete jobs j",
                "update cronjobs c/status {}"
            ]
        );
    }
}
