//! `status.conditions`: the kubelet's own, in its order; others' stay as they are.

use super::Moment;
use super::phase::is_terminal;
use crate::spec;
use object::meta;
use serde_json::{Value, json};

struct Verdict {
    status: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Self { status: true, reason: "", message: String::new() }
    }

    fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: false, reason, message: message.into() }
    }
}

/// Sets the kubelet's conditions after the containers' states in `status`.
pub(super) fn update(moment: &Moment<'_>, status: &mut Value) {
    let pod = moment.pod;
    let terminal = is_terminal(status["phase"].as_str().unwrap_or(""));
    let has_network = status["podIP"].is_string() && !terminal;
    let containers = containers_ready(pod, status);
    let ready = match &containers {
        Verdict { status: true, .. } => gates(pod),
        Verdict { reason, message, .. } => Verdict::no(reason, message.clone()),
    };
    let network = Verdict { status: has_network, reason: "", message: String::new() };
    let verdicts = [
        ("PodReadyToStartContainers", network),
        ("Initialized", initialized(pod, status)),
        ("Ready", ready),
        ("ContainersReady", containers),
        ("PodScheduled", Verdict::yes()),
    ];
    let old = status["conditions"].as_array().cloned().unwrap_or_default();
    let mut new: Vec<Value> =
        verdicts.into_iter().map(|(kind, v)| condition(moment, &old, kind, v)).collect();
    let ours = |c: &Value| new.iter().any(|n| n["type"] == c["type"]);
    let others: Vec<Value> = old.iter().filter(|c| !ours(c)).cloned().collect();
    new.extend(others);
    status["conditions"] = new.into();
}

fn condition(moment: &Moment<'_>, old: &[Value], kind: &str, verdict: Verdict) -> Value {
    let status = if verdict.status { "True" } else { "False" };
    let before = old.iter().find(|c| c["type"] == kind);
    let since = match before {
        Some(before) if before["status"] == status => before["lastTransitionTime"].clone(),
        _ => object::time::format(moment.now).into(),
    };
    let mut condition = json!({
        "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since,
        "observedGeneration": meta::generation(moment.pod),
    });
    if !verdict.reason.is_empty() {
        condition["reason"] = verdict.reason.into();
    }
    if !verdict.message.is_empty() {
        condition["message"] = verdict.message.into();
    }
    condition
}

fn status_list<'a>(status: &'a Value, list: &str) -> &'a [Value] {
    status[list].as_array().map_or(&[], Vec::as_slice)
}

fn names(of: &[&Value]) -> String {
    of.iter().map(|c| spec::name(c)).collect::<Vec<_>>().join(" ")
}

fn initialized(pod: &Value, status: &Value) -> Verdict {
    if status["phase"] == "Succeeded" {
        return Verdict { reason: "PodCompleted", ..Verdict::yes() };
    }
    let statuses = status_list(status, "initContainerStatuses");
    let pairs = spec::list(pod, "initContainers").iter().zip(statuses);
    let undone: Vec<&Value> = pairs
        .filter(|(container, status)| match spec::is_sidecar(container) {
            true => status["started"] != true && !status["lastState"]["terminated"].is_object(),
            false => status["state"]["terminated"]["exitCode"].as_i64() != Some(0),
        })
        .map(|(container, _)| container)
        .collect();
    match undone.is_empty() {
        true => Verdict::yes(),
        false => Verdict::no(
            "ContainersNotInitialized",
            format!("containers with incomplete status: [{}]", names(&undone)),
        ),
    }
}

fn containers_ready(pod: &Value, status: &Value) -> Verdict {
    match status["phase"].as_str() {
        Some("Succeeded") => return Verdict::no("PodCompleted", ""),
        Some("Failed") => return Verdict::no("PodFailed", ""),
        _ => {}
    }
    let sidecars = spec::list(pod, "initContainers").iter().zip(status_list(status, "initContainerStatuses"));
    let sidecars = sidecars.filter(|(container, _)| spec::is_sidecar(container));
    let regular = spec::list(pod, "containers").iter().zip(status_list(status, "containerStatuses"));
    let unready: Vec<&Value> =
        sidecars.chain(regular).filter(|(_, status)| status["ready"] != true).map(|(c, _)| c).collect();
    match unready.is_empty() {
        true => Verdict::yes(),
        false => Verdict::no(
            "ContainersNotReady",
            format!("containers with unready status: [{}]", names(&unready)),
        ),
    }
}

/// `spec.readinessGates`: conditions that others must set.
fn gates(pod: &Value) -> Verdict {
    let conditions = status_list(&pod["status"], "conditions");
    let mut unmet = vec![];
    for gate in spec::list(pod, "readinessGates") {
        let kind = gate["conditionType"].as_str().unwrap_or("");
        match conditions.iter().find(|c| c["type"] == kind).map(|c| c["status"].as_str().unwrap_or("")) {
            Some("True") => {}
            Some(other) => unmet
                .push(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {other}")),
            None => unmet
                .push(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
        }
    }
    match unmet.is_empty() {
        true => Verdict::yes(),
        false => Verdict::no("ReadinessGatesNotReady", unmet.join(", ")),
    }
}
