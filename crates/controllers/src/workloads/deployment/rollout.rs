//! Decides the sizes of a deployment's replica sets.

use super::sets::{self, Set};
use super::{is_deleting, is_paused, status};
use crate::common::{owners, pods};
use crate::plan::{Action, Event, Plan};
use crate::resources::{PODS, REPLICA_SETS};
use client::Cache;
use jiff::Timestamp;
use object::{LabelSelector, meta};
use serde_json::Value;

/// The deployment's sets while their sizes are decided.
struct Rollout<'a> {
    cache: &'a Cache,
    deployment: &'a Value,
    new: Option<Set>,
    /// The new set does not exist yet.
    made: bool,
    old: Vec<Set>,
    cleanup: bool,
}

pub(super) fn plan(cache: &Cache, deployment: &Value, selector: &LabelSelector, now: Timestamp) -> Plan {
    let claimed = owners::claim(cache, &REPLICA_SETS, deployment, selector);
    let mut plan = Plan::of(claimed.actions);
    let (new, old) = sets::split(deployment, claimed.objects.into_iter().map(Set::of).collect());
    let mut rollout = Rollout { cache, deployment, new, made: false, old, cleanup: false };
    let mut progress = false;
    if !is_deleting(deployment) {
        progress = rollout.decide();
        rollout.actions(&mut plan);
    }
    let made = rollout.made.then(|| rollout.new.as_ref().map_or(String::new(), |set| set.name().to_owned()));
    plan.requeue_after = status::deadline_in(deployment, now);
    plan.finish = Some(status::finish(deployment, made, progress, now));
    plan
}

impl Rollout<'_> {
    /// Answers whether this is a rollout (whose progress is told), not just a scaling.
    fn decide(&mut self) -> bool {
        if is_paused(self.deployment) || self.is_scaling() {
            self.scale();
            self.cleanup = is_paused(self.deployment);
            return false;
        }
        if sets::is_rolling(self.deployment) {
            self.roll()
        } else {
            self.recreate()
        }
        true
    }

    fn all(&self) -> impl Iterator<Item = &Set> {
        self.old.iter().chain(&self.new)
    }

    fn total(&self) -> i64 {
        self.all().map(|set| set.replicas).sum()
    }

    fn wanted(&self) -> i64 {
        sets::replicas(self.deployment)
    }

    /// Whether the deployment's size was changed since its sets were sized.
    fn is_scaling(&self) -> bool {
        let active = self.all().filter(|set| set.replicas > 0);
        active.filter_map(|set| set.annotated(sets::DESIRED)).any(|desired| desired != self.wanted())
    }

    fn is_complete(&self) -> bool {
        status::is_complete(self.deployment, &self.deployment["status"])
    }

    fn ensure_new(&mut self) {
        if self.new.is_none() {
            let revision = sets::next_revision(&self.old);
            self.new = Some(Set::of(sets::make(self.deployment, revision).into()));
            self.made = true;
            // A new set starts at the size it may have at once.
            let replicas = self.new_replicas();
            self.set_new(replicas);
        }
    }

    fn set_new(&mut self, replicas: i64) {
        if let Some(new) = &mut self.new {
            new.replicas = replicas;
        }
    }

    /// The size that the new set may have now.
    fn new_replicas(&self) -> i64 {
        let current = self.new.as_ref().map_or(0, |set| set.replicas);
        if !sets::is_rolling(self.deployment) {
            return self.wanted();
        }
        let room = self.wanted() + sets::max_surge(self.deployment) - self.total();
        if room <= 0 { current } else { current + room.min(self.wanted() - current) }
    }

    fn roll(&mut self) {
        self.ensure_new();
        if self.made {
            return;
        }
        let current = self.new.as_ref().map_or(0, |set| set.replicas);
        let next = if current > self.wanted() { self.wanted() } else { self.new_replicas() };
        if next != current {
            self.set_new(next);
            return;
        }
        if self.shrink_old() {
            return;
        }
        self.cleanup = self.is_complete();
    }

    /// Takes pods from the old sets, first those that are not healthy; answers whether it took any.
    fn shrink_old(&mut self) -> bool {
        let Some(new) = &self.new else { return false };
        let min_available = self.wanted() - sets::max_unavailable(self.deployment);
        let new_unavailable = new.replicas - new.status("availableReplicas");
        let mut budget = self.total() - min_available - new_unavailable;
        if budget <= 0 || self.old.iter().all(|set| set.replicas == 0) {
            return false;
        }
        let before = self.total();
        for set in &mut self.old {
            let unhealthy = set.replicas - set.status("availableReplicas");
            let take = unhealthy.clamp(0, budget.max(0));
            set.replicas -= take;
            budget -= take;
        }
        let available: i64 = self.all().map(|set| set.status("availableReplicas")).sum();
        let mut spare = available - min_available;
        for set in &mut self.old {
            let take = set.replicas.clamp(0, spare.max(0));
            set.replicas -= take;
            spare -= take;
        }
        self.total() != before
    }

    fn recreate(&mut self) {
        if self.old.iter().any(|set| set.replicas > 0) {
            self.old.iter_mut().for_each(|set| set.replicas = 0);
            return;
        }
        if self.old_pods_run() {
            return;
        }
        self.ensure_new();
        self.set_new(self.wanted());
        self.cleanup = self.is_complete();
    }

    fn old_pods_run(&self) -> bool {
        let unfinished = |set: &Set| {
            let theirs = self.cache.owned_by(&PODS, meta::uid(&set.object));
            theirs.iter().filter_map(|pod| pod.value()).any(|pod| !pods::is_finished(&pod))
        };
        self.old.iter().any(unfinished)
    }

    /// Only changes sizes: of the one active set, or of all in proportion.
    fn scale(&mut self) {
        let wanted = self.wanted();
        let active = self.all().filter(|set| set.replicas > 0).count();
        if active <= 1 {
            let latest = self.old.len().checked_sub(1);
            let target = match self.old.iter().position(|set| set.replicas > 0) {
                Some(index) => self.old.get_mut(index),
                None if self.new.is_some() => self.new.as_mut(),
                None => latest.and_then(|index| self.old.get_mut(index)),
            };
            if let Some(set) = target {
                set.replicas = wanted;
            }
            return;
        }
        let saturated = self.new.as_ref().is_some_and(|new| {
            new.annotated(sets::DESIRED) == Some(wanted)
                && new.replicas == wanted
                && new.status("availableReplicas") == wanted
        });
        if saturated {
            self.old.iter_mut().for_each(|set| set.replicas = 0);
        } else if sets::is_rolling(self.deployment) {
            self.scale_in_proportion();
        }
    }

    fn scale_in_proportion(&mut self) {
        let allowed = if self.wanted() > 0 { self.wanted() + sets::max_surge(self.deployment) } else { 0 };
        let to_add = allowed - self.total();
        let deployment = self.deployment;
        let mut active: Vec<&mut Set> =
            self.old.iter_mut().chain(&mut self.new).filter(|set| set.replicas > 0).collect();
        // The largest first; of equals the newer gains first and the older loses first.
        active.sort_by(|a, b| {
            let age = Set::by_age(a, b);
            b.replicas.cmp(&a.replicas).then(if to_add > 0 { age.reverse() } else { age })
        });
        let mut added = 0;
        for set in &mut active {
            let part = proportion(set, deployment, to_add, added);
            set.replicas += part;
            added += part;
        }
        if let Some(first) = active.first_mut() {
            first.replicas = (first.replicas + to_add - added).max(0);
        }
    }

    /// What makes it so.
    fn actions(&self, plan: &mut Plan) {
        let revision = sets::next_revision(&self.old);
        if let Some(new) = &self.new {
            if self.made {
                plan.push(self.create(new));
            } else {
                plan.actions.extend(self.resize(new, Some(revision)));
            }
        }
        for set in &self.old {
            plan.actions.extend(self.resize(set, None));
        }
        if self.cleanup {
            plan.actions.extend(self.outdated());
        }
    }

    fn create(&self, new: &Set) -> Action {
        let mut object = (*new.object).clone();
        object["spec"]["replicas"] = new.replicas.into();
        let name = meta::name(&object).to_owned();
        let failed = format!("Failed to create new replica set \"{name}\": {{error}}");
        let mut action = Action::create(&REPLICA_SETS, object).told_failure(Event::warning(
            self.deployment,
            "ReplicaSetCreateError",
            failed,
        ));
        if new.replicas > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {}", new.replicas);
            action = action.told(Event::normal(self.deployment, "ScalingReplicaSet", message));
        }
        action
    }

    /// Writes a set that differs from what it should be; the new one also gets annotations and its revision.
    fn resize(&self, set: &Set, revision: Option<i64>) -> Option<Action> {
        let before = Set::of(set.object.clone()).replicas;
        let mut object = (*set.object).clone();
        if let Some(revision) = revision {
            sets::annotate(self.deployment, &mut object, revision);
            let min_ready = self.deployment["spec"].get("minReadySeconds").filter(|seconds| **seconds != 0);
            match min_ready {
                Some(seconds) => object["spec"]["minReadySeconds"] = seconds.clone(),
                None => drop(meta::child_mut(&mut object, "spec").remove("minReadySeconds")),
            }
        }
        let resized = before != set.replicas;
        if resized || set.replicas > 0 {
            object["spec"]["replicas"] = set.replicas.into();
            sets::annotate_sizes(self.deployment, &mut object);
        }
        if object == *set.object {
            return None;
        }
        let action = Action::update(&REPLICA_SETS, object);
        if !resized {
            return Some(action);
        }
        let direction = if before < set.replicas { "up" } else { "down" };
        let message =
            format!("Scaled {direction} replica set {} from {before} to {}", set.name(), set.replicas);
        Some(action.told(Event::normal(self.deployment, "ScalingReplicaSet", message)))
    }

    /// Deletes the oldest revisions past the history limit.
    fn outdated(&self) -> Vec<Action> {
        let Some(limit) = self.deployment["spec"]["revisionHistoryLimit"].as_i64() else { return vec![] };
        let mut alive: Vec<_> =
            self.old.iter().filter(|set| meta::deletion_timestamp(&set.object).is_none()).collect();
        alive.sort_by_key(|set| set.revision());
        let surplus = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        let unused = |set: &&&Set| {
            let seen = meta::generation(&set.object) <= set.status("observedGeneration");
            set.status("replicas") == 0 && set.replicas == 0 && seen
        };
        alive
            .iter()
            .take(surplus)
            .filter(unused)
            .map(|set| Action::delete(&REPLICA_SETS, &set.object))
            .collect()
    }
}

/// The part of `to_add` that falls to one set.
fn proportion(set: &Set, deployment: &Value, to_add: i64, added: i64) -> i64 {
    if set.replicas == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let fraction = if sets::replicas(deployment) == 0 {
        -set.replicas
    } else {
        let max = sets::replicas(deployment) + sets::max_surge(deployment);
        let before = set.annotated(sets::MAX).filter(|max| *max > 0);
        let before = before.unwrap_or_else(|| deployment["status"]["replicas"].as_i64().unwrap_or(0)).max(1);
        ((set.replicas * max) as f64 / before as f64).round() as i64 - set.replicas
    };
    let room = to_add - added;
    if to_add > 0 { fraction.min(room) } else { fraction.max(room) }
}
