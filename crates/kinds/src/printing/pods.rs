//! Pods: how far they got, told in one word.

use super::cells::{age, int, list, row, since, text, text_or};
use jiff::Timestamp;
use object::{Value, meta};
use std::cmp::max;

/// What is found out while going through a pod's containers.
#[derive(Default)]
struct Summary<'a> {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    /// When a container last ended before a restart.
    last_restart: &'a str,
}

pub(super) fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    let mut restarts = summary.restarts.to_string();
    if summary.restarts != 0 && !summary.last_restart.is_empty() {
        restarts = format!("{restarts} ({} ago)", since(&summary.last_restart.into(), now));
    }
    let ip = text_or(&pod["status"]["podIPs"][0]["ip"], "<none>");
    row![
        meta::name(pod),
        format!("{}/{}", summary.ready, summary.total),
        summary.reason,
        restarts,
        age(pod, now),
        ip,
        text_or(&pod["spec"]["nodeName"], "<none>"),
        text_or(&pod["status"]["nominatedNodeName"], "<none>"),
        readiness_gates(pod),
    ]
}

fn summarize(pod: &Value) -> Summary<'_> {
    let status = &pod["status"];
    let phase = text(&status["phase"]);
    let sidecars = list(&pod["spec"]["initContainers"]).iter().filter(|c| is_sidecar(c)).count();
    let mut summary = Summary {
        reason: text_or(&status["reason"], phase).to_owned(),
        total: list(&pod["spec"]["containers"]).len() + sidecars,
        ..Summary::default()
    };
    if condition(pod, "PodScheduled").is_some_and(|c| c["reason"] == "SchedulingGated") {
        summary.reason = "SchedulingGated".into();
    }
    let initializing = init_containers(pod, &mut summary);
    if !initializing || condition(pod, "Initialized").is_some_and(|c| c["status"] == "True") {
        app_containers(pod, &mut summary);
    }
    if meta::deletion_timestamp(pod).is_some() {
        if status["reason"] == "NodeLost" {
            summary.reason = "Unknown".into();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.reason = "Terminating".into();
        }
    }
    summary
}

/// Goes through the init containers up to the first that is not done; `true` when there is one.
fn init_containers<'a>(pod: &'a Value, summary: &mut Summary<'a>) -> bool {
    let specs = list(&pod["spec"]["initContainers"]);
    for (at, status) in list(&pod["status"]["initContainerStatuses"]).iter().enumerate() {
        let sidecar = specs.iter().any(|c| c["name"] == status["name"] && is_sidecar(c));
        summary.restarts += int(&status["restartCount"]);
        summary.last_restart = max(summary.last_restart, last_end(status));
        let (ended, waiting) = (&status["state"]["terminated"], &status["state"]["waiting"]);
        if ended.is_object() && int(&ended["exitCode"]) == 0 {
            continue;
        }
        if sidecar && status["started"] == true {
            summary.ready += usize::from(status["ready"] == true);
            continue;
        }
        summary.reason = if ended.is_object() {
            format!("Init:{}", end_reason(ended))
        } else if !matches!(text(&waiting["reason"]), "" | "PodInitializing") {
            format!("Init:{}", text(&waiting["reason"]))
        } else {
            format!("Init:{at}/{}", specs.len())
        };
        return true;
    }
    false
}

/// Goes through the other containers; once these count, restarts of init containers no longer do, except of sidecars.
fn app_containers<'a>(pod: &'a Value, summary: &mut Summary<'a>) {
    let specs = list(&pod["spec"]["initContainers"]);
    summary.restarts = 0;
    summary.last_restart = "";
    for status in list(&pod["status"]["initContainerStatuses"]) {
        if specs.iter().any(|c| c["name"] == status["name"] && is_sidecar(c)) {
            summary.restarts += int(&status["restartCount"]);
            summary.last_restart = max(summary.last_restart, last_end(status));
        }
    }
    let mut running = false;
    for status in list(&pod["status"]["containerStatuses"]).iter().rev() {
        summary.restarts += int(&status["restartCount"]);
        summary.last_restart = max(summary.last_restart, last_end(status));
        let (ended, waiting) = (&status["state"]["terminated"], &status["state"]["waiting"]);
        if !text(&waiting["reason"]).is_empty() {
            summary.reason = text(&waiting["reason"]).to_owned();
        } else if ended.is_object() {
            summary.reason = end_reason(ended);
        } else if status["ready"] == true && status["state"]["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    // One container done and another still running is not a completed pod.
    if summary.reason == "Completed" && running {
        let ready = condition(pod, "Ready").is_some_and(|c| c["status"] == "True");
        summary.reason = if ready { "Running" } else { "NotReady" }.into();
    }
}

fn end_reason(ended: &Value) -> String {
    match (text(&ended["reason"]), int(&ended["signal"])) {
        ("", 0) => format!("ExitCode:{}", int(&ended["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// When the run before this one ended. Timestamps of one format sort as text.
fn last_end(status: &Value) -> &str {
    text(&status["lastState"]["terminated"]["finishedAt"])
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    list(&pod["status"]["conditions"]).iter().find(|c| c["type"] == kind)
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(&pod["spec"]["readinessGates"]);
    if gates.is_empty() {
        return "<none>".into();
    }
    let open =
        |gate: &&Value| condition(pod, text(&gate["conditionType"])).is_some_and(|c| c["status"] == "True");
    format!("{}/{}", gates.iter().filter(open).count(), gates.len())
}
