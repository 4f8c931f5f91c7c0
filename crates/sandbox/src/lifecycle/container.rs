//! One container's state.

use super::probes::{self, Probes, Verdict};
use super::{Moment, Outcome, backoff};
use crate::events::Event;
use crate::{image, spec};
use jiff::Timestamp;
use object::meta;
use serde_json::{Value, json};

/// What a container is in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Init,
    Sidecar,
    Regular,
    Ephemeral,
}

impl Role {
    fn list(self) -> &'static str {
        match self {
            Self::Init | Self::Sidecar => "initContainers",
            Self::Regular => "containers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// The container's entry in the status so far, `null` if it has none.
pub(super) fn status_of(status: &Value, list: &str, container: &Value, at: usize) -> Value {
    let entries = status[list].as_array().map_or(&[][..], Vec::as_slice);
    let named = |entry: &&Value| entry["name"] == container["name"];
    entries.get(at).filter(named).or_else(|| entries.iter().find(named)).cloned().unwrap_or(Value::Null)
}

/// Whether a run that ended with `code` is followed by another.
pub(super) fn restarts(pod: &Value, container: &Value, code: i64, role: Role) -> bool {
    let rules = container["restartPolicyRules"].as_array().into_iter().flatten();
    for rule in rules {
        let on = &rule["exitCodes"];
        let listed = on["values"].as_array().is_some_and(|v| v.iter().any(|v| v.as_i64() == Some(code)));
        if listed == (on["operator"] == "In") {
            return rule["action"] == "Restart";
        }
    }
    let policy = container["restartPolicy"].as_str().or_else(|| pod["spec"]["restartPolicy"].as_str());
    match (role, policy.unwrap_or("Always")) {
        (Role::Ephemeral, _) => false,
        (Role::Sidecar, _) => true,
        (_, "Never") => false,
        (Role::Regular, "Always") => true,
        _ => code != 0,
    }
}

/// The entry of a container whose turn has not come.
pub(super) fn waits(container: &Value, old: &Value, reason: &str) -> Value {
    match old["state"].is_object() {
        true => describe(container, old.clone()),
        false => waiting(container, old, reason, None),
    }
}

/// The container's next state.
pub(super) fn advance(moment: &mut Moment<'_>, container: &Value, old: &Value, role: Role) -> Value {
    let state = &old["state"];
    if let Some(started) = spec::time(&state["running"]["startedAt"]) {
        return run(moment, container, old, role, started);
    }
    if state["terminated"].is_object() {
        return ended(moment, container, old, role);
    }
    if old["lastState"]["terminated"].is_object() {
        let due = backoff::due(old["restartCount"].as_i64().unwrap_or(0), &old["lastState"]["terminated"]);
        if due > moment.now {
            moment.wake_at(due);
            return describe(container, old.clone());
        }
        return start(moment, container, old, role, true);
    }
    start(moment, container, old, role, false)
}

/// A container that may start: does, or says what is in the way.
fn start(moment: &mut Moment<'_>, container: &Value, old: &Value, role: Role, again: bool) -> Value {
    let (pod, name) = (moment.pod, spec::name(container));
    let text = container["image"].as_str().unwrap_or("");
    let about = |event: Event| event.of_container(role.list(), name);
    if let Some(problem) = image::problem(text) {
        let failed_before = old["state"]["waiting"]["reason"] == "ErrImagePull";
        let (reason, message) = match (problem.pullable, failed_before) {
            (false, _) => ("InvalidImageName", problem.message),
            (true, false) => ("ErrImagePull", problem.message),
            (true, true) => (
                "ImagePullBackOff",
                format!("Back-off pulling image \"{text}\": ErrImagePull: {}", problem.message),
            ),
        };
        let repeated = old["state"]["waiting"]["reason"] == reason;
        match reason {
            _ if repeated => {}
            "InvalidImageName" => {
                moment.event(about(Event::warning("InspectFailed", message.clone())));
                moment.event(about(Event::warning("Failed", "Error: InvalidImageName")));
            }
            "ErrImagePull" => {
                moment.event(about(Event::normal("Pulling", format!("Pulling image \"{text}\""))));
                let failed = format!("Failed to pull image \"{text}\": {message}");
                moment.event(about(Event::warning("Failed", failed)));
                moment.event(about(Event::warning("Failed", "Error: ErrImagePull")));
                moment.wake_at(spec::later(moment.now, 1.0));
            }
            _ => {
                moment.event(about(Event::normal("BackOff", format!("Back-off pulling image \"{text}\""))));
                moment.event(about(Event::warning("Failed", "Error: ImagePullBackOff")));
            }
        }
        if old["state"]["waiting"]["reason"] == "ImagePullBackOff" {
            return describe(container, old.clone());
        }
        return waiting(container, old, reason, Some(&message));
    }
    if let Some(Err(message)) = moment.facts.prepared.containers.get(name) {
        if old["state"]["waiting"]["message"] != message.as_str() {
            moment.event(about(Event::warning("Failed", format!("Error: {message}"))));
        }
        return waiting(container, old, "CreateContainerConfigError", Some(message));
    }
    let present =
        format!("Container image \"{text}\" already present on machine and can be accessed by the pod");
    moment.event(about(Event::normal("Pulled", present)));
    moment.event(about(Event::normal("Created", format!("Created container: {name}"))));
    moment.event(about(Event::normal("Started", format!("Started container {name}"))));
    if let Some(Ok(Outcome::Exits { after, .. })) = moment.facts.prepared.containers.get(name) {
        moment.wake_at(spec::later(moment.now, *after));
    }
    let restarts = old["restartCount"].as_i64().unwrap_or(0) + i64::from(again);
    let mut new = describe(container, old.clone());
    if !new["lastState"].is_object() {
        new["lastState"] = json!({});
    }
    new["restartCount"] = restarts.into();
    new["containerID"] = container_id(pod, name, restarts).into();
    new["imageID"] = image::id(text).into();
    new["state"] = json!({"running": {"startedAt": object::time::format(moment.now)}});
    let verdict = judge(moment, container, moment.now, moment.now);
    new["started"] = verdict.started.into();
    new["ready"] = (!matches!(role, Role::Init | Role::Ephemeral) && verdict.ready).into();
    unready(moment, container, role, &verdict);
    new
}

/// A running container: ends when its command does or when a probe says so, and is ready when its probes say so.
fn run(moment: &mut Moment<'_>, container: &Value, old: &Value, role: Role, started: Timestamp) -> Value {
    let name = spec::name(container);
    let mut new = describe(container, old.clone());
    let verdict = judge(moment, container, started, moment.now);
    let killed = verdict.dead.as_ref().map(|(at, ..)| spec::later(started, *at));
    let (code, due) = match (moment.facts.prepared.containers.get(name), killed) {
        (Some(Ok(Outcome::Exits { code, after })), killed) => {
            let ends = spec::later(started, *after);
            if killed.is_some_and(|killed| killed < ends) { (137, killed) } else { (*code, Some(ends)) }
        }
        (_, killed) => (137, killed),
    };
    let Some(due) = due.filter(|due| *due <= moment.now) else {
        due.into_iter().for_each(|due| moment.wake_at(due));
        if !matches!(role, Role::Init | Role::Ephemeral) {
            new["started"] = verdict.started.into();
            new["ready"] = verdict.ready.into();
            unready(moment, container, role, &verdict);
        }
        return new;
    };
    let killed = Some(due) == killed;
    if let Some((_, probe, message)) = verdict.dead.filter(|_| killed) {
        let about = |event: Event| event.of_container(role.list(), name);
        moment.event(about(Event::warning("Unhealthy", format!("{probe} probe failed: {message}"))));
        let probe = probe.to_ascii_lowercase();
        let message = format!("Container {name} failed {probe} probe, will be restarted");
        moment.event(about(Event::normal("Killing", message)));
    }
    stop(&mut new, moment.now.min(due.max(started)), code);
    let message = moment.facts.prepared.details.get(name).map_or("", |d| d.message.as_str());
    if !message.is_empty() && !killed {
        new["state"]["terminated"]["message"] = message.into();
    }
    // What ended may start again, or back off, in the next step.
    moment.wake_at(moment.now);
    if role == Role::Init {
        new["ready"] = (code == 0).into();
    }
    new
}

/// What the probes of a container that runs since `started` make of it.
fn judge(moment: &mut Moment<'_>, container: &Value, started: Timestamp, now: Timestamp) -> Verdict {
    let nothing = Probes::default();
    let details = moment.facts.prepared.details.get(spec::name(container));
    let elapsed = now.duration_since(started).as_secs_f64();
    let verdict = probes::judge(moment.pod, container, details.map_or(&nothing, |d| &d.probes), elapsed);
    if let Some(next) = verdict.next {
        moment.wake_at(spec::later(started, next));
    }
    verdict
}

/// Tells once of a readiness probe that fails.
fn unready(moment: &mut Moment<'_>, container: &Value, role: Role, verdict: &Verdict) {
    let name = spec::name(container);
    let status = status_of(
        &moment.pod["status"],
        &format!("{}Statuses", role.list().trim_end_matches('s')),
        container,
        0,
    );
    let changes = status["state"]["running"].is_null() || status["ready"] == true;
    if let Some(message) = verdict.unready.as_ref().filter(|_| changes && verdict.started && !verdict.ready) {
        let event = Event::warning("Unhealthy", format!("Readiness probe failed: {message}"));
        moment.event(event.of_container(role.list(), name));
    }
}

/// A container that ended: stays so, backs off, or starts again.
fn ended(moment: &mut Moment<'_>, container: &Value, old: &Value, role: Role) -> Value {
    let pod = moment.pod;
    let terminated = &old["state"]["terminated"];
    if !restarts(pod, container, terminated["exitCode"].as_i64().unwrap_or(0), role) {
        return describe(container, old.clone());
    }
    let count = old["restartCount"].as_i64().unwrap_or(0);
    let mut last = old.clone();
    last["lastState"] = json!({"terminated": terminated});
    let due = backoff::due(count, terminated);
    if due <= moment.now {
        return start(moment, container, &last, role, true);
    }
    moment.wake_at(due);
    let name = spec::name(container);
    let seconds = backoff::seconds(count, terminated);
    let who = format!("pod {}_{}({})", meta::name(pod), meta::namespace(pod), meta::uid(pod));
    let message = format!("Back-off restarting failed container {name} in {who}");
    moment.event(Event::warning("BackOff", message).of_container(role.list(), name));
    let who = format!("pod={}_{}({})", meta::name(pod), meta::namespace(pod), meta::uid(pod));
    let wait = object::time::duration::format(seconds * 1_000_000_000);
    let message = format!("back-off {wait} restarting failed container={name} {who}");
    waiting(container, &last, "CrashLoopBackOff", Some(&message))
}

/// Ends a running container; leaves others alone.
pub(super) fn stop(status: &mut Value, now: Timestamp, code: i32) {
    let Some(started) = status["state"]["running"]["startedAt"].as_str().map(str::to_owned) else { return };
    status["state"] = json!({"terminated": {
        "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
        "startedAt": started, "finishedAt": object::time::format(now), "containerID": status["containerID"],
    }});
    status["ready"] = false.into();
    status["started"] = false.into();
}

fn waiting(container: &Value, old: &Value, reason: &str, message: Option<&str>) -> Value {
    let mut new = describe(container, old.clone());
    let mut state = json!({"reason": reason});
    if let Some(message) = message {
        state["message"] = message.into();
    }
    new["state"] = json!({"waiting": state});
    if !new["lastState"].is_object() {
        new["lastState"] = json!({});
    }
    for (key, value) in [("imageID", json!("")), ("restartCount", json!(0))] {
        if new[key].is_null() {
            new[key] = value;
        }
    }
    new["ready"] = false.into();
    new["started"] = false.into();
    new
}

/// The fields that follow from the spec, also after it was changed (a resize takes effect at once).
fn describe(container: &Value, mut status: Value) -> Value {
    if !status.is_object() {
        status = json!({});
    }
    status["name"] = container["name"].clone();
    status["image"] = image::normalized(container["image"].as_str().unwrap_or("")).into();
    status["resources"] = match &container["resources"] {
        Value::Object(resources) => Value::Object(resources.clone()),
        _ => json!({}),
    };
    if let Some(requests) = container["resources"]["requests"].as_object().filter(|r| !r.is_empty()) {
        status["allocatedResources"] = requests.clone().into();
    }
    let mounts = container["volumeMounts"].as_array().map_or(&[][..], Vec::as_slice);
    let mounts: Vec<Value> = mounts.iter().map(mount_status).collect();
    if !mounts.is_empty() {
        status["volumeMounts"] = mounts.into();
    }
    status
}

fn mount_status(mount: &Value) -> Value {
    let mut status = json!({"name": mount["name"], "mountPath": mount["mountPath"]});
    if mount["readOnly"] == true {
        status["readOnly"] = true.into();
        status["recursiveReadOnly"] = "Disabled".into();
    }
    status
}

fn container_id(pod: &Value, name: &str, restarts: i64) -> String {
    let words: Vec<String> = (0..4)
        .map(|i| {
            format!("{:016x}", crate::events::hash(&format!("{}/{name}/{restarts}/{i}", meta::uid(pod))))
        })
        .collect();
    format!("sandbox://{}", words.concat())
}
