//! ReplicaSets and ReplicationControllers: as many pods of a template as are wanted.

use super::int;
use crate::common::{conditions, owners, pods};
use crate::plan::{Action, Controller, Event, Finish, Key, Plan, TOGETHER, goes_on};
use crate::resources::{PODS, REPLICA_SETS, REPLICATION_CONTROLLERS};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{ApiError, GroupVersionResource, LabelSelector, meta};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The most pods made or deleted in one round.
const BURST: usize = 500;

/// What differs between the two kinds.
pub(crate) struct ReplicaSetController {
    gvr: &'static GroupVersionResource,
    kind: &'static str,
    name: &'static str,
    component: &'static str,
}

impl ReplicaSetController {
    pub(crate) fn replica_sets() -> Self {
        Self {
            gvr: &REPLICA_SETS,
            kind: "ReplicaSet",
            name: "replicaset-controller",
            component: "replicaset-controller",
        }
    }

    pub(crate) fn replication_controllers() -> Self {
        Self {
            gvr: &REPLICATION_CONTROLLERS,
            kind: "ReplicationController",
            name: "replicationcontroller-controller",
            component: "replication-controller",
        }
    }

    fn selector(&self, set: &Value) -> LabelSelector {
        if self.kind == "ReplicaSet" {
            LabelSelector::from_object(&set["spec"]["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
        } else if set["spec"]["selector"].as_object().is_some_and(|map| !map.is_empty()) {
            LabelSelector::from_map(&set["spec"]["selector"])
        } else {
            LabelSelector::nothing()
        }
    }
}

impl Controller for ReplicaSetController {
    fn name(&self) -> &'static str {
        self.name
    }

    fn component(&self) -> &'static str {
        self.component
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![self.gvr, &PODS]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(self.gvr) {
            let entry = change.entry();
            return add(Key::new(&entry.namespace, &entry.name));
        }
        for pod in change.both() {
            if let Some(owner) = owners::controller_named(pod, self.kind) {
                add(Key::new(&pod.namespace, owner));
            }
        }
        if let Some(orphan) = change.new.as_ref().filter(|pod| pod.controller().is_none() && !pod.deleting) {
            for set in cache.list(self.gvr, &orphan.namespace) {
                let wants = set.value().is_some_and(|value| owners::matches(&self.selector(&value), orphan));
                if wants {
                    add(Key::new(&set.namespace, &set.name));
                }
            }
        }
    }

    fn patience(&self, change: &Change) -> Duration {
        // Pods that go have to be replaced at once.
        if change.is(&PODS) && goes_on(change) { TOGETHER } else { Duration::ZERO }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(set) = cache.get(self.gvr, &key.namespace, &key.name) else { return Plan::nothing() };
        let claimed = owners::claim(cache, &PODS, &set, &self.selector(&set));
        let mut plan = Plan::of(claimed.actions);
        let active: Vec<_> = claimed.objects.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
        if meta::deletion_timestamp(&set).is_none() {
            plan.actions.extend(self.manage(cache, &set, &active, now));
        }
        let min_ready = int(&set["spec"]["minReadySeconds"]);
        let waits = active
            .iter()
            .filter_map(|pod| pods::available_in(pod, min_ready, now))
            .filter(|wait| *wait > 0)
            .min();
        plan.requeue_after = waits.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        plan.finish = Some(self.finish(key.clone(), now));
        plan
    }
}

impl ReplicaSetController {
    /// Creates what is missing or deletes what is too much.
    fn manage(&self, cache: &Cache, set: &Value, active: &[Arc<Value>], now: Timestamp) -> Vec<Action> {
        let wanted = usize::try_from(int(&set["spec"]["replicas"])).unwrap_or(0);
        if active.len() < wanted {
            let create = || {
                Action::create(&PODS, pods::from_template(&set["spec"]["template"], set))
                    .told(Event::normal(set, "SuccessfulCreate", "Created pod: {name}"))
                    .told_failure(Event::warning(set, "FailedCreate", "Error creating: {error}"))
            };
            return std::iter::repeat_with(create).take((wanted - active.len()).min(BURST)).collect();
        }
        let surplus = (active.len() - wanted).min(BURST);
        self.victims(cache, set, active, surplus, now)
            .into_iter()
            .map(|pod| {
                Action::delete(&PODS, &pod)
                    .told(Event::normal(set, "SuccessfulDelete", "Deleted pod: {name}"))
                    .told_failure(Event::warning(set, "FailedDelete", "Error deleting: {error}"))
            })
            .collect()
    }

    fn victims(
        &self,
        cache: &Cache,
        set: &Value,
        active: &[Arc<Value>],
        count: usize,
        now: Timestamp,
    ) -> Vec<Arc<Value>> {
        if count == 0 {
            return vec![];
        }
        let crowd = self.crowd(cache, set, active);
        let rank =
            |pod: &Value| crowd.get(pod["spec"]["nodeName"].as_str().unwrap_or("")).copied().unwrap_or(0);
        let mut ranked: Vec<_> = active.iter().map(|pod| (rank(pod), pod)).collect();
        ranked.sort_by(|a, b| pods::goes_first(&(a.0, a.1), &(b.0, b.1), now));
        ranked.into_iter().take(count).map(|(_, pod)| pod.clone()).collect()
    }

    /// How many active pods of this set and its siblings (of the same deployment) each node has.
    fn crowd(&self, cache: &Cache, set: &Value, active: &[Arc<Value>]) -> HashMap<String, i64> {
        let mut related: Vec<Arc<Value>> = active.to_vec();
        if let Some(owner) = meta::controller_of(set).and_then(|owner| owner["uid"].as_str()) {
            for sibling in
                cache.owned_by(self.gvr, owner).iter().filter(|other| &*other.uid != meta::uid(set))
            {
                let theirs = cache.owned_by(&PODS, &sibling.uid);
                related
                    .extend(theirs.iter().filter_map(|pod| pod.value()).filter(|pod| pods::is_active(pod)));
            }
        }
        let mut crowd = HashMap::new();
        for pod in related {
            *crowd.entry(pod["spec"]["nodeName"].as_str().unwrap_or("").to_owned()).or_insert(0) += 1;
        }
        crowd
    }

    /// Writes the status, once the pods are made or deleted.
    fn finish(&self, key: Key, now: Timestamp) -> Finish {
        let (gvr, kind) = (self.gvr, self.kind);
        let this = Self { gvr, kind, name: self.name, component: self.component };
        Box::new(move |cache, failure| {
            let Some(set) = cache.get(gvr, &key.namespace, &key.name) else { return vec![] };
            let selector = this.selector(&set);
            let owned: Vec<_> = cache
                .owned_by(&PODS, meta::uid(&set))
                .iter()
                .filter(|pod| owners::matches(&selector, pod))
                .filter_map(|pod| pod.value())
                .collect();
            let status = this.status(&set, &owned, failure, now);
            if status == set["status"] {
                return vec![];
            }
            let mut next = (*set).clone();
            next["status"] = status;
            vec![Action::update_status(gvr, next)]
        })
    }

    fn status(&self, set: &Value, owned: &[Arc<Value>], failure: Option<&ApiError>, now: Timestamp) -> Value {
        let min_ready = int(&set["spec"]["minReadySeconds"]);
        let template = LabelSelector::from_map(&set["spec"]["template"]["metadata"]["labels"]);
        let active: Vec<_> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
        let count = |test: &dyn Fn(&Value) -> bool| active.iter().filter(|pod| test(pod)).count();
        let mut status = Map::new();
        status.insert("replicas".into(), active.len().into());
        for (field, number) in [
            ("fullyLabeledReplicas", count(&|pod| template.matches_object(pod))),
            ("readyReplicas", count(&pods::is_ready)),
            ("availableReplicas", count(&|pod| pods::is_available(pod, min_ready, now))),
        ] {
            if number > 0 {
                status.insert(field.into(), number.into());
            }
        }
        if self.kind == "ReplicaSet" {
            let going =
                owned.iter().filter(|pod| !pods::is_finished(pod) && meta::deletion_timestamp(pod).is_some());
            status.insert("terminatingReplicas".into(), going.count().into());
        }
        status.insert("observedGeneration".into(), meta::generation(set).into());
        let conditions = self.conditions(set, active.len(), failure, now);
        if conditions.as_array().is_some_and(|list| !list.is_empty()) {
            status.insert("conditions".into(), conditions);
        }
        status.into()
    }

    fn conditions(&self, set: &Value, active: usize, failure: Option<&ApiError>, now: Timestamp) -> Value {
        let mut all = set["status"]["conditions"].clone();
        let Some(error) = failure else {
            conditions::remove(&mut all, "ReplicaFailure");
            return all;
        };
        let missing = (active as i64) < int(&set["spec"]["replicas"]);
        let reason = if missing { "FailedCreate" } else { "FailedDelete" };
        if conditions::find(&all, "ReplicaFailure").is_none() {
            conditions::set(&mut all, conditions::new("ReplicaFailure", true, reason, &error.message(), now));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};
    use serde_json::json;

    fn set(replicas: i64) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "r", "namespace": "a", "uid": "u", "generation": 2},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "x"}},
                "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}}},
            "status": {"replicas": 0}})
    }

    fn pod(name: &str, ready: bool, owned: bool) -> Value {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "a", "labels": {"app": "x"}}, "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": "1970-01-01T00:00:00Z"}]}});
        if owned {
            pod["metadata"]["ownerReferences"] = json!([meta::controller_reference(&set(0))]);
        }
        pod
    }

    fn plan(objects: Vec<Value>) -> Vec<String> {
        let cache = snapshot(objects);
        let now = Timestamp::from_second(100).unwrap();
        shown(ReplicaSetController::replica_sets().plan(&cache, &Key::new("a", "r"), now), &cache)
    }

    #[test]
    fn missing_pods_are_created() {
        let made = plan(vec![set(2), pod("p", true, true)]);
        assert_eq!(made[0], "create pods a/r-");
        assert_eq!(
            made[1],
            "update replicasets r/status {\"availableReplicas\":1,\"fullyLabeledReplicas\":1,\"observedGeneration\":2,\
             \"readyReplicas\":1,\"replicas\":1,\"terminatingReplicas\":0}"
        );
    }

    #[test]
    fn what_is_not_ready_goes_first() {
        let made = plan(vec![set(1), pod("p1", true, true), pod("p2", false, true)]);
        assert_eq!(made[0], "delete pods p2");
    }

    #[test]
    fn orphans_are_adopted_and_others_released() {
        let mut stray = pod("stray", true, true);
        stray["metadata"]["labels"]["app"] = "y".into();
        let made = plan(vec![set(1), pod("orphan", true, false), stray]);
        assert!(made[1].starts_with("patch pods orphan Merge"), "{made:?}");
        assert!(made[0].starts_with("patch pods stray Strategic"), "{made:?}");
        assert_eq!(made.len(), 3);
    }

    #[test]
    fn a_refusal_is_told_by_a_condition() {
        let cache = snapshot(vec![set(1)]);
        let plan =
            ReplicaSetController::replica_sets().plan(&cache, &Key::new("a", "r"), Timestamp::UNIX_EPOCH);
        let refused = ApiError::ForbiddenMessage("pods is forbidden: exceeded quota".into());
        let last = plan.finish.unwrap()(&cache, Some(&refused));
        let crate::plan::Verb::Update(object, "status") = &last[0].verb else { panic!() };
        let condition = conditions::find(&object["status"]["conditions"], "ReplicaFailure").unwrap();
        assert_eq!(
            (&condition["reason"], &condition["message"]),
            (&json!("FailedCreate"), &json!(refused.message()))
        );
    }
}
