//! A deployment's status: counts, and the conditions Available, Progressing and ReplicaFailure.

use super::sets::{self, Set};
use super::{is_paused, selector};
use crate::common::{conditions, owners};
use crate::plan::{Action, Finish};
use crate::resources::{DEPLOYMENTS, REPLICA_SETS};
use crate::workloads::int;
use client::Cache;
use jiff::Timestamp;
use object::{ApiError, meta, time};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A deadline that means none.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// Writes the status after all else: `made` names the set just made, `progress` says that a rollout is under way.
pub(super) fn finish(deployment: &Value, made: Option<String>, progress: bool, now: Timestamp) -> Finish {
    let (namespace, name) = (meta::namespace(deployment).to_owned(), meta::name(deployment).to_owned());
    Box::new(move |cache, failure| {
        let Some(deployment) = cache.get(&DEPLOYMENTS, &namespace, &name) else { return vec![] };
        let reporter = Reporter { deployment: &deployment, made: made.as_deref(), failure, now };
        let (new, old) = reporter.sets(cache);
        let mut next = (*deployment).clone();
        next["status"] = reporter.status(cache, &new, &old, progress);
        // With the status, so that it does not count as a new generation.
        if let Some(revision) = new.as_ref().and_then(|set| meta::annotation(&set.object, sets::REVISION)) {
            meta::set_annotation(&mut next, sets::REVISION, revision);
        }
        if next == *deployment {
            return vec![];
        }
        vec![Action::update_status(&DEPLOYMENTS, next)]
    })
}

/// Whether every pod is of the new set, and available.
pub(super) fn is_complete(deployment: &Value, status: &Value) -> bool {
    let wanted = sets::replicas(deployment);
    ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|field| int(&status[*field]) == wanted)
        && int(&status["observedGeneration"]) >= meta::generation(deployment)
}

fn deadline(deployment: &Value) -> Option<i64> {
    deployment["spec"]["progressDeadlineSeconds"].as_i64().filter(|seconds| *seconds != NO_DEADLINE)
}

fn progressing(status: &Value) -> Option<&Value> {
    conditions::find(&status["conditions"], "Progressing")
}

/// When to look again whether a rollout is stuck.
pub(super) fn deadline_in(deployment: &Value, now: Timestamp) -> Option<Duration> {
    let condition = progressing(&deployment["status"])?;
    let over =
        is_complete(deployment, &deployment["status"]) || condition["reason"] == "ProgressDeadlineExceeded";
    if over || condition["reason"] == "NewReplicaSetAvailable" || is_paused(deployment) {
        return None;
    }
    let since = time::parse(condition["lastUpdateTime"].as_str()?).ok()?;
    let left = since.as_second() + deadline(deployment)? - now.as_second();
    Some(Duration::from_secs(left.max(0).unsigned_abs() + 1))
}

struct Reporter<'a> {
    deployment: &'a Value,
    made: Option<&'a str>,
    failure: Option<&'a ApiError>,
    now: Timestamp,
}

impl Reporter<'_> {
    fn sets(&self, cache: &Cache) -> (Option<Set>, Vec<Set>) {
        let selector = selector(self.deployment);
        let owned = cache.owned_by(&REPLICA_SETS, meta::uid(self.deployment));
        let ours = owned.iter().filter(|set| owners::matches(&selector, set));
        sets::split(self.deployment, ours.filter_map(|set| set.value()).map(Set::of).collect())
    }

    fn status(&self, cache: &Cache, new: &Option<Set>, old: &[Set], progress: bool) -> Value {
        let mut status = self.counts(new, old);
        let mut conditions = self.deployment["status"]["conditions"].clone();
        self.available(&status, &mut conditions);
        self.progressing(&status, new.as_ref(), progress, &mut conditions);
        self.replica_failure(new, old, progress, &mut conditions);
        if conditions.as_array().is_some_and(|list| !list.is_empty()) {
            status["conditions"] = conditions;
        }
        if let Some(count) = self.collisions(cache) {
            status["collisionCount"] = count.into();
        }
        status
    }

    fn counts(&self, new: &Option<Set>, old: &[Set]) -> Value {
        let all: Vec<_> = old.iter().chain(new).collect();
        let sum = |field: &str| all.iter().map(|set| set.status(field)).sum::<i64>();
        let wanted: i64 = all.iter().map(|set| set.replicas).sum();
        let available = sum("availableReplicas");
        let mut status = Map::new();
        status.insert("observedGeneration".into(), meta::generation(self.deployment).into());
        for (field, number) in [
            ("replicas", sum("replicas")),
            ("updatedReplicas", new.as_ref().map_or(0, |set| set.status("replicas"))),
            ("readyReplicas", sum("readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", (wanted - available).max(0)),
        ] {
            if number > 0 {
                status.insert(field.into(), number.into());
            }
        }
        status.insert("terminatingReplicas".into(), sum("terminatingReplicas").into());
        status.into()
    }

    fn available(&self, status: &Value, all: &mut Value) {
        let minimum = sets::replicas(self.deployment) - sets::max_unavailable(self.deployment);
        let enough = int(&status["availableReplicas"]) >= minimum;
        let (reason, message) = if enough {
            ("MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        self.set(all, "Available", if enough { "True" } else { "False" }, reason, message);
    }

    fn progressing(&self, status: &Value, new: Option<&Set>, progress: bool, all: &mut Value) {
        let Some(deadline) = deadline(self.deployment) else {
            return conditions::remove(all, "Progressing");
        };
        let reason = |all: &Value| {
            conditions::find(all, "Progressing").map(|c| c["reason"].as_str().unwrap_or("").to_owned())
        };
        let before = reason(all);
        let timed_out = before.as_deref() == Some("ProgressDeadlineExceeded");
        let paused_before = before.as_deref() == Some("DeploymentPaused");
        if is_paused(self.deployment) && !paused_before && !timed_out {
            self.set(all, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
        } else if !is_paused(self.deployment) && paused_before {
            self.set(all, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
        }
        match (self.made, self.failure) {
            (Some(made), Some(error)) if !error.is_already_exists() => {
                let message = format!("Failed to create new replica set \"{made}\": {}", error.message());
                return self.set(all, "Progressing", "False", "ReplicaSetCreateError", &message);
            }
            (Some(made), None) => {
                let message = format!("Created new replica set \"{made}\"");
                self.set(all, "Progressing", "True", "NewReplicaSetCreated", &message);
            }
            _ => {
                if let (Some(new), None) = (new, reason(all)) {
                    let message = format!("Found new replica set \"{}\"", new.name());
                    self.set(all, "Progressing", "True", "FoundNewReplicaSet", &message);
                }
            }
        }
        let settled = int(&status["replicas"]) == int(&status["updatedReplicas"])
            && reason(all).as_deref() == Some("NewReplicaSetAvailable");
        if progress && !settled {
            self.rollout(status, new, deadline, all);
        }
    }

    /// Complete, on its way, or stuck.
    fn rollout(&self, status: &Value, new: Option<&Set>, deadline: i64, all: &mut Value) {
        let subject = match new {
            Some(set) => format!("ReplicaSet \"{}\"", set.name()),
            None => format!("Deployment \"{}\"", meta::name(self.deployment)),
        };
        if is_complete(self.deployment, status) {
            let message = format!("{subject} has successfully progressed.");
            self.set(all, "Progressing", "True", "NewReplicaSetAvailable", &message);
        } else if self.has_progressed(status) {
            // Each step counts as news: the deadline starts again.
            let mut condition = self.condition(
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                &format!("{subject} is progressing."),
            );
            if let Some(before) =
                conditions::find(all, "Progressing").filter(|before| before["status"] == "True")
            {
                condition["lastTransitionTime"] = before["lastTransitionTime"].clone();
            }
            conditions::remove(all, "Progressing");
            conditions::set(all, condition);
        } else if self.has_timed_out(all, deadline) {
            let message = format!("{subject} has timed out progressing.");
            self.set(all, "Progressing", "False", "ProgressDeadlineExceeded", &message);
        }
    }

    fn has_progressed(&self, status: &Value) -> bool {
        let before = &self.deployment["status"];
        let of = |status: &Value, field: &str| int(&status[field]);
        let old = |status: &Value| of(status, "replicas") - of(status, "updatedReplicas");
        old(status) < old(before)
            || ["updatedReplicas", "readyReplicas", "availableReplicas"]
                .iter()
                .any(|field| of(status, field) > of(before, field))
    }

    fn has_timed_out(&self, all: &Value, deadline: i64) -> bool {
        let Some(condition) = conditions::find(all, "Progressing") else { return false };
        match condition["reason"].as_str() {
            Some("NewReplicaSetAvailable") => return false,
            Some("ProgressDeadlineExceeded") => return true,
            _ => {}
        }
        let since = condition["lastUpdateTime"].as_str().and_then(|text| time::parse(text).ok());
        since.is_some_and(|since| since.as_second() + deadline < self.now.as_second())
    }

    /// What keeps the new set (or any) from making pods.
    fn replica_failure(&self, new: &Option<Set>, old: &[Set], progress: bool, all: &mut Value) {
        if !progress {
            return;
        }
        let failure =
            |set: &Set| conditions::find(&set.object["status"]["conditions"], "ReplicaFailure").cloned();
        match new.iter().chain(old).find_map(failure) {
            Some(failure) => {
                let text = |field: &str| failure[field].as_str().unwrap_or("").to_owned();
                self.set(all, "ReplicaFailure", &text("status"), &text("reason"), &text("message"));
            }
            None => conditions::remove(all, "ReplicaFailure"),
        }
    }

    /// A set of the same name that is not ours: hash again, differently.
    fn collisions(&self, cache: &Cache) -> Option<i64> {
        let known = self.deployment["status"]["collisionCount"].as_i64();
        let taken = self.failure.is_some_and(ApiError::is_already_exists)
            && self
                .made
                .and_then(|made| cache.get(&REPLICA_SETS, meta::namespace(self.deployment), made))
                .is_some_and(|set| {
                    let ours = meta::controller_of(&set)
                        .is_some_and(|owner| owner["uid"] == self.deployment["metadata"]["uid"]);
                    !ours
                        || !sets::same_template(
                            &set["spec"]["template"],
                            &self.deployment["spec"]["template"],
                        )
                });
        if taken { Some(known.unwrap_or(0) + 1) } else { known }
    }

    fn condition(&self, kind: &str, status: &str, reason: &str, message: &str) -> Value {
        let now = time::format(self.now);
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": now, "lastUpdateTime": now})
    }

    /// The same status for the same reason is no news.
    fn set(&self, all: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
        let same = |known: &&Value| known["status"] == status && known["reason"] == reason;
        if conditions::find(all, kind).filter(same).is_some() {
            return;
        }
        let mut condition = self.condition(kind, status, reason, message);
        if let Some(known) = conditions::find(all, kind).filter(|known| known["status"] == status) {
            condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
        }
        conditions::remove(all, kind);
        conditions::set(all, condition);
    }
}
