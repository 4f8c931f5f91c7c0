//! Deletes finished jobs when their time has come.

use super::job::is_finished;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::JOBS;
use client::{Cache, Change, DeleteOptions, Propagation};
use jiff::Timestamp;
use object::{GroupVersionResource, meta, time};
use serde_json::Value;
use std::time::Duration;

pub(crate) struct TtlAfterFinished;

impl Controller for TtlAfterFinished {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&JOBS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if let Some(job) = &change.new
            && job
                .value()
                .is_some_and(|job| is_finished(&job) && job["spec"]["ttlSecondsAfterFinished"].is_i64())
        {
            add(Key::new(&job.namespace, &job.name));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(job) = cache.get(&JOBS, &key.namespace, &key.name) else { return Plan::nothing() };
        let Some(end) = expires(&job).filter(|_| meta::deletion_timestamp(&job).is_none()) else {
            return Plan::nothing();
        };
        let left = end - now.as_second();
        if left > 0 {
            return Plan { requeue_after: Some(Duration::from_secs(left.unsigned_abs())), ..Plan::nothing() };
        }
        let options = DeleteOptions {
            propagation: Some(Propagation::Foreground),
            ..DeleteOptions::uid(meta::uid(&job))
        };
        Plan::of(vec![Action::delete_with(&JOBS, &job, options)])
    }
}

/// When a job may go, seconds since 1970.
fn expires(job: &Value) -> Option<i64> {
    let ttl = job["spec"]["ttlSecondsAfterFinished"].as_i64()?;
    let over = |condition: &&Value| {
        (condition["type"] == "Complete" || condition["type"] == "Failed") && condition["status"] == "True"
    };
    let condition = job["status"]["conditions"].as_array()?.iter().find(over)?;
    let end = time::parse(condition["lastTransitionTime"].as_str()?).ok()?;
    Some(end.as_second().saturating_add(ttl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};
    use serde_json::json;

    #[test]
    fn a_finished_job_waits_and_goes() {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "a"},
            "spec": {"ttlSecondsAfterFinished": 5},
            "status": {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "1970-01-01T00:00:10Z"}]}});
        let cache = snapshot(vec![job]);
        let plan = |second| {
            TtlAfterFinished.plan(&cache, &Key::new("a", "j"), Timestamp::from_second(second).unwrap())
        };
        assert_eq!(plan(12).requeue_after, Some(Duration::from_secs(3)));
        assert_eq!(shown(plan(15), &cache), ["delete jobs j"]);
    }
}
