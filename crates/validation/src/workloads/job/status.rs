//! Updates of a Job's status.

use super::indexes;
use super::policies::without_value;
use crate::node::{Errors, Node, check_non_negative};
use crate::workloads::counters;
use serde_json::Value;
use std::collections::BTreeSet;

fn holds(job: &Node<'_>, kind: &str) -> bool {
    let conditions = job.get("status").get("conditions");
    conditions.list().iter().any(|c| c["type"] == kind && c["status"] == "True")
}

/// An update of a Job's status: a finished job stays finished, and says how.
pub fn job_status(e: &mut Errors, new: &Value, old: &Value) {
    let (root, old_root) = (Node::root(new), Node::root(old));
    let status = root.get("status");
    counters(e, &status, &["active", "succeeded", "failed", "ready", "terminating"]);
    uncounted(e, &status.get("uncountedTerminatedPods"));
    conditions(e, &root);
    finished(e, &root, &old_root);
    index_lists(e, &root);
    changes(e, &root, &old_root);
}

fn uncounted(e: &mut Errors, pods: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for list in ["succeeded", "failed"] {
        for uid in pods.get(list).items() {
            if uid.is_empty() {
                e.push(uid.invalid("must not be empty"));
            } else if !seen.insert(uid.text()) {
                e.push(uid.duplicate());
            }
        }
    }
}

fn conditions(e: &mut Errors, job: &Node<'_>) {
    let conditions = job.get("status").get("conditions");
    let (complete, failed) = (holds(job, "Complete"), holds(job, "Failed"));
    let (target, met) = (holds(job, "FailureTarget"), holds(job, "SuccessCriteriaMet"));
    let rules = [
        (complete && failed, "cannot set Complete=True and Failed=true conditions"),
        (complete && target, "cannot set Complete=True and FailureTarget=true conditions"),
        (failed && !target, "cannot set Failed=True condition without the FailureTarget=true condition"),
        (
            complete && !met,
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (met && failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        (met && target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
    ];
    e.extend(
        rules.iter().filter(|(broken, _)| *broken).map(|(_, detail)| without_value(&conditions, detail)),
    );
}

fn finished(e: &mut Errors, job: &Node<'_>, old: &Node<'_>) {
    let status = job.get("status");
    let complete = holds(job, "Complete");
    let finished = complete || holds(job, "Failed");
    let (completion, start) = (status.get("completionTime"), status.get("startTime"));
    if completion.is_set() && !complete {
        e.push(completion.invalid("cannot set completionTime when there is no Complete=True condition"));
    }
    if complete && !completion.is_set() {
        e.push(completion.required("completionTime is required for Complete jobs"));
    }
    if completion.is_set() && start.is_set() && completion.text() < start.text() {
        e.push(completion.invalid("must be equal to or after `startTime`"));
    }
    // Only a job that finishes with this update is held to these.
    let was_finished = holds(old, "Complete") || holds(old, "Failed");
    if !finished || was_finished {
        return;
    }
    if status.get("active").int() > 0 {
        e.push(status.get("active").invalid("active>0 is invalid for finished job"));
    }
    if !start.is_set() {
        e.push(start.required("startTime is required for finished job"));
    }
    let uncounted = status.get("uncountedTerminatedPods");
    if uncounted.get("succeeded").len() + uncounted.get("failed").len() > 0 {
        e.push(uncounted.invalid("must be empty for finished job"));
    }
    if status.get("terminating").int() > 0 {
        e.push(status.get("terminating").invalid("terminating>0 is invalid for finished job"));
    }
}

fn index_lists(e: &mut Errors, job: &Node<'_>) {
    let (spec, status) = (job.get("spec"), job.get("status"));
    let (completed, failed) = (status.get("completedIndexes"), status.get("failedIndexes"));
    if spec.get("completions").is_set() {
        for (name, list) in [("completedIndexes", &completed), ("failedIndexes", &failed)] {
            if let Err(problem) = indexes::parse(list.text(), spec.get("completions").int()) {
                e.push(list.invalid(&format!("error parsing {name}: {problem}")));
            }
        }
    }
    if !completed.is_empty() && spec.get("completionMode").text() != "Indexed" {
        e.push(completed.invalid("cannot set non-empty completedIndexes when non-indexed completion mode"));
    }
    if failed.is_set() && !spec.get("backoffLimitPerIndex").is_set() {
        e.push(failed.invalid("cannot set non-null failedIndexes when backoffLimitPerIndex is null"));
    }
    let ready = status.get("ready");
    if ready.int() > status.get("active").int() {
        e.push(ready.invalid("cannot set more ready pods than active"));
    }
}

fn changes(e: &mut Errors, job: &Node<'_>, old: &Node<'_>) {
    let (status, was) = (job.get("status"), old.get("status"));
    let conditions = status.get("conditions");
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if holds(old, kind) && !holds(job, kind) {
            e.push(without_value(&conditions, &format!("cannot disable the terminal {kind}=True condition")));
        }
    }
    for counter in ["failed", "succeeded"] {
        let now = status.get(counter);
        if now.int() < was.get(counter).int() {
            e.push(now.invalid_as(now.int(), &format!("cannot decrease the {counter} counter")));
        }
    }
    let completion = status.get("completionTime");
    if completion.is_set()
        && was.get("completionTime").is_set()
        && completion.value != was.raw("completionTime")
    {
        e.push(completion.invalid("field is immutable"));
    }
    let start = status.get("startTime");
    if was.get("startTime").is_set()
        && start.value != was.raw("startTime")
        && !job.get("spec").get("suspend").is_true()
    {
        e.push(start.required("startTime cannot be removed for unsuspended job"));
    }
    if holds(old, "SuccessCriteriaMet") && !holds(job, "SuccessCriteriaMet") {
        e.push(without_value(&conditions, "cannot disable the SuccessCriteriaMet=True condition"));
    }
    check_non_negative(e, &status.get("observedGeneration"));
}
