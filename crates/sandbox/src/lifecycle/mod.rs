//! A pod's life on its node, as a function of the pod and the time: [`advance`] says what the kubelet would report next,
//! when something is due again, and whether the pod may go.
//!
//! All state is in the pod's own status, so a sandbox that starts again goes on where it was. Each call takes one step;
//! the caller applies it and calls again until nothing changes. No clock, no IO.

mod backoff;
mod conditions;
mod container;
mod phase;
mod prepared;
mod probes;
mod terminate;

pub use prepared::{Details, Outcome, Prepared};
pub use probes::{Probes, Timeline, default_failure};

use crate::events::Event;
use crate::spec;
use jiff::Timestamp;
use object::meta;
use serde_json::{Map, Value, json};

/// What the node knows of a pod beside the pod itself.
pub struct Facts<'a> {
    /// The node's address.
    pub host_ip: &'a str,
    /// The address that the pod has or may take.
    pub pod_ip: &'a str,
    /// What each container's command will do.
    pub prepared: &'a Prepared,
}

/// What to do next.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    /// Fields of the status that changed, whole.
    pub status: Map<String, Value>,
    /// When to look again, if nothing changes before.
    pub wake: Option<Timestamp>,
    /// Delete the pod for good, after the status was written.
    pub delete: bool,
    /// What to tell people.
    pub events: Vec<Event>,
}

/// Context of one step.
pub(crate) struct Moment<'a> {
    pub pod: &'a Value,
    pub facts: &'a Facts<'a>,
    pub now: Timestamp,
    pub events: Vec<Event>,
    pub wake: Option<Timestamp>,
}

impl Moment<'_> {
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    pub fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// The next step of `pod`, which is bound to a node.
pub fn advance(pod: &Value, facts: &Facts<'_>, now: Timestamp) -> Step {
    let mut moment = Moment { pod, facts, now, events: vec![], wake: None };
    let terminal = phase::is_terminal(pod["status"]["phase"].as_str().unwrap_or(""));
    if meta::deletion_timestamp(pod).is_some() {
        return terminate::advance(moment, terminal);
    }
    if terminal {
        return Step::default();
    }
    let mut status = pod["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let first = status["startTime"].as_str().is_none();
    if first {
        status["startTime"] = object::time::format(now).into();
        status["hostIP"] = facts.host_ip.into();
        status["hostIPs"] = json!([{"ip": facts.host_ip}]);
    }
    if past_deadline(&mut moment) {
        terminate::fail(&mut moment, &mut status, "DeadlineExceeded", DEADLINE);
    } else {
        let start = !first && facts.prepared.mount_error.is_none();
        if first && facts.prepared.mount_error.is_none() {
            moment.wake_at(now);
        }
        if let Some(error) = &facts.prepared.mount_error {
            moment.event(Event::warning("FailedMount", error));
        }
        if start && status["podIP"].as_str().is_none() {
            status["podIP"] = facts.pod_ip.into();
            status["podIPs"] = json!([{"ip": facts.pod_ip}]);
        }
        containers(&mut moment, &mut status, start);
    }
    status["observedGeneration"] = meta::generation(pod).into();
    conditions::update(&moment, &mut status);
    finish(moment, status)
}

const DEADLINE: &str = "Pod was active on the node longer than the specified deadline";

fn past_deadline(moment: &mut Moment<'_>) -> bool {
    let seconds = moment.pod["spec"]["activeDeadlineSeconds"].as_i64();
    let started = spec::time(&moment.pod["status"]["startTime"]);
    let (Some(seconds), Some(started)) = (seconds, started) else { return false };
    let deadline = spec::later(started, seconds as f64);
    if deadline > moment.now {
        moment.wake_at(deadline);
    }
    deadline <= moment.now
}

/// Brings all containers on by a step and sets the phase.
fn containers(moment: &mut Moment<'_>, status: &mut Value, start: bool) {
    let pod = moment.pod;
    let mut blocked = !start;
    let mut failed = false;
    let mut inits = vec![];
    for (at, container) in spec::list(pod, "initContainers").iter().enumerate() {
        let sidecar = spec::is_sidecar(container);
        let old = container::status_of(status, "initContainerStatuses", container, at);
        let new = match blocked || failed {
            true => container::waits(container, &old, "PodInitializing"),
            false if sidecar => container::advance(moment, container, &old, container::Role::Sidecar),
            false => container::advance(moment, container, &old, container::Role::Init),
        };
        if sidecar {
            blocked |= new["started"] != true;
        } else {
            let code = new["state"]["terminated"]["exitCode"].as_i64();
            blocked |= code != Some(0);
            failed |= code.is_some_and(|c| c != 0)
                && !container::restarts(pod, container, code.unwrap_or(0), container::Role::Init);
        }
        inits.push(new);
    }
    let has_inits = !inits.is_empty();
    let waiting = if has_inits { "PodInitializing" } else { "ContainerCreating" };
    let mut regular = vec![];
    for (at, container) in spec::list(pod, "containers").iter().enumerate() {
        let old = container::status_of(status, "containerStatuses", container, at);
        regular.push(match blocked || failed {
            true => container::waits(container, &old, waiting),
            false => container::advance(moment, container, &old, container::Role::Regular),
        });
    }
    let mut ephemeral = vec![];
    for (at, container) in spec::list(pod, "ephemeralContainers").iter().enumerate() {
        let old = container::status_of(status, "ephemeralContainerStatuses", container, at);
        ephemeral.push(match start {
            false => container::waits(container, &old, "ContainerCreating"),
            true => container::advance(moment, container, &old, container::Role::Ephemeral),
        });
    }
    let phase = phase::of(pod, &inits, &regular, failed);
    if phase::is_terminal(phase) {
        // Sidecars outlive the work, but not for long.
        for side in &mut inits {
            container::stop(side, moment.now, 0);
        }
    }
    status["phase"] = phase.into();
    for (key, list) in [
        ("initContainerStatuses", inits),
        ("containerStatuses", regular),
        ("ephemeralContainerStatuses", ephemeral),
    ] {
        if !list.is_empty() {
            status[key] = list.into();
        }
    }
}

/// Keeps what differs from the pod's status.
fn finish(moment: Moment<'_>, status: Value) -> Step {
    let old = &moment.pod["status"];
    let Value::Object(new) = status else { return Step::default() };
    let status = new.into_iter().filter(|(key, value)| !same(&old[key.as_str()], value)).collect();
    Step { status, wake: moment.wake, delete: false, events: moment.events }
}

/// Equal where a field that is null counts as absent.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(l), Value::Object(r)) => {
            l.iter().all(|(k, v)| same(v, r.get(k).unwrap_or(&Value::Null)))
                && r.iter().all(|(k, v)| l.contains_key(k) || v.is_null())
        }
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| same(l, r)),
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests;
