//! The end of a pod: after a deletion, or because it may not go on.

use super::{Moment, Step, conditions, container};
use crate::events::Event;
use crate::spec;
use jiff::Timestamp;
use object::meta;
use serde_json::Value;

/// Seconds that simulated containers take to end when asked to. Deletion times are whole seconds, so that this is one to
/// two seconds in practice, long enough to be seen.
const LINGER: f64 = 2.0;

/// Exit code of a process ended by SIGTERM.
const TERMINATED: i32 = 143;

const LISTS: [&str; 3] = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];

/// The next step of a pod that is being deleted.
pub(super) fn advance(mut moment: Moment<'_>, terminal: bool) -> Step {
    let pod = moment.pod;
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let running: Vec<(&str, &Value)> = LISTS
        .iter()
        .flat_map(|list| pod["status"][*list].as_array().into_iter().flatten().map(move |s| (*list, s)))
        .filter(|(_, status)| status["state"]["running"].is_object())
        .collect();
    if terminal {
        // Only finalizers keep a pod whose grace period is over.
        return Step { delete: grace > 0, ..Step::default() };
    }
    let due = due(pod, grace);
    if due > moment.now && grace > 0 && !running.is_empty() {
        for (list, status) in running {
            let name = spec::name(status);
            let event = Event::normal("Killing", format!("Stopping container {name}"));
            let list = format!("{}s", list.trim_end_matches("Statuses"));
            moment.event(event.of_container(&list, name));
        }
        return Step { wake: Some(due), events: moment.events, ..Step::default() };
    }
    let mut status = pod["status"].clone();
    // Servers end well when asked to; work that is cut off has failed.
    let code =
        if pod["spec"]["restartPolicy"].as_str().unwrap_or("Always") == "Always" { 0 } else { TERMINATED };
    stop_all(&mut status, moment.now, code);
    let regular = status["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let failed = regular.iter().any(|s| s["state"]["terminated"]["exitCode"].as_i64() != Some(0));
    status["phase"] = if failed { "Failed" } else { "Succeeded" }.into();
    conditions::update(&moment, &mut status);
    moment.events.clear();
    Step { delete: grace > 0, ..super::finish(moment, status) }
}

fn due(pod: &Value, grace: i64) -> Timestamp {
    let deadline = spec::time(&pod["metadata"]["deletionTimestamp"]).unwrap_or(Timestamp::UNIX_EPOCH);
    let asked = spec::later(deadline, -(grace as f64));
    let scripted =
        meta::annotation(pod, "sandbox.joey.dev/termination-seconds").and_then(|s| s.parse::<f64>().ok());
    spec::later(asked, scripted.unwrap_or(LINGER).min(grace as f64))
}

/// Ends a pod that may not go on, as failed.
pub(super) fn fail(moment: &mut Moment<'_>, status: &mut Value, reason: &'static str, message: &str) {
    stop_all(status, moment.now, 137);
    status["phase"] = "Failed".into();
    status["reason"] = reason.into();
    status["message"] = message.into();
    moment.event(Event::normal(reason, message));
}

fn stop_all(status: &mut Value, now: Timestamp, code: i32) {
    for list in LISTS {
        for entry in status[list].as_array_mut().into_iter().flatten() {
            container::stop(entry, now, code);
        }
    }
}
