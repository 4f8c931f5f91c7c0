//! DaemonSets: one pod on every node that the template may run on.

use super::revisions::{self, HASH_LABEL};
use super::{int, nodes, scaled};
use crate::common::{owners, pods};
use crate::plan::{Action, Controller, Event, Finish, Key, Plan};
use crate::resources::{CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, LabelSelector, meta};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The most pods made or deleted in one round.
const BURST: usize = 250;
const GENERATION: &str = "deprecated.daemonset.template.generation";

pub(crate) struct DaemonSetController;

impl Controller for DaemonSetController {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&DAEMON_SETS, &PODS, &NODES, &CONTROLLER_REVISIONS]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&DAEMON_SETS) {
            let entry = change.entry();
            return add(Key::new(&entry.namespace, &entry.name));
        }
        if change.is(&NODES) {
            if nodes::matters(change) {
                cache.list(&DAEMON_SETS, "").iter().for_each(|set| add(Key::new(&set.namespace, &set.name)));
            }
            return;
        }
        for dependent in change.both() {
            if let Some(owner) = owners::controller_named(dependent, "DaemonSet") {
                add(Key::new(&dependent.namespace, owner));
            }
        }
        let orphan =
            change.new.as_ref().filter(|pod| change.is(&PODS) && pod.controller().is_none() && !pod.deleting);
        if let Some(orphan) = orphan {
            for set in cache.list(&DAEMON_SETS, &orphan.namespace) {
                if set.value().is_some_and(|value| owners::matches(&selector(&value), orphan)) {
                    add(Key::new(&set.namespace, &set.name));
                }
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(set) = cache.get(&DAEMON_SETS, &key.namespace, &key.name) else { return Plan::nothing() };
        let claimed = owners::claim(cache, &PODS, &set, &selector(&set));
        let mut plan = Plan::of(claimed.actions);
        let all = revisions::of(cache, &set);
        let (newest, action) = revisions::ensure(&set, &all, HASH_LABEL);
        plan.actions.extend(action);
        let hash = meta::label(&newest, HASH_LABEL).unwrap_or("").to_owned();
        let state = State {
            set: &set,
            hash: &hash,
            by_node: by_node(claimed.objects),
            nodes: cache.values(&NODES, ""),
            now,
        };
        if meta::deletion_timestamp(&set).is_none() {
            let (missing, surplus) = state.manage(&mut plan.actions);
            plan.actions.extend(missing.into_iter().take(BURST).map(|node| state.create(&node)));
            let replaced = if surplus.is_empty() { state.replace() } else { Replace::default() };
            plan.actions
                .extend(surplus.iter().chain(&replaced.delete).take(BURST).map(|pod| state.delete(pod)));
            plan.actions.extend(replaced.create.iter().map(|node| state.create(node)));
        }
        let in_use = |revision: &Value| {
            let theirs = meta::label(revision, HASH_LABEL);
            theirs == Some(&*hash)
                || state.by_node.values().flatten().any(|pod| meta::label(pod, HASH_LABEL) == theirs)
        };
        plan.actions.extend(revisions::outdated(&set, &all, in_use));
        let min_ready = int(&set["spec"]["minReadySeconds"]);
        let pods = state.by_node.values().flatten();
        let waits =
            pods.filter_map(|pod| pods::available_in(pod, min_ready, now)).filter(|wait| *wait > 0).min();
        plan.requeue_after = waits.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        plan.finish = Some(finish(key.clone(), hash.clone(), now));
        plan
    }
}

fn selector(set: &Value) -> LabelSelector {
    LabelSelector::from_object(&set["spec"]["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
}

/// The node that a pod is on, or made for.
fn node_of(pod: &Value) -> Option<&str> {
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        return Some(node);
    }
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = affinity["nodeSelectorTerms"].as_array()?;
    let mut fields = terms.iter().flat_map(|term| term["matchFields"].as_array().into_iter().flatten());
    fields.find(|field| field["key"] == "metadata.name")?["values"][0].as_str()
}

fn by_node(all: Vec<Arc<Value>>) -> BTreeMap<String, Vec<Arc<Value>>> {
    let mut by_node: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for pod in all {
        if let Some(node) = node_of(&pod) {
            by_node.entry(node.to_owned()).or_default().push(pod);
        }
    }
    for pods in by_node.values_mut() {
        pods.sort_by_key(|pod| {
            (meta::creation_timestamp(pod).unwrap_or("").to_owned(), meta::name(pod).to_owned())
        });
    }
    by_node
}

#[derive(Default)]
struct Replace {
    delete: Vec<Arc<Value>>,
    create: Vec<String>,
}

struct State<'a> {
    set: &'a Value,
    /// Of the newest template.
    hash: &'a str,
    by_node: BTreeMap<String, Vec<Arc<Value>>>,
    nodes: Vec<Arc<Value>>,
    now: Timestamp,
}

impl State<'_> {
    fn pods_on(&self, node: &str) -> &[Arc<Value>] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    fn is_new(&self, pod: &Value) -> bool {
        meta::label(pod, HASH_LABEL) == Some(self.hash)
    }

    fn is_available(&self, pod: &Value) -> bool {
        pods::is_available(pod, int(&self.set["spec"]["minReadySeconds"]), self.now)
    }

    /// How many pods may be too many, how many nodes may be without: never neither.
    fn bounds(&self) -> (i64, i64) {
        let rolling = &self.set["spec"]["updateStrategy"]["rollingUpdate"];
        let wanted = self.nodes.iter().filter(|node| nodes::should_run(self.set, node).0).count() as i64;
        let surge = scaled(&rolling["maxSurge"], wanted, true);
        let unavailable =
            rolling.get("maxUnavailable").filter(|v| !v.is_null()).map_or(1, |v| scaled(v, wanted, true));
        if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
    }

    /// Nodes that lack a pod, and pods that are too much.
    fn manage(&self, actions: &mut Vec<Action>) -> (Vec<String>, Vec<Arc<Value>>) {
        let (mut missing, mut surplus) = (vec![], vec![]);
        for node in &self.nodes {
            let (run, stay) = nodes::should_run(self.set, node);
            let there = self.pods_on(meta::name(node));
            let live = there.iter().filter(|pod| meta::deletion_timestamp(pod).is_none());
            if run && there.is_empty() {
                missing.push(meta::name(node).to_owned());
            } else if stay {
                self.tidy(meta::name(node), live, actions, &mut surplus);
            } else {
                surplus.extend(live.cloned());
            }
        }
        // Pods for nodes that are gone never get anywhere.
        let known = |name: &str| self.nodes.iter().any(|node| meta::name(node) == name);
        for (node, there) in &self.by_node {
            let stranded = |pod: &&Arc<Value>| pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
            if !known(node) {
                surplus.extend(
                    there
                        .iter()
                        .filter(stranded)
                        .filter(|pod| meta::deletion_timestamp(pod).is_none())
                        .cloned(),
                );
            }
        }
        (missing, surplus)
    }

    /// Of the pods on one node: finished ones go, and all but the oldest (with surge: the oldest of each template).
    fn tidy<'a>(
        &self,
        node: &str,
        live: impl Iterator<Item = &'a Arc<Value>>,
        actions: &mut Vec<Action>,
        surplus: &mut Vec<Arc<Value>>,
    ) {
        let (over, running): (Vec<_>, Vec<_>) = live.partition(|pod| pods::is_finished(pod));
        for pod in over {
            let named = format!("{}/{} on node {node}", meta::namespace(pod), meta::name(pod));
            actions.push(Action::event(if pod["status"]["phase"] == "Failed" {
                let message = format!("Found failed daemon pod {named}, will try to kill it");
                Event::warning(self.set, "FailedDaemonPod", message)
            } else {
                let message = format!("Found succeeded daemon pod {named}, will try to delete it");
                Event::normal(self.set, "SucceededDaemonPod", message)
            }));
            surplus.push(pod.clone());
        }
        let rolling = self.set["spec"]["updateStrategy"]["type"] != "OnDelete";
        if !rolling || self.bounds().0 == 0 {
            surplus.extend(running.into_iter().skip(1).cloned());
            return;
        }
        let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| self.is_new(pod));
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!pods::is_ready(old) || self.is_available(new))
        {
            surplus.push((*old).clone());
        }
        surplus.extend(new.into_iter().skip(1).chain(old.into_iter().skip(1)).cloned());
    }

    /// Moves nodes to the newest template, so many at a time.
    fn replace(&self) -> Replace {
        if self.set["spec"]["updateStrategy"]["type"] == "OnDelete" {
            return Replace::default();
        }
        let (surge, unavailable) = self.bounds();
        if surge > 0 { self.replace_with_surge(surge) } else { self.replace_in_place(unavailable) }
    }

    fn replace_in_place(&self, limit: i64) -> Replace {
        let (mut at_once, mut candidates, mut unavailable) = (vec![], vec![], 0);
        for node in self.nodes.iter().filter(|node| nodes::should_run(self.set, node).0) {
            let live: Vec<_> = self
                .pods_on(meta::name(node))
                .iter()
                .filter(|pod| meta::deletion_timestamp(pod).is_none())
                .collect();
            match live.as_slice() {
                [one] if self.is_new(one) => unavailable += i64::from(!self.is_available(one)),
                [one] if !self.is_available(one) => {
                    at_once.push((*one).clone());
                    unavailable += 1;
                }
                [one] => candidates.push((*one).clone()),
                _ => unavailable += 1,
            }
        }
        let room = usize::try_from(limit - unavailable).unwrap_or(0);
        at_once.extend(candidates.into_iter().take(room));
        Replace { delete: at_once, create: vec![] }
    }

    fn replace_with_surge(&self, limit: i64) -> Replace {
        let (mut at_once, mut candidates, mut surging) = (vec![], vec![], 0);
        for node in self.nodes.iter().filter(|node| nodes::should_run(self.set, node).0) {
            let live: Vec<_> = self
                .pods_on(meta::name(node))
                .iter()
                .filter(|pod| meta::deletion_timestamp(pod).is_none())
                .collect();
            let old = live.iter().find(|pod| !self.is_new(pod));
            let new = live.iter().any(|pod| self.is_new(pod));
            match old {
                Some(_) if new => surging += 1,
                Some(old) if !self.is_available(old) => at_once.push(meta::name(node).to_owned()),
                Some(_) => candidates.push(meta::name(node).to_owned()),
                None => {}
            }
        }
        let room = usize::try_from(limit - surging).unwrap_or(0);
        at_once.extend(candidates.into_iter().take(room));
        Replace { delete: vec![], create: at_once }
    }

    fn create(&self, node: &str) -> Action {
        let mut pod = pods::from_template(&self.set["spec"]["template"], self.set);
        meta::set_label(&mut pod, HASH_LABEL, self.hash);
        if let Some(generation) = meta::annotation(self.set, GENERATION) {
            meta::set_label(&mut pod, "pod-template-generation", generation);
        }
        nodes::pin(&mut pod, node);
        Action::create(&PODS, pod)
            .told(Event::normal(self.set, "SuccessfulCreate", "Created pod: {name}"))
            .told_failure(Event::warning(self.set, "FailedCreate", "Error creating: {error}"))
    }

    fn delete(&self, pod: &Value) -> Action {
        Action::delete(&PODS, pod)
            .told(Event::normal(self.set, "SuccessfulDelete", "Deleted pod: {name}"))
            .told_failure(Event::warning(self.set, "FailedDelete", "Error deleting: {error}"))
    }

    fn status(&self) -> Value {
        let mut counts = [0i64; 6];
        let [wanted, current, misplaced, ready, available, updated] = &mut counts;
        for node in &self.nodes {
            let there = self.pods_on(meta::name(node));
            let run = nodes::should_run(self.set, node).0;
            *wanted += i64::from(run);
            *current += i64::from(run && !there.is_empty());
            *misplaced += i64::from(!run && !there.is_empty());
            if let Some(oldest) = there.first().filter(|_| run) {
                *ready += i64::from(pods::is_ready(oldest));
                *available += i64::from(self.is_available(oldest));
                *updated += i64::from(self.is_new(oldest));
            }
        }
        let [wanted, current, misplaced, ready, available, updated] = counts;
        let mut status = json!({"currentNumberScheduled": current, "numberMisscheduled": misplaced,
            "desiredNumberScheduled": wanted, "numberReady": ready, "observedGeneration": meta::generation(self.set)});
        let fields = Map::from_iter([
            ("updatedNumberScheduled".to_owned(), updated.into()),
            ("numberAvailable".to_owned(), available.into()),
            ("numberUnavailable".to_owned(), (wanted - available).into()),
        ]);
        for (field, value) in fields {
            if value != 0 {
                status[field] = value;
            }
        }
        for kept in ["collisionCount", "conditions"] {
            if let Some(value) = self.set["status"].get(kept) {
                status[kept] = value.clone();
            }
        }
        status
    }
}

fn finish(key: Key, hash: String, now: Timestamp) -> Finish {
    Box::new(move |cache, _| {
        let Some(set) = cache.get(&DAEMON_SETS, &key.namespace, &key.name) else { return vec![] };
        let selector = selector(&set);
        let owned = cache.owned_by(&PODS, meta::uid(&set));
        let theirs = owned
            .iter()
            .filter(|pod| owners::matches(&selector, pod))
            .filter_map(|pod| pod.value())
            .collect();
        let state =
            State { set: &set, hash: &hash, by_node: by_node(theirs), nodes: cache.values(&NODES, ""), now };
        let status = state.status();
        if status == set["status"] {
            return vec![];
        }
        let mut next = (*set).clone();
        next["status"] = status;
        vec![Action::update_status(&DAEMON_SETS, next)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    fn set(image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "a", "uid": "d", "generation": 1},
            "spec": {"selector": {"matchLabels": {"app": "d"}},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
                "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}})
    }

    fn node(name: &str, taint: Option<&str>) -> Value {
        let taints: Vec<_> = taint.iter().map(|effect| json!({"key": "k", "effect": effect})).collect();
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": taints}})
    }

    fn revision(image: &str, number: i64) -> Value {
        revisions::make(&set(image), number, HASH_LABEL)
    }

    fn pod(node: &str, image: &str, ready: bool) -> Value {
        let mut pod = pods::from_template(&set(image)["spec"]["template"], &set(image));
        meta::set(&mut pod, "name", format!("d-{node}-{image}"));
        meta::set_label(&mut pod, HASH_LABEL, meta::label(&revision(image, 1), HASH_LABEL).unwrap());
        nodes::pin(&mut pod, node);
        pod["status"] = json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": "1970-01-01T00:00:00Z"}]});
        pod
    }

    fn plan(objects: Vec<Value>) -> Vec<String> {
        let cache = snapshot(objects);
        let plan =
            DaemonSetController.plan(&cache, &Key::new("a", "d"), Timestamp::from_second(100).unwrap());
        let mut lines = shown(Plan { actions: plan.actions, ..Plan::nothing() }, &cache);
        lines.retain(|line| !line.contains("controllerrevisions"));
        lines
    }

    #[test]
    fn every_fit_node_gets_a_pod() {
        let made = plan(vec![
            set("one"),
            node("n1", None),
            node("n2", Some("NoSchedule")),
            node("n3", None),
            pod("n1", "one", true),
        ]);
        assert_eq!(made, ["create pods a/d-"]);
    }

    #[test]
    fn what_is_there_stays_unless_it_may_not() {
        let made = |effect| plan(vec![set("one"), node("n1", Some(effect)), pod("n1", "one", true)]);
        assert!(made("NoSchedule").is_empty());
        assert_eq!(made("NoExecute"), ["delete pods d-n1-one"]);
    }

    #[test]
    fn one_node_at_a_time_is_updated() {
        let with = |a: Value, b: Value| {
            plan(vec![
                set("two"),
                revision("one", 1),
                revision("two", 2),
                node("n1", None),
                node("n2", None),
                a,
                b,
            ])
        };
        assert_eq!(with(pod("n1", "one", true), pod("n2", "one", true)), ["delete pods d-n1-one"]);
        assert!(with(pod("n1", "two", false), pod("n2", "one", true)).is_empty());
        assert_eq!(with(pod("n1", "two", true), pod("n2", "one", true)), ["delete pods d-n2-one"]);
        assert_eq!(with(pod("n1", "one", false), pod("n2", "one", true)), ["delete pods d-n1-one"]);
    }

    #[test]
    fn with_surge_the_new_pod_comes_before_the_old_goes() {
        let mut surging = set("two");
        surging["spec"]["updateStrategy"]["rollingUpdate"] = json!({"maxSurge": 1, "maxUnavailable": 0});
        let with = |pods: Vec<Value>| {
            let nodes = vec![surging.clone(), revision("one", 1), revision("two", 2), node("n1", None)];
            plan([nodes, pods].concat())
        };
        assert_eq!(with(vec![pod("n1", "one", true)]), ["create pods a/d-"]);
        assert!(with(vec![pod("n1", "one", true), pod("n1", "two", false)]).is_empty());
        assert_eq!(with(vec![pod("n1", "one", true), pod("n1", "two", true)]), ["delete pods d-n1-one"]);
    }

    #[test]
    fn the_status_counts_nodes() {
        let cache = snapshot(vec![
            set("one"),
            revision("one", 1),
            node("n1", None),
            node("n2", None),
            pod("n1", "one", true),
        ]);
        let last = finish(
            Key::new("a", "d"),
            meta::label(&revision("one", 1), HASH_LABEL).unwrap().into(),
            Timestamp::from_second(9).unwrap(),
        );
        let shown = shown(Plan { finish: Some(last), ..Plan::nothing() }, &cache);
        assert_eq!(
            shown[0],
            "update daemonsets d/status {\"currentNumberScheduled\":1,\"desiredNumberScheduled\":2,\"numberAvailable\":1,\
             \"numberMisscheduled\":0,\"numberReady\":1,\"numberUnavailable\":1,\"observedGeneration\":1,\"updatedNumberScheduled\":1}"
        );
    }
}
