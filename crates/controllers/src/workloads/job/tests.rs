use super::*;
use crate::common::testing::{shown, snapshot};
use crate::plan::Verb;

fn job(more: Value) -> Value {
    let mut spec = json!({"parallelism": 1, "completions": 1, "backoffLimit": 6, "selector": {"matchLabels": {"job": "j"}},
        "template": {"metadata": {"labels": {"job": "j"}}, "spec": {"containers": [{"name": "c"}]}}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "a", "uid": "job"}, "spec": spec,
        "status": {"startTime": "1970-01-01T00:00:00Z"}})
}

fn pod(name: &str, phase: &str, index: Option<i64>) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "a", "uid": name, "labels": {"job": "j"}, "finalizers": [FINALIZER],
            "ownerReferences": [meta::controller_reference(&job(json!({})))]},
        "status": {"phase": phase, "containerStatuses": [
            {"name": "c", "state": {"terminated": {"exitCode": 3, "finishedAt": "1970-01-01T00:00:00Z"}}}]}});
    if let Some(index) = index {
        meta::set_annotation(&mut pod, INDEX, &index.to_string());
    }
    pod
}

/// Plans once; answers the status (as written or as it was) and all other actions.
fn plan(objects: Vec<Value>, second: i64) -> (Value, Vec<String>, Option<Duration>) {
    let cache = snapshot(objects);
    let plan =
        JobController::default().plan(&cache, &Key::new("a", "j"), Timestamp::from_second(second).unwrap());
    let wait = plan.requeue_after;
    let mut status = cache.get(&JOBS, "a", "j").map_or(Value::Null, |job| job["status"].clone());
    for action in &plan.actions {
        if let Verb::Update(object, "status") = &action.verb {
            status = object["status"].clone();
        }
    }
    let mut lines = shown(plan, &cache);
    lines.retain(|line| !line.starts_with("update jobs"));
    let short = |line: String| line.split(" Merge").next().unwrap_or("").to_owned();
    (status, lines.into_iter().map(short).collect(), wait)
}

/// Plans until nothing changes, letting pods lose their finalizer as told.
fn settle(mut objects: Vec<Value>, second: i64) -> Value {
    for _ in 0..5 {
        let (status, lines, _) = plan(objects.clone(), second);
        objects[0]["status"] = status;
        for pod in &mut objects[1..] {
            if lines.contains(&format!("patch pods {}", meta::name(pod))) {
                meta::set(pod, "finalizers", Vec::<Value>::new());
            }
        }
    }
    objects.swap_remove(0)["status"].take()
}

fn reason(status: &Value, kind: &str) -> Option<String> {
    Some(conditions::find(&status["conditions"], kind)?["reason"].as_str()?.to_owned())
}

#[test]
fn pods_are_made_as_parallelism_allows() {
    let (status, made, _) = plan(vec![job(json!({"completions": 5, "parallelism": 2}))], 1);
    assert_eq!(made, ["create pods a/j-", "create pods a/j-"]);
    assert_eq!((&status["ready"], &status["terminating"]), (&json!(0), &json!(0)));
}

#[test]
fn a_pod_is_noted_then_let_go_then_counted() {
    let noted = plan(vec![job(json!({})), pod("p", "Succeeded", None)], 1);
    assert_eq!(noted.0["uncountedTerminatedPods"], json!({"succeeded": ["p"]}));
    assert_eq!(noted.1, ["patch pods p"]);
    assert_eq!(reason(&noted.0, "SuccessCriteriaMet").as_deref(), Some("CompletionsReached"));
    assert_eq!(reason(&noted.0, "Complete"), None);
    let done = settle(vec![job(json!({})), pod("p", "Succeeded", None)], 1);
    assert_eq!((&done["succeeded"], &done["uncountedTerminatedPods"]), (&json!(1), &json!({})));
    assert_eq!(reason(&done, "Complete").as_deref(), Some("CompletionsReached"));
    assert_eq!(done["completionTime"], "1970-01-01T00:00:01Z");
}

#[test]
fn failures_wait_before_the_next_and_end_at_the_limit() {
    let (_, made, wait) = plan(vec![job(json!({})), pod("p", "Failed", None)], 4);
    assert_eq!((made, wait), (vec!["patch pods p".to_owned()], Some(Duration::from_secs(6))));
    let (_, made, _) = plan(vec![job(json!({})), pod("p", "Failed", None)], 10);
    assert_eq!(made, ["patch pods p", "create pods a/j-"]);
    let failed = settle(vec![job(json!({"backoffLimit": 0})), pod("p", "Failed", None)], 1);
    assert_eq!(reason(&failed, "Failed").as_deref(), Some("BackoffLimitExceeded"));
    assert_eq!(failed["failed"], 1);
}

#[test]
fn indexes_are_completed_one_by_one() {
    let indexed = job(json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3}));
    let (status, made, _) =
        plan(vec![indexed.clone(), pod("p1", "Succeeded", Some(1)), pod("p2", "Running", Some(2))], 1);
    assert_eq!(status["completedIndexes"], "1");
    assert_eq!(made, ["patch pods p1", "create pods a/j-0-"]);
    let done = settle(
        vec![
            indexed,
            pod("p0", "Succeeded", Some(0)),
            pod("p1", "Succeeded", Some(1)),
            pod("p2", "Succeeded", Some(2)),
        ],
        1,
    );
    assert_eq!((&done["completedIndexes"], &done["succeeded"]), (&json!("0-2"), &json!(3)));
    assert!(reason(&done, "Complete").is_some());
}

#[test]
fn failed_indexes_are_given_up_one_by_one() {
    let limited = job(
        json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 0, "backoffLimit": 9}),
    );
    let done = settle(vec![limited, pod("p0", "Failed", Some(0)), pod("p1", "Succeeded", Some(1))], 1);
    assert_eq!((&done["failedIndexes"], &done["completedIndexes"]), (&json!("0"), &json!("1")));
    assert_eq!(reason(&done, "Failed").as_deref(), Some("FailedIndexes"));
}

#[test]
fn the_failure_policy_decides() {
    let rule =
        |action| json!({"rules": [{"action": action, "onExitCodes": {"operator": "In", "values": [3]}}]});
    let of = |action| {
        settle(
            vec![job(json!({"backoffLimit": 0, "podFailurePolicy": rule(action)})), pod("p", "Failed", None)],
            1,
        )
    };
    let failed = of("FailJob");
    assert_eq!(
        conditions::find(&failed["conditions"], "Failed").unwrap()["message"],
        "Container c for pod a/p failed with exit code 3 matching FailJob rule at index 0"
    );
    assert_eq!(reason(&of("Ignore"), "Failed"), None);
}

#[test]
fn the_success_policy_ends_a_job_early() {
    let early = job(json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3,
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]}}));
    let (status, made, _) =
        plan(vec![early, pod("p0", "Succeeded", Some(0)), pod("p1", "Running", Some(1))], 1);
    assert_eq!(reason(&status, "SuccessCriteriaMet").as_deref(), Some("SuccessPolicy"));
    assert_eq!(made, ["patch pods p0", "patch pods p1", "delete pods p1"]);
    assert_eq!(status["uncountedTerminatedPods"], json!({}));
}

#[test]
fn a_job_that_wants_nothing_is_done_at_once() {
    let mut nothing = job(json!({"completions": 0}));
    nothing["status"] = json!({});
    let (status, made, _) = plan(vec![nothing], 5);
    assert_eq!((reason(&status, "Complete").as_deref(), made.len()), (Some("CompletionsReached"), 1));
    assert_eq!(status["startTime"], status["completionTime"]);
}

#[test]
fn a_suspended_job_has_no_pods() {
    let suspended = job(json!({"suspend": true}));
    let (status, made, _) = plan(vec![suspended.clone(), pod("p", "Running", None)], 1);
    assert_eq!(reason(&status, "Suspended").as_deref(), Some("JobSuspended"));
    assert_eq!(made, ["event Suspended: Job suspended", "patch pods p", "delete pods p"]);
    assert!(status.get("startTime").is_none());
    let mut resumed = job(json!({}));
    resumed["status"] = status;
    let (status, made, _) = plan(vec![resumed], 7);
    assert_eq!(reason(&status, "Suspended").as_deref(), Some("JobResumed"));
    assert_eq!((&status["startTime"], made.len()), (&json!("1970-01-01T00:00:07Z"), 2));
}

#[test]
fn the_deadline_is_waited_for() {
    let timed = || vec![job(json!({"activeDeadlineSeconds": 10})), pod("p", "Running", None)];
    assert_eq!(plan(timed(), 4).2, Some(Duration::from_secs(6)));
    let (status, made, _) = plan(timed(), 10);
    assert_eq!(reason(&status, "FailureTarget").as_deref(), Some("DeadlineExceeded"));
    assert_eq!(made, ["patch pods p", "delete pods p"]);
    assert_eq!(status["uncountedTerminatedPods"], json!({"failed": ["p"]}));
}

#[test]
fn pods_of_a_job_that_is_gone_are_let_go() {
    let (_, made, _) = plan(vec![pod("p", "Running", None)], 1);
    assert_eq!(made, ["patch pods p"]);
}
