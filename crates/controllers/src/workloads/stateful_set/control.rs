//! What is done next about a stateful set's pods.

use super::identity;
use super::{replicas, start};
use crate::common::pods;
use crate::plan::{Action, Event};
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PODS};
use crate::workloads::revisions::{self, HASH_LABEL};
use crate::workloads::{int, scaled};
use client::Cache;
use jiff::Timestamp;
use object::meta;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What is known when the decision is made.
pub(super) struct State<'a> {
    pub(super) cache: &'a Cache,
    pub(super) set: &'a Value,
    /// The revision that pods below the partition have.
    pub(super) current: &'a Value,
    /// The revision that all are to have.
    pub(super) update: &'a Value,
    pub(super) now: Timestamp,
}

/// `Break`: the rest has to wait.
type Step = ControlFlow<()>;

impl State<'_> {
    pub(super) fn decide(&self, members: &[Arc<Value>]) -> Vec<Action> {
        let (first, end) = (start(self.set), start(self.set) + replicas(self.set));
        let ordinal = |pod: &Value| identity::ordinal(meta::name(self.set), meta::name(pod)).unwrap_or(-1);
        let by_ordinal: BTreeMap<i64, &Arc<Value>> = members.iter().map(|pod| (ordinal(pod), pod)).collect();
        let mut actions = vec![];
        for ordinal in first..end {
            let step = self.replica(ordinal, by_ordinal.get(&ordinal).copied(), &mut actions);
            if step.is_break() && self.one_at_a_time() {
                return actions;
            }
        }
        let condemned: Vec<_> = by_ordinal.iter().rev().filter(|(o, _)| **o < first || **o >= end).collect();
        let unavailable = self.first_unavailable(&by_ordinal, first..end);
        for (ordinal, pod) in condemned {
            let is_first = unavailable.is_some_and(|first| Arc::ptr_eq(first, pod));
            if self.condemn(is_first, *ordinal, pod, &mut actions).is_break() {
                return actions;
            }
        }
        if actions.is_empty() && self.set["spec"]["updateStrategy"]["type"] != "OnDelete" {
            self.roll(&by_ordinal, first..end, &mut actions);
        }
        actions
    }

    fn one_at_a_time(&self) -> bool {
        self.set["spec"]["podManagementPolicy"] != "Parallel"
    }

    fn is_healthy(&self, pod: &Value) -> bool {
        meta::deletion_timestamp(pod).is_none() && pod["status"]["phase"] == "Running" && pods::is_ready(pod)
    }

    fn is_available(&self, pod: &Value) -> bool {
        pod["status"]["phase"] == "Running"
            && pods::is_available(pod, int(&self.set["spec"]["minReadySeconds"]), self.now)
    }

    /// The unavailable pod of the lowest ordinal, of those wanted if there is one.
    fn first_unavailable<'a>(
        &self,
        pods: &BTreeMap<i64, &'a Arc<Value>>,
        wanted: std::ops::Range<i64>,
    ) -> Option<&'a Arc<Value>> {
        let lacks = |pod: &Value| meta::deletion_timestamp(pod).is_some() || !self.is_available(pod);
        let inside = pods.range(wanted.clone()).find(|(_, pod)| lacks(pod));
        let outside = || pods.iter().find(|(o, pod)| !wanted.contains(o) && lacks(pod));
        inside.or_else(outside).map(|(_, pod)| *pod)
    }

    /// Makes sure of the pod of an ordinal.
    fn replica(&self, ordinal: i64, pod: Option<&Arc<Value>>, actions: &mut Vec<Action>) -> Step {
        let Some(pod) = pod else {
            actions.extend(self.missing_claims(ordinal));
            actions.push(self.create(ordinal));
            return Step::Break(());
        };
        let going = meta::deletion_timestamp(pod).is_some();
        if pods::is_finished(pod) {
            if !going {
                actions.push(self.delete(pod));
            }
            return Step::Break(());
        }
        if pod["status"]["phase"] == "Pending" {
            actions.extend(self.missing_claims(ordinal));
        }
        if going || !self.is_healthy(pod) || !self.is_available(pod) {
            return Step::Break(());
        }
        let owners = self.claim_owners(ordinal, None);
        if !owners.is_empty() || !identity::matches(self.set, pod, ordinal) {
            actions.extend(owners);
            let mut next = (**pod).clone();
            identity::identify(self.set, &mut next, ordinal);
            actions.push(self.told(Action::update(&PODS, next), "Update", meta::name(pod)));
        }
        Step::Continue(())
    }

    /// Deletes a pod that is no longer wanted, the highest ordinal first.
    fn condemn(
        &self,
        is_first_unavailable: bool,
        ordinal: i64,
        pod: &Value,
        actions: &mut Vec<Action>,
    ) -> Step {
        let ordered = self.one_at_a_time();
        let wait = if ordered { Step::Break(()) } else { Step::Continue(()) };
        if meta::deletion_timestamp(pod).is_some() {
            return wait;
        }
        let fit = self.is_healthy(pod) && self.is_available(pod);
        if ordered && !fit && !is_first_unavailable {
            return wait;
        }
        actions.extend(self.claim_owners(ordinal, Some(pod)));
        actions.push(self.delete(pod));
        wait
    }

    /// Deletes pods of an old revision, the highest ordinal first, down to the partition.
    fn roll(
        &self,
        by_ordinal: &BTreeMap<i64, &Arc<Value>>,
        wanted: std::ops::Range<i64>,
        actions: &mut Vec<Action>,
    ) {
        let rolling = &self.set["spec"]["updateStrategy"]["rollingUpdate"];
        let lowest = wanted.start + int(&rolling["partition"]);
        let limit = match rolling.get("maxUnavailable") {
            Some(value) if !value.is_null() => scaled(value, replicas(self.set), true).max(1),
            _ => 1,
        };
        let healthy = |pod: &Value| self.is_healthy(pod) && self.is_available(pod);
        let mut unavailable =
            by_ordinal.range(wanted.clone()).filter(|(_, pod)| !healthy(pod)).count() as i64;
        for (_, pod) in by_ordinal.range(lowest.max(wanted.start)..wanted.end.max(lowest)).rev() {
            let old = meta::label(pod, HASH_LABEL) != Some(meta::name(self.update));
            let going = meta::deletion_timestamp(pod).is_some();
            if old && !going {
                if !healthy(pod) {
                    // It is unavailable already: replacing it costs nothing.
                    actions.push(self.delete(pod));
                } else if unavailable < limit {
                    actions.push(self.delete(pod));
                    unavailable += 1;
                }
            }
            if unavailable >= limit {
                return;
            }
        }
    }

    fn create(&self, ordinal: i64) -> Action {
        let below = ordinal
            < start(self.set) + int(&self.set["spec"]["updateStrategy"]["rollingUpdate"]["partition"]);
        let keeps = self.set["spec"]["updateStrategy"]["type"] != "OnDelete" && below;
        let revision = if keeps { self.current } else { self.update };
        let template = revisions::template(revision);
        let pod = identity::pod(self.set, &template, meta::name(revision), ordinal);
        self.told(Action::create(&PODS, pod), "Create", &format!("{}-{ordinal}", meta::name(self.set)))
    }

    fn delete(&self, pod: &Value) -> Action {
        self.told(Action::delete(&PODS, pod), "Delete", meta::name(pod))
    }

    fn told(&self, action: Action, what: &str, pod: &str) -> Action {
        let set = meta::name(self.set);
        let done = format!("{what} Pod {pod} in StatefulSet {set} successful");
        let failed = format!("{what} Pod {pod} in StatefulSet {set} failed error: {{error}}");
        action.told(Event::normal(self.set, &format!("Successful{what}"), done)).told_failure(Event::warning(
            self.set,
            &format!("Failed{what}"),
            failed,
        ))
    }

    /// The claims of an ordinal that are not there.
    fn missing_claims(&self, ordinal: i64) -> Vec<Action> {
        let set = meta::name(self.set);
        let (with_set, _) = identity::retention(self.set);
        let missing = identity::claim_templates(self.set).filter(|template| {
            let name = identity::claim_name(self.set, template, ordinal);
            self.cache.entry(&PERSISTENT_VOLUME_CLAIMS, meta::namespace(self.set), &name).is_none()
        });
        missing
            .map(|template| {
                let mut claim = identity::claim(self.set, template, ordinal);
                if with_set {
                    meta::set(&mut claim, "ownerReferences", vec![meta::controller_reference(self.set)]);
                }
                let (name, pod) = (meta::name(&claim).to_owned(), format!("{set}-{ordinal}"));
                let done = format!("Create Claim {name} Pod {pod} in StatefulSet {set} success");
                let failed =
                    format!("Create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {{error}}");
                Action::create(&PERSISTENT_VOLUME_CLAIMS, claim)
                    .told(Event::normal(self.set, "SuccessfulCreate", done))
                    .told_failure(Event::warning(self.set, "FailedCreate", failed))
            })
            .collect()
    }

    /// Makes claims go with the set, or with a pod that is scaled away.
    fn claim_owners(&self, ordinal: i64, condemned: Option<&Value>) -> Vec<Action> {
        let (with_set, with_pod) = identity::retention(self.set);
        let owner = match condemned {
            Some(pod) if with_pod => Some(pod),
            _ if with_set => Some(self.set),
            _ => None,
        };
        let wanted = owner.map(meta::controller_reference);
        let mut actions = vec![];
        for template in identity::claim_templates(self.set) {
            let name = identity::claim_name(self.set, template, ordinal);
            let Some(claim) = self.cache.get(&PERSISTENT_VOLUME_CLAIMS, meta::namespace(self.set), &name)
            else {
                continue;
            };
            let ours = |kind: &Value, name: &Value| {
                (*kind == "StatefulSet" && *name == self.set["metadata"]["name"])
                    || (*kind == "Pod" && *name == *format!("{}-{ordinal}", meta::name(self.set)))
            };
            let known = meta::owner_references(&claim);
            let mut next: Vec<_> = known.iter().filter(|r| !ours(&r["kind"], &r["name"])).cloned().collect();
            if next.iter().any(|reference| reference["controller"] == true) {
                continue;
            }
            next.extend(wanted.clone());
            let same =
                next.len() == known.len() && next.iter().all(|n| known.iter().any(|k| k["uid"] == n["uid"]));
            if !same {
                let patch = json!({"metadata": {"uid": meta::uid(&claim), "ownerReferences": next}});
                actions.push(Action::merge(&PERSISTENT_VOLUME_CLAIMS, &claim, patch));
            }
        }
        actions
    }
}
