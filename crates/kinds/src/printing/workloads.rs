//! Workloads: what makes pods.

use super::cells::{
    age, bool_word, containers, int, labels, len, list, row, selector, selector_text, since, text, text_or,
};
use jiff::Timestamp;
use object::{GroupVersion, Value, meta, time};

pub(super) fn pod_template(template: &Value, _: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&template["template"]["spec"]);
    row![meta::name(template), names, images, labels(&template["template"]["metadata"]["labels"])]
}

pub(super) fn replication_controller(controller: &Value, now: Timestamp) -> Vec<Value> {
    replicas(controller, labels(&controller["spec"]["selector"]), now)
}

pub(super) fn replica_set(set: &Value, now: Timestamp) -> Vec<Value> {
    replicas(set, selector(&set["spec"]["selector"]), now)
}

fn replicas(object: &Value, selector: String, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    row![
        meta::name(object),
        int(&spec["replicas"]),
        int(&status["replicas"]),
        int(&status["readyReplicas"]),
        age(object, now),
        names,
        images,
        selector,
    ]
}

pub(super) fn deployment(deployment: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    row![
        meta::name(deployment),
        format!("{}/{}", int(&status["readyReplicas"]), int(&spec["replicas"])),
        int(&status["updatedReplicas"]),
        int(&status["availableReplicas"]),
        age(deployment, now),
        names,
        images,
        selector_text(&spec["selector"]).unwrap_or_else(|_| "<invalid>".into()),
    ]
}

pub(super) fn stateful_set(set: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&set["spec"]["template"]["spec"]);
    let ready = format!("{}/{}", int(&set["status"]["readyReplicas"]), int(&set["spec"]["replicas"]));
    row![meta::name(set), ready, age(set, now), names, images]
}

pub(super) fn daemon_set(set: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&set["spec"], &set["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    row![
        meta::name(set),
        int(&status["desiredNumberScheduled"]),
        int(&status["currentNumberScheduled"]),
        int(&status["numberReady"]),
        int(&status["updatedNumberScheduled"]),
        int(&status["numberAvailable"]),
        labels(&spec["template"]["spec"]["nodeSelector"]),
        age(set, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

pub(super) fn job(job: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&job["spec"], &job["status"]);
    let succeeded = int(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), int(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let [names, images] = containers(&spec["template"]["spec"]);
    row![
        meta::name(job),
        job_status(job),
        completions,
        job_duration(status, now),
        age(job, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn job_status(job: &Value) -> &'static str {
    let has = |kind: &str| {
        list(&job["status"]["conditions"]).iter().any(|c| c["type"] == kind && c["status"] == "True")
    };
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if meta::deletion_timestamp(job).is_some() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn job_duration(status: &Value, now: Timestamp) -> String {
    let at = |field: &str| status[field].as_str().and_then(|t| time::parse(t).ok());
    let Some(start) = at("startTime") else { return String::new() };
    let end = at("completionTime").unwrap_or(now);
    time::duration::human(end.as_second() - start.as_second())
}

pub(super) fn cron_job(job: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&job["spec"], &job["status"]);
    let last = &status["lastScheduleTime"];
    let [names, images] = containers(&spec["jobTemplate"]["spec"]["template"]["spec"]);
    row![
        meta::name(job),
        text(&spec["schedule"]),
        text_or(&spec["timeZone"], "<none>"),
        bool_word(&spec["suspend"]),
        len(&status["active"]),
        if last.is_null() { "<none>".into() } else { since(last, now) },
        age(job, now),
        names,
        images,
        selector(&spec["jobTemplate"]["spec"]["selector"]),
    ]
}

pub(super) fn controller_revision(revision: &Value, now: Timestamp) -> Vec<Value> {
    let controller = meta::controller_of(revision).map(|owner| {
        let group = GroupVersion::parse(text(&owner["apiVersion"])).unwrap_or_default();
        let kind = group.kind(text(&owner["kind"])).group_kind().to_string().to_lowercase();
        format!("{kind}/{}", text(&owner["name"]))
    });
    row![
        meta::name(revision),
        controller.unwrap_or_else(|| "<none>".into()),
        int(&revision["revision"]),
        age(revision, now),
    ]
}
