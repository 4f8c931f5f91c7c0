//! Probes: when a container counts as started, ready or dead, from what its probes would find as time passes.
//!
//! What a probe finds is known beforehand as a [`Timeline`], so nothing is probed: the moments at which an answer changes
//! anything follow from the probe's periods and thresholds.

use crate::spec;
use serde_json::Value;

/// What a probe finds from so many seconds after the container's start on; `Err` with the words of its event. Empty: all is
/// well, always.
pub type Timeline = Vec<(f64, Result<(), String>)>;

/// The three probes of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probes {
    /// `startupProbe`.
    pub startup: Timeline,
    /// `readinessProbe`.
    pub readiness: Timeline,
    /// `livenessProbe`.
    pub liveness: Timeline,
}

/// A change that a probe brings about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turn {
    /// Seconds after the container's start.
    pub at: f64,
    pub well: bool,
    /// What the failing probe said.
    pub message: String,
}

/// When the verdict of `probe` changes; it is `well` before, and probing begins `from` seconds after the start.
pub(super) fn turns(probe: &Value, timeline: &Timeline, well: bool, from: f64) -> Vec<Turn> {
    let number = |field: &str, default: f64| probe[field].as_f64().unwrap_or(default);
    let period = number("periodSeconds", 10.0).max(1.0);
    let (success, failure) =
        (number("successThreshold", 1.0).max(1.0), number("failureThreshold", 3.0).max(1.0));
    let first = from.max(number("initialDelaySeconds", 0.0));
    let always = [(0.0, Ok(()))];
    let timeline = if timeline.is_empty() { &always[..] } else { timeline };
    let (mut turns, mut well) = (vec![], well);
    // How many probes in a row found what the last one did, and what that was.
    let (mut streak, mut found) = (0.0, None);
    for (at, (begin, answer)) in timeline.iter().enumerate() {
        let end = timeline.get(at + 1).map_or(f64::INFINITY, |(next, _)| *next);
        let tick = first + ((begin.max(first) - first) / period).ceil() * period;
        if tick >= end {
            continue;
        }
        let good = answer.is_ok();
        if found != Some(good) {
            (streak, found) = (0.0, Some(good));
        }
        let missing = (if good { success } else { failure }) - streak;
        let turn = tick + (missing - 1.0).max(0.0) * period;
        if good != well && turn < end {
            let message = answer.as_ref().err().cloned().unwrap_or_default();
            turns.push(Turn { at: turn, well: good, message });
            well = good;
        }
        streak += if end.is_finite() { ((end - tick) / period).ceil() } else { 0.0 };
    }
    turns
}

/// What the probes make of a running container.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub started: bool,
    pub ready: bool,
    /// When that, or the container's life, changes next.
    pub next: Option<f64>,
    /// A probe that failed often enough, and what it said: the container must go, at the time given.
    pub dead: Option<(f64, &'static str, String)>,
    /// What a failing readiness probe says.
    pub unready: Option<String>,
}

/// The verdict on `container`, `elapsed` seconds after its start.
pub(super) fn judge(pod: &Value, container: &Value, probes: &Probes, elapsed: f64) -> Verdict {
    let failing = |probe: &str| spec::script(pod, container, "fail-probe").is_some_and(|p| p == probe);
    let scripted = |probe: &str, field: &str, timeline: &Timeline| match failing(probe) {
        true => vec![(0.0, Err(default_failure(&container[field])))],
        false => timeline.clone(),
    };
    let mut next: Vec<f64> = vec![];
    let mut verdict = Verdict { started: true, ready: true, ..Verdict::default() };
    let mut since = 0.0;
    match &container["startupProbe"] {
        Value::Object(_) => {
            let probe = &container["startupProbe"];
            let timeline = scripted("startup", "startupProbe", &probes.startup);
            let up = turns(probe, &timeline, false, 0.0).into_iter().find(|t| t.well).map(|t| t.at);
            let down = turns(probe, &timeline, true, 0.0).into_iter().find(|t| !t.well);
            let down = down.filter(|d| up.is_none_or(|up| d.at < up));
            since = up.unwrap_or(f64::INFINITY);
            verdict.dead = down.map(|d| (d.at, "Startup", d.message));
        }
        _ if failing("startup") => since = f64::INFINITY,
        _ => {}
    }
    verdict.started = since <= elapsed;
    next.push(since);
    if container["readinessProbe"].is_object() {
        let timeline = scripted("readiness", "readinessProbe", &probes.readiness);
        let turns = match since.is_finite() {
            true => turns(&container["readinessProbe"], &timeline, false, since),
            false => vec![],
        };
        let last = turns.iter().rev().find(|t| t.at <= elapsed);
        verdict.ready = last.is_some_and(|t| t.well);
        next.extend(turns.iter().map(|t| t.at));
        let failing = timeline.iter().rev().find(|(from, _)| *from <= elapsed);
        verdict.unready = failing.and_then(|(_, answer)| answer.as_ref().err().cloned());
    } else {
        verdict.ready = !failing("readiness");
    }
    verdict.ready &= verdict.started;
    if container["livenessProbe"].is_object() && since.is_finite() {
        let timeline = scripted("liveness", "livenessProbe", &probes.liveness);
        let down = turns(&container["livenessProbe"], &timeline, true, since).into_iter().find(|t| !t.well);
        verdict.dead = verdict.dead.or(down.map(|d| (d.at, "Liveness", d.message)));
    }
    next.extend(verdict.dead.iter().map(|(at, ..)| *at));
    verdict.next = next.into_iter().filter(|at| *at > elapsed && at.is_finite()).reduce(f64::min);
    verdict
}

/// What a kubelet says when a probe of this kind fails.
pub fn default_failure(probe: &Value) -> String {
    let port = |kind: &str| match &probe[kind]["port"] {
        Value::String(name) => name.clone(),
        number => number.to_string(),
    };
    if probe["httpGet"].is_object() {
        "HTTP probe failed with statuscode: 503".into()
    } else if probe["tcpSocket"].is_object() {
        format!("dial tcp :{}: connect: connection refused", port("tcpSocket"))
    } else if probe["grpc"].is_object() {
        "service unhealthy (responded with \"NOT_SERVING\")".into()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn no() -> Result<(), String> {
        Err("no".into())
    }

    fn check(probe: Value, timeline: Timeline, well: bool, expected: &[(f64, bool)]) {
        let turns: Vec<(f64, bool)> =
            turns(&probe, &timeline, well, 0.0).iter().map(|t| (t.at, t.well)).collect();
        assert_eq!(turns, expected);
    }

    #[test]
    fn thresholds_decide_when_a_verdict_changes() {
        check(json!({}), vec![], false, &[(0.0, true)]);
        check(json!({}), vec![], true, &[]);
        check(json!({"initialDelaySeconds": 30}), vec![], false, &[(30.0, true)]);
        check(json!({"successThreshold": 3, "periodSeconds": 2}), vec![], false, &[(4.0, true)]);
        check(json!({"periodSeconds": 5}), vec![(0.0, no())], true, &[(10.0, false)]);
        check(
            json!({"periodSeconds": 5, "failureThreshold": 1, "initialDelaySeconds": 15}),
            vec![(0.0, Ok(())), (10.0, no())],
            true,
            &[(15.0, false)],
        );
        // Two failures are forgiven, and forgotten.
        let flicker = vec![(0.0, no()), (15.0, Ok(())), (25.0, no()), (60.0, Ok(()))];
        check(json!({}), flicker, true, &[(50.0, false), (60.0, true)]);
    }

    #[test]
    fn nothing_is_ready_before_it_has_started() {
        let container = json!({
            "name": "c", "startupProbe": {"initialDelaySeconds": 7}, "readinessProbe": {"initialDelaySeconds": 2},
            "livenessProbe": {"failureThreshold": 1},
        });
        let dies = Probes { liveness: vec![(20.0, no())], ..Probes::default() };
        let at = |seconds: f64| judge(&Value::Null, &container, &dies, seconds);
        assert_eq!((at(0.0).started, at(0.0).ready, at(0.0).next), (false, false, Some(7.0)));
        assert_eq!((at(7.0).started, at(7.0).ready, at(7.0).next), (true, true, Some(27.0)));
        assert_eq!(at(7.0).dead, Some((27.0, "Liveness", "no".into())));
    }
}
