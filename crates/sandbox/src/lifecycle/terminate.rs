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

/// Seconds after which a pod that ought to be gone is deleted once more.
const FORGOTTEN: f64 = 10.0;

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
        return last_word(&moment, grace);
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

/// A pod whose grace period is over is kept by finalizers, or by a server that died before it removed it.
fn last_word(moment: &Moment<'_>, grace: i64) -> Step {
    let kept = meta::finalizers(moment.pod).next().is_some();
    let late = spec::later(due(moment.pod, 0), FORGOTTEN);
    if grace > 0 || !kept && moment.now >= late {
        return Step { delete: true, ..Step::default() };
    }
    Step { wake: (!kept).then_some(late), ..Step::default() }
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
