//! PodDisruptionBudgets: how many pods may be disturbed now.

use super::stale_disruption::{self, OF_POD};
use crate::common::{conditions, owners, pods, words};
use crate::driver::Shell;
use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{
    DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS,
};
use crate::workloads::{int, scaled};
use client::discovery::{Discovery, discover};
use client::{Cache, Change};
use futures::future::BoxFuture;
use jiff::Timestamp;
use object::{ApiError, GroupVersion, GroupVersionResource, LabelSelector, meta, time};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an eviction is expected to take, seconds; after that the pod counts as not disturbed.
pub(super) const EVICTION_SECONDS: i64 = 120;

pub(crate) struct DisruptionController;

impl Controller for DisruptionController {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn component(&self) -> &'static str {
        "controllermanager"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![
            &POD_DISRUPTION_BUDGETS,
            &PODS,
            &REPLICA_SETS,
            &REPLICATION_CONTROLLERS,
            &DEPLOYMENTS,
            &STATEFUL_SETS,
        ]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&POD_DISRUPTION_BUDGETS) {
            return add(Key::new(&entry.namespace, &entry.name));
        }
        if change.is(&PODS) && change.new.as_ref().is_some_and(|pod| stale_disruption::is_told(pod)) {
            add(Key::new(&entry.namespace, &format!("{OF_POD}{}", entry.name)));
        }
        for budget in cache.list(&POD_DISRUPTION_BUDGETS, &entry.namespace) {
            let Some(value) = budget.value() else { continue };
            let selector = selector(&value);
            // Of controllers only the size matters, to budgets of their namespace: there are few.
            if !change.is(&PODS) || change.both().any(|pod| owners::matches(&selector, pod)) {
                add(Key::new(&budget.namespace, &budget.name));
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(budget) = cache.get(&POD_DISRUPTION_BUDGETS, &key.namespace, &key.name) else {
            return Plan::nothing();
        };
        let selector = selector(&budget);
        let selected = cache.select(&PODS, &key.namespace, &selector);
        let pods: Vec<_> = selected.iter().filter_map(|pod| pod.value()).collect();
        self.plan_with(&budget, &pods, &Foreign::new(), cache, now)
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan, ApiError>> {
        Box::pin(async move {
            let cache = &shell.cache;
            if let Some(name) = key.name.strip_prefix(OF_POD) {
                let pod = cache.get(&PODS, &key.namespace, name);
                return Ok(pod.map_or_else(Plan::nothing, |pod| stale_disruption::plan(&pod, shell.now())));
            }
            let Some(budget) = cache.get(&POD_DISRUPTION_BUDGETS, &key.namespace, &key.name) else {
                return Ok(Plan::nothing());
            };
            let selected = cache.select(&PODS, &key.namespace, &selector(&budget));
            let pods: Vec<_> = selected.iter().filter_map(|pod| pod.value()).collect();
            let foreign = foreign(shell, &pods).await;
            Ok(self.plan_with(&budget, &pods, &foreign, cache, shell.now()))
        })
    }
}

impl DisruptionController {
    fn plan_with(
        &self,
        budget: &Value,
        pods: &[Arc<Value>],
        foreign: &Foreign,
        cache: &Cache,
        now: Timestamp,
    ) -> Plan {
        let mut plan = Plan::nothing();
        if pods.is_empty() {
            let event = Event::normal(budget, "NoPods", "No matching pods found");
            plan.push(Action::event(event));
        }
        let status = match expected(cache, budget, pods, foreign) {
            Ok((expected, desired)) => {
                if counts_controllers(budget) && pods.iter().any(|pod| meta::controller_of(pod).is_none()) {
                    plan.push(Action::event(unmanaged(budget)));
                }
                let (disrupted, wait) = disrupted(budget, pods, now);
                plan.requeue_after = wait;
                status(budget, pods, disrupted, expected, desired, now)
            }
            Err(error) => {
                let message = format!("Failed to calculate the number of expected pods: {error}");
                plan.push(Action::event(Event::warning(budget, "CalculateExpectedPodCountFailed", message)));
                failed(budget, &error, now)
            }
        };
        if status != budget["status"] {
            let mut next = budget.clone();
            next["status"] = status;
            plan.push(Action::update_status(&POD_DISRUPTION_BUDGETS, next));
        }
        plan
    }
}

fn selector(budget: &Value) -> LabelSelector {
    LabelSelector::from_object(&budget["spec"]["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
}

/// What is known of the controllers of other kinds, by uid: their size, or why it cannot be had.
type Foreign = BTreeMap<String, Result<Option<i64>, String>>;

/// Asks for the sizes of controllers that are not kept here: of custom kinds, by their scale.
async fn foreign(shell: &Shell, pods: &[Arc<Value>]) -> Foreign {
    let mut all = Foreign::new();
    let mut found = None;
    for pod in pods {
        let Some(owner) = meta::controller_of(pod).filter(|owner| kept(owner).is_none()) else { continue };
        let uid = owner["uid"].as_str().unwrap_or("");
        if all.contains_key(uid) {
            continue;
        }
        if found.is_none() {
            found = Some(discover(&shell.client).await.map_err(|error| error.message()));
        }
        let size = match &found {
            Some(Ok(found)) => scale_of(shell, found, meta::namespace(pod), owner).await,
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        };
        all.insert(uid.to_owned(), size);
    }
    all
}

async fn scale_of(
    shell: &Shell,
    found: &Discovery,
    namespace: &str,
    owner: &Value,
) -> Result<Option<i64>, String> {
    let text = |field: &str| owner[field].as_str().unwrap_or("");
    let (version, kind) = (text("apiVersion"), text("kind"));
    let group =
        GroupVersion::parse(version).ok_or_else(|| format!("unexpected GroupVersion string: {version}"))?;
    let mut all = found.resources.iter();
    let of_kind =
        all.find(|r| r.kind == kind && r.gvr.group == group.group && r.gvr.version == group.version);
    let Some(gvr) = of_kind.map(|resource| &resource.gvr) else {
        return Err(format!("no matches for kind \"{kind}\" in version \"{version}\""));
    };
    let root = if gvr.group.is_empty() { "/api/".to_owned() } else { format!("/apis/{}/", gvr.group) };
    let path =
        format!("{root}{}/namespaces/{namespace}/{}/{}/scale", gvr.version, gvr.resource, text("name"));
    let answer = match shell.client.raw(&path, "application/json").await {
        Ok(answer) => answer,
        Err(ApiError::NotFound { .. }) => return Ok(None),
        Err(error) if error.code() == 404 => {
            let suffix = if gvr.group.is_empty() { String::new() } else { format!(".{}", gvr.group) };
            return Err(format!("{}{suffix} does not implement the scale subresource", gvr.resource));
        }
        Err(error) => return Err(error.message()),
    };
    let scale: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    Ok((scale["metadata"]["uid"] == owner["uid"]).then(|| int(&scale["spec"]["replicas"])))
}

/// Whether the sizes of the pods' controllers matter to a budget.
fn counts_controllers(budget: &Value) -> bool {
    let spec = &budget["spec"];
    !spec["maxUnavailable"].is_null() || spec["minAvailable"].is_string()
}

fn unmanaged(budget: &Value) -> Event {
    let selector = words::selector(&budget["spec"]["selector"]);
    let message = format!(
        "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of \
         the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \
         \".spec.minAvailable\" field of the PDB to an integer value."
    );
    Event::warning(budget, "UnmanagedPods", message)
}

/// How many pods there should be, and how many must be healthy.
fn expected(
    cache: &Cache,
    budget: &Value,
    pods: &[Arc<Value>],
    foreign: &Foreign,
) -> Result<(i64, i64), String> {
    let spec = &budget["spec"];
    if let Some(most) = spec.get("maxUnavailable").filter(|value| !value.is_null()) {
        let expected = scale(cache, pods, foreign)?;
        return Ok((expected, (expected - scaled(most, expected, true)).max(0)));
    }
    match spec.get("minAvailable").filter(|value| !value.is_null()) {
        Some(Value::Number(least)) => Ok((pods.len() as i64, least.as_i64().unwrap_or(0))),
        Some(least) => {
            let expected = scale(cache, pods, foreign)?;
            Ok((expected, scaled(least, expected, true)))
        }
        None => Ok((0, 0)),
    }
}

/// The sizes of all controllers of the pods; pods without one are passed over.
fn scale(cache: &Cache, pods: &[Arc<Value>], foreign: &Foreign) -> Result<i64, String> {
    let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
    for pod in pods {
        let Some(owner) = meta::controller_of(pod) else { continue };
        let uid = owner["uid"].as_str().unwrap_or("").to_owned();
        if sizes.contains_key(&uid) {
            continue;
        }
        let found = match foreign.get(&uid) {
            Some(known) => known.clone()?.map(|size| (uid, size)),
            None => size_of(cache, meta::namespace(pod), owner),
        };
        let (uid, size) =
            found.ok_or_else(|| format!("found no controllers for pod {:?}", meta::name(pod)))?;
        sizes.insert(uid, size);
    }
    Ok(sizes.values().sum())
}

/// Where an owner's copy is, if copies of its kind are kept.
fn kept(owner: &Value) -> Option<&'static GroupVersionResource> {
    let group =
        owner["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(g, _)| g);
    match (group, owner["kind"].as_str()?) {
        ("apps", "ReplicaSet") => Some(&REPLICA_SETS),
        ("", "ReplicationController") => Some(&REPLICATION_CONTROLLERS),
        ("apps", "StatefulSet") => Some(&STATEFUL_SETS),
        ("apps", "Deployment") => Some(&DEPLOYMENTS),
        _ => None,
    }
}

fn size_of(cache: &Cache, namespace: &str, owner: &Value) -> Option<(String, i64)> {
    let found = cache.get(kept(owner)?, namespace, owner["name"].as_str()?)?;
    if found["metadata"]["uid"] != owner["uid"] {
        return None;
    }
    // All sets of a deployment count as it.
    if let Some(above) = meta::controller_of(&found).filter(|above| above["kind"] == "Deployment") {
        return size_of(cache, namespace, above);
    }
    Some((meta::uid(&found).to_owned(), int(&found["spec"]["replicas"])))
}

/// Pods whose eviction was allowed and that are still there, and when to look again.
fn disrupted(budget: &Value, pods: &[Arc<Value>], now: Timestamp) -> (Map<String, Value>, Option<Duration>) {
    let mut still = Map::new();
    let mut wait: Option<i64> = None;
    for (name, at) in budget["status"]["disruptedPods"].as_object().into_iter().flatten() {
        let there = pods.iter().any(|pod| meta::name(pod) == name && meta::deletion_timestamp(pod).is_none());
        let Some(since) = at.as_str().and_then(|text| time::parse(text).ok()).filter(|_| there) else {
            continue;
        };
        let left = since.as_second() + EVICTION_SECONDS - now.as_second();
        if left > 0 {
            still.insert(name.clone(), at.clone());
            wait = Some(wait.map_or(left, |known| known.min(left)));
        }
    }
    (still, wait.map(|seconds| Duration::from_secs(seconds.unsigned_abs())))
}

fn status(
    budget: &Value,
    pods: &[Arc<Value>],
    disrupted: Map<String, Value>,
    expected: i64,
    desired: i64,
    now: Timestamp,
) -> Value {
    let healthy = pods.iter().filter(|pod| {
        pods::is_ready(pod)
            && meta::deletion_timestamp(pod).is_none()
            && !disrupted.contains_key(meta::name(pod))
    });
    let healthy = healthy.count() as i64;
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let (reason, message) = if allowed > 0 { ("SufficientPods", "") } else { ("InsufficientPods", "") };
    let mut status = json!({"currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected,
        "disruptionsAllowed": allowed, "observedGeneration": meta::generation(budget)});
    if !disrupted.is_empty() {
        status["disruptedPods"] = disrupted.into();
    }
    status["conditions"] = allowed_condition(budget, allowed > 0, reason, message, now);
    status
}

fn allowed_condition(budget: &Value, allowed: bool, reason: &str, message: &str, now: Timestamp) -> Value {
    let mut condition = conditions::new("DisruptionAllowed", allowed, reason, message, now);
    condition["observedGeneration"] = meta::generation(budget).into();
    if reason == "SyncFailed" {
        // What was last computed, if anything was.
        condition["observedGeneration"] = budget["status"]["observedGeneration"].clone();
    }
    if let Some(map) = condition.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    let mut all = budget["status"]["conditions"].clone();
    conditions::set(&mut all, condition);
    all
}

/// Fails safe: what cannot be computed allows nothing.
fn failed(budget: &Value, error: &str, now: Timestamp) -> Value {
    let mut status = budget["status"].clone();
    for field in ["currentHealthy", "desiredHealthy", "expectedPods"] {
        if status[field].is_null() {
            status[field] = 0.into();
        }
    }
    status["disruptionsAllowed"] = 0.into();
    status["conditions"] = allowed_condition(budget, false, "SyncFailed", error, now);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::snapshot;
    use crate::plan::Verb;

    fn budget(spec: Value) -> Value {
        let mut budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "b", "namespace": "a", "generation": 1}, "spec": spec});
        budget["spec"]["selector"] = json!({"matchLabels": {"app": "x"}});
        budget
    }

    fn pod(name: &str, ready: bool) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a", "labels": {"app": "x"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "uid-r", "controller": true}]},
            "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    fn set(replicas: i64) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "namespace": "a"}, "spec": {"replicas": replicas}})
    }

    fn plan(objects: Vec<Value>, second: i64) -> (Value, Option<Duration>) {
        let plan = DisruptionController.plan(
            &snapshot(objects),
            &Key::new("a", "b"),
            Timestamp::from_second(second).unwrap(),
        );
        let Some(Verb::Update(object, "status")) = plan.actions.last().map(|a| a.verb.clone()) else {
            panic!()
        };
        (object["status"].clone(), plan.requeue_after)
    }

    #[test]
    fn what_is_over_the_minimum_may_be_disturbed() {
        let allowed = |spec: Value, ready: usize| {
            let pods = (0..4).map(|i| pod(&format!("p{i}"), i < ready));
            let (status, _) = plan(pods.chain([budget(spec), set(4)]).collect(), 1);
            (int(&status["desiredHealthy"]), int(&status["disruptionsAllowed"]))
        };
        assert_eq!(allowed(json!({"minAvailable": 3}), 4), (3, 1));
        assert_eq!(allowed(json!({"minAvailable": "50%"}), 4), (2, 2));
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 3), (3, 0));
        assert_eq!(allowed(json!({"maxUnavailable": "30%"}), 4), (2, 2));
    }

    #[test]
    fn a_pod_under_eviction_is_not_counted_for_two_minutes() {
        let mut evicting = budget(json!({"minAvailable": 1}));
        evicting["status"]["disruptedPods"] =
            json!({"p": "1970-01-01T00:00:00Z", "gone": "1970-01-01T00:00:00Z"});
        let (status, wait) = plan(vec![evicting.clone(), pod("p", true), set(1)], 20);
        assert_eq!((int(&status["currentHealthy"]), wait), (0, Some(Duration::from_secs(100))));
        assert_eq!(status["disruptedPods"], json!({"p": "1970-01-01T00:00:00Z"}));
        let (status, _) = plan(vec![evicting, pod("p", true), set(1)], 200);
        assert_eq!(int(&status["currentHealthy"]), 1);
    }

    #[test]
    fn what_cannot_be_computed_allows_nothing() {
        let (status, _) = plan(vec![budget(json!({"maxUnavailable": 1})), pod("p", true)], 1);
        assert_eq!(status["conditions"][0]["reason"], "SyncFailed");
        assert_eq!(status["disruptionsAllowed"], 0);
    }
}
