//! What is known about the health of each node: when it was last heard of, by its status or its lease.
//!
//! Times are those at which this process heard, not those that the node wrote: clocks of machines differ.

use crate::common::conditions;
use client::Entry;
use jiff::Timestamp;
use object::{meta, time};
use serde_json::{Value, json};

/// How long a node that reports may be silent, seconds (`--node-monitor-grace-period`). One whose lease is good for longer
/// may be silent as long as that.
const GRACE: i64 = 50;
/// How long a new node may take until it first reports, seconds (`--node-startup-grace-period`).
const STARTUP_GRACE: i64 = 60;
/// Conditions that only the kubelet knows about. (`NetworkUnavailable` is not its own.)
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Health {
    pub(super) uid: String,
    /// When it was last heard of.
    heard: Timestamp,
    /// The Ready condition's `lastHeartbeatTime` then; `None` before the first report.
    heartbeat: Option<String>,
    /// The lease's `renewTime` then.
    renewed: Option<String>,
    /// Its pods are still to be told that it is gone.
    pub(super) pods_to_tell: bool,
}

impl Health {
    /// Of a node that was not known.
    pub(super) fn new(node: &Value, now: Timestamp) -> Self {
        let heartbeat = heartbeat(node);
        let made = meta::creation_timestamp(node).and_then(|text| time::parse(text).ok());
        let heard = if heartbeat.is_some() { now } else { made.unwrap_or(now) };
        Self { uid: meta::uid(node).to_owned(), heard, heartbeat, renewed: None, pods_to_tell: false }
    }

    /// Looks whether the node has reported since.
    pub(super) fn observe(&mut self, node: &Value, lease: Option<&Value>, now: Timestamp) {
        let heartbeat = heartbeat(node);
        if heartbeat != self.heartbeat {
            self.heartbeat = heartbeat;
            self.heard = now;
        }
        let renewed = lease.and_then(|lease| lease["spec"]["renewTime"].as_str());
        // The layout is fixed, so that texts compare as times do.
        if renewed.is_some_and(|renewed| self.renewed.as_deref().is_none_or(|known| known < renewed)) {
            self.renewed = renewed.map(str::to_owned);
            self.heard = now;
        }
    }

    /// Starts over: what was silent because nothing could be heard is not held against the node.
    pub(super) fn forgive(&mut self, now: Timestamp) {
        self.heard = now;
    }

    /// Seconds until its silence is too long; none left when it is.
    pub(super) fn left(&self, lease: Option<&Value>, now: Timestamp) -> i64 {
        let grace = match &self.heartbeat {
            Some(_) => GRACE.max(lease.and_then(|l| l["spec"]["leaseDurationSeconds"].as_i64()).unwrap_or(0)),
            None => STARTUP_GRACE,
        };
        // Late rather than early: only when more than the whole time has passed.
        (self.heard.as_second() + grace + 1 - now.as_second()).max(0)
    }
}

fn heartbeat(node: &Value) -> Option<String> {
    let ready = conditions::find(&node["status"]["conditions"], "Ready")?;
    Some(ready["lastHeartbeatTime"].as_str().unwrap_or("").to_owned())
}

/// The status of the Ready condition, `Unknown` before there is one.
pub(super) fn ready(node: &Value) -> &str {
    ready_among(&node["status"]["conditions"])
}

/// Whether it says that it is ready, read without the rest of it.
pub(super) fn is_ready(node: &Entry) -> bool {
    node.at(&["status", "conditions"]).is_some_and(|conditions| ready_among(&conditions) == "True")
}

fn ready_among(conditions: &Value) -> &str {
    conditions::find(conditions, "Ready").and_then(|ready| ready["status"].as_str()).unwrap_or("Unknown")
}

/// The status of a node that was silent for too long, unless it says so already.
pub(super) fn silent(node: &Value, now: Timestamp) -> Option<Value> {
    let known = conditions::find(&node["status"]["conditions"], "Ready");
    if known.is_some_and(|ready| ready["status"] == "Unknown") {
        return None;
    }
    let mut next = node.clone();
    let now = time::format(now);
    meta::child_mut(&mut next, "status");
    let all = &mut next["status"]["conditions"];
    if !all.is_array() {
        *all = json!([]);
    }
    let list = all.as_array_mut()?;
    for kind in REPORTED {
        match list.iter_mut().find(|condition| condition["type"] == kind) {
            None => list.push(json!({"type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.", "lastTransitionTime": now,
                "lastHeartbeatTime": node["metadata"]["creationTimestamp"]})),
            Some(condition) if condition["status"] != "Unknown" => {
                condition["status"] = "Unknown".into();
                condition["reason"] = "NodeStatusUnknown".into();
                condition["message"] = "Kubelet stopped posting node status.".into();
                condition["lastTransitionTime"] = now.as_str().into();
            }
            Some(_) => {}
        }
    }
    Some(next)
}
