//! Takes back what pods were told of a disruption that did not come: `DisruptionTarget` is `False` again when a pod is still
//! not being deleted two minutes later. What kubelets say stands: their evictions take as long as they take.

use super::disruption::EVICTION_SECONDS;
use crate::common::{conditions, pods};
use crate::plan::{Action, Plan};
use crate::resources::PODS;
use client::Entry;
use jiff::Timestamp;
use object::{meta, time};
use serde_json::{Value, json};
use std::time::Duration;

const TARGET: &str = "DisruptionTarget";

/// What the keys of pods begin with; those of budgets are plain names.
pub(super) const OF_POD: &str = "pod/";

/// Whether a pod is told that it will be disrupted.
pub(super) fn is_told(pod: &Entry) -> bool {
    let said = |conditions: Value| conditions::is_true(&conditions, TARGET);
    !pod.deleting && pod.at(&["status", "conditions"]).is_some_and(said)
}

/// Takes the condition back when it is old enough, or says when to look again.
pub(super) fn plan(pod: &Value, now: Timestamp) -> Plan {
    let Some(condition) = conditions::find(&pod["status"]["conditions"], TARGET) else {
        return Plan::nothing();
    };
    let stands = condition["status"] != "True" || condition["reason"] == "TerminationByKubelet";
    if stands || meta::deletion_timestamp(pod).is_some() || pods::is_finished(pod) {
        return Plan::nothing();
    }
    let since = condition["lastTransitionTime"].as_str().and_then(|text| time::parse(text).ok());
    let left = since.map_or(0, |since| since.as_second() + EVICTION_SECONDS - now.as_second());
    if left > 0 {
        return Plan { requeue_after: Some(Duration::from_secs(left.unsigned_abs())), ..Plan::nothing() };
    }
    let mut next = pod.clone();
    let condition = json!({"type": TARGET, "status": "False", "lastTransitionTime": time::format(now),
        "observedGeneration": meta::generation(pod)});
    conditions::set(&mut next["status"]["conditions"], condition);
    Plan::of(vec![Action::update_status(&PODS, next)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn told(reason: &str, phase: &str, deleted: bool, second: i64) -> (Vec<String>, Option<u64>) {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a", "generation": 3},
            "status": {"phase": phase, "conditions": [
                {"type": TARGET, "status": "True", "reason": reason, "lastTransitionTime": "1970-01-01T00:00:00Z"}]}});
        if deleted {
            meta::set(&mut pod, "deletionTimestamp", "1970-01-01T00:00:00Z");
        }
        let plan = plan(&pod, Timestamp::from_second(second).unwrap());
        let wait = plan.requeue_after.map(|wait| wait.as_secs());
        (shown(plan, &snapshot(vec![])), wait)
    }

    #[test]
    fn a_disruption_that_does_not_come_is_taken_back_after_two_minutes() {
        assert_eq!(told("PreemptionByScheduler", "Running", false, 20), (vec![], Some(100)));
        let (lines, wait) = told("PreemptionByScheduler", "Running", false, 120);
        let said = r#"{"lastTransitionTime":"1970-01-01T00:02:00Z","observedGeneration":3,"status":"False","type":"DisruptionTarget"}"#;
        assert!(lines[0].contains(said) && wait.is_none(), "{lines:?}");
    }

    #[test]
    fn what_kubelets_say_and_what_is_under_way_stands() {
        for (reason, phase, deleted) in [
            ("TerminationByKubelet", "Running", false),
            ("EvictionByEvictionAPI", "Failed", false),
            ("EvictionByEvictionAPI", "Running", true),
        ] {
            assert_eq!(told(reason, phase, deleted, 500), (vec![], None), "{reason} {phase} {deleted}");
        }
    }
}
