//! HorizontalPodAutoscalers: sizes workloads by what their pods use.
//!
//! [`recommend`] is the arithmetic, [`behavior`] how fast sizes may change, [`metrics`] asks the metrics APIs. Each autoscaler is looked
//! at every fifteen seconds, as upstream; without autoscalers nothing runs.

mod behavior;
mod metrics;
mod recommend;

use crate::common::conditions;
use crate::driver::Shell;
use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{HORIZONTAL_POD_AUTOSCALERS, PODS};
use behavior::History;
use client::discovery::{Discovery, discover};
use client::{Cache, Change, Patch};
use futures::future::BoxFuture;
use jiff::Timestamp;
use object::{GroupVersion, GroupVersionResource, LabelSelector, Result, meta, time};
use parking_lot::Mutex;
use recommend::{Recommendation, Tolerance};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often each autoscaler is looked at.
const PERIOD: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(crate) struct HorizontalPodAutoscalerController {
    /// What was recommended and done lately, by autoscaler; goes with it.
    history: Mutex<HashMap<Key, History>>,
    /// The pods that each autoscaler was last seen to be about; goes with it.
    selectors: Mutex<HashMap<Key, LabelSelector>>,
    /// Where scalable kinds are; asked for once, and again when a kind is not found.
    kinds: Mutex<Option<Arc<Discovery>>>,
}

impl Controller for HorizontalPodAutoscalerController {
    fn name(&self) -> &'static str {
        "horizontal-pod-autoscaler-controller"
    }

    fn component(&self) -> &'static str {
        "horizontal-pod-autoscaler"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&HORIZONTAL_POD_AUTOSCALERS, &PODS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if !change.is(&HORIZONTAL_POD_AUTOSCALERS) {
            return;
        }
        let entry = change.entry();
        let key = Key::new(&entry.namespace, &entry.name);
        match (&change.old, &change.new) {
            (_, None) => {
                self.history.lock().remove(&key);
                self.selectors.lock().remove(&key);
            }
            // Its own status is no news.
            (Some(old), Some(new)) => {
                let spec = |entry: &Arc<client::Entry>| entry.value().map(|value| value["spec"].clone());
                if spec(old) != spec(new) {
                    add(key);
                }
            }
            (None, Some(_)) => add(key),
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let Some(autoscaler) = shell.cache.get(&HORIZONTAL_POD_AUTOSCALERS, &key.namespace, &key.name)
            else {
                return Ok(Plan::nothing());
            };
            let mut plan = self.look(shell, key, &autoscaler).await?;
            plan.requeue(PERIOD);
            Ok(plan)
        })
    }
}

/// What the status is to say.
struct Report<'a> {
    autoscaler: &'a Value,
    status: Value,
    now: Timestamp,
    plan: Plan,
}

impl HorizontalPodAutoscalerController {
    async fn look(&self, shell: &Shell, key: &Key, autoscaler: &Value) -> Result<Plan> {
        let now = shell.now();
        let mut report =
            Report { autoscaler, status: autoscaler["status"].clone(), now, plan: Plan::nothing() };
        let target = &autoscaler["spec"]["scaleTargetRef"];
        let (gvr, scale) = match self.scale(shell, &key.namespace, target).await {
            Ok(found) => found,
            Err(error) => {
                report.event("FailedGetScale", &error);
                let message =
                    format!("the HPA controller was unable to get the target's current scale: {error}");
                report.condition("AbleToScale", false, "FailedGetScale", &message);
                return Ok(report.finish());
            }
        };
        report.condition(
            "AbleToScale",
            true,
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        );
        let wanted_now = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        let current = scale["status"]["replicas"].as_i64().unwrap_or(0);
        let (least, most) = bounds(autoscaler);
        report.status["currentReplicas"] = current.into();
        if wanted_now == 0 && least != 0 {
            report.condition(
                "ScalingActive",
                false,
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
            );
            return Ok(report.finish());
        }
        let bounded = if wanted_now > most {
            Some((most, "Current number of replicas above Spec.MaxReplicas"))
        } else {
            (wanted_now < least).then_some((least, "Current number of replicas below Spec.MinReplicas"))
        };
        let (desired, why) = match bounded {
            Some((bound, why)) => (bound, why.to_owned()),
            None => match self.recommend(shell, key, &mut report, wanted_now, &scale).await {
                Some(found) => found,
                None => return Ok(report.finish()),
            },
        };
        report.status["desiredReplicas"] = desired.into();
        if desired != wanted_now {
            self.resize(shell, key, &gvr, target, (wanted_now, desired), &why, &mut report).await;
        }
        Ok(report.finish())
    }

    /// The pods that the target's selector takes, if no other autoscaler sizes them.
    fn pods(
        &self,
        shell: &Shell,
        key: &Key,
        text: &str,
    ) -> std::result::Result<Vec<Arc<Value>>, (&'static str, String)> {
        if text.is_empty() {
            return Err(("SelectorRequired", "selector is required".to_owned()));
        }
        let selector = LabelSelector::parse(text).map_err(|error| {
            let message =
                format!("couldn't convert selector into a corresponding internal selector object: {error}");
            ("InvalidSelector", message)
        })?;
        let pods = shell.cache.list(&PODS, &key.namespace);
        let pods: Vec<_> = pods.iter().filter(|pod| crate::common::owners::matches(&selector, pod)).collect();
        let mut selectors = self.selectors.lock();
        selectors.insert(key.clone(), selector);
        let mut takers: Vec<_> = selectors
            .iter()
            .filter(|(other, selector)| {
                other.namespace == key.namespace
                    && pods.iter().any(|pod| crate::common::owners::matches(selector, pod))
            })
            .map(|(other, _)| format!("{}/{}", other.namespace, other.name))
            .collect();
        if takers.len() > 1 {
            takers.sort();
            let message =
                format!("pods by selector {text} are controlled by multiple HPAs: [{}]", takers.join(" "));
            return Err(("AmbiguousSelector", message));
        }
        Ok(pods.into_iter().filter_map(|pod| pod.value()).collect())
    }

    /// The highest recommendation of all metrics, within bounds and behavior, and why.
    async fn recommend(
        &self,
        shell: &Shell,
        key: &Key,
        report: &mut Report<'_>,
        current: i64,
        scale: &Value,
    ) -> Option<(i64, String)> {
        let selector = scale["status"]["selector"].as_str().unwrap_or("");
        let pods = match self.pods(shell, key, selector) {
            Ok(pods) => pods,
            Err((reason, message)) => {
                report.event(reason, &message);
                report.condition("ScalingActive", false, reason, &message);
                report.event("FailedComputeMetricsReplicas", &message);
                return None;
            }
        };
        let replicas = (current, scale["status"]["replicas"].as_i64().unwrap_or(0));
        let tolerance = Tolerance::of(report.autoscaler);
        let asked =
            metrics::Asked { shell, namespace: &key.namespace, replicas, pods: &pods, selector, tolerance };
        let mut best: Option<Recommendation> = None;
        let mut shown = vec![];
        let mut failures = vec![];
        for metric in report.autoscaler["spec"]["metrics"].as_array().into_iter().flatten() {
            match asked.recommend(metric).await {
                Ok(found) => {
                    shown.push(found.shown.clone());
                    if best.as_ref().is_none_or(|known| found.replicas > known.replicas) {
                        best = Some(found);
                    }
                }
                Err(failure) => {
                    report.event(failure.reason, &failure.message);
                    shown.push(json!({"type": ""}));
                    failures.push(failure);
                }
            }
        }
        let total = shown.len();
        report.status["currentMetrics"] = if shown.is_empty() { Value::Null } else { shown.into() };
        // While a metric is missing nothing may be taken away.
        let usable = best.filter(|found| failures.is_empty() || found.replicas >= current);
        let Some(found) = usable else {
            if let Some(first) = failures.first() {
                let message = format!("the HPA was unable to compute the replica count: {}", first.message);
                report.condition("ScalingActive", false, first.reason, &message);
                let count = failures.len();
                let summary = format!(
                    "invalid metrics ({count} invalid out of {total}), first error is: {}",
                    first.summary
                );
                report.event("FailedComputeMetricsReplicas", &summary);
            }
            return None;
        };
        let message =
            format!("the HPA was able to successfully calculate a replica count from {}", found.metric);
        report.condition("ScalingActive", true, "ValidMetricFound", &message);
        let mut history = self.history.lock();
        let limits = behavior::Limits::of(report.autoscaler, bounds(report.autoscaler));
        let limited =
            history.entry(key.clone()).or_default().limit(&limits, current, found.replicas, report.now);
        report.condition("AbleToScale", true, limited.able.0, limited.able.1);
        report.condition("ScalingLimited", limited.limited.0, limited.limited.1, limited.limited.2);
        let why = match found.replicas.cmp(&current) {
            std::cmp::Ordering::Less => "All metrics below target".to_owned(),
            _ => format!("{} above target", found.metric),
        };
        Some((limited.replicas, why))
    }

    #[allow(clippy::too_many_arguments)]
    async fn resize(
        &self,
        shell: &Shell,
        key: &Key,
        gvr: &GroupVersionResource,
        target: &Value,
        (from, to): (i64, i64),
        why: &str,
        report: &mut Report<'_>,
    ) {
        let name = target["name"].as_str().unwrap_or("");
        let patch = Patch::Merge(json!({"spec": {"replicas": to}}));
        if let Err(error) = shell.client.patch(gvr, &key.namespace, name, "scale", &patch).await {
            let message = format!("New size: {to}; reason: {why}; error: {}", error.message());
            report.event("FailedRescale", &message);
            let message =
                format!("the HPA controller was unable to update the target scale: {}", error.message());
            return report.condition("AbleToScale", false, "FailedUpdateScale", &message);
        }
        self.history.lock().entry(key.clone()).or_default().scaled(from, to, report.now);
        let event =
            Event::normal(report.autoscaler, "SuccessfulRescale", format!("New size: {to}; reason: {why}"));
        report.plan.push(Action::event(event));
        let message = format!("the HPA controller was able to update the target scale to {to}");
        report.condition("AbleToScale", true, "SucceededRescale", &message);
        report.status["lastScaleTime"] = time::format(report.now).into();
    }

    /// The target's resource and its scale.
    async fn scale(
        &self,
        shell: &Shell,
        namespace: &str,
        target: &Value,
    ) -> std::result::Result<(GroupVersionResource, Value), String> {
        let kind = target["kind"].as_str().unwrap_or("");
        let group = GroupVersion::parse(target["apiVersion"].as_str().unwrap_or("")).unwrap_or_default();
        let known = self.kinds.lock().clone();
        let find = |found: &Discovery| {
            let mut all = found.resources.iter();
            all.find(|r| r.kind == kind && r.gvr.group == group.group && r.preferred).map(|r| r.gvr.clone())
        };
        let gvr = match known.as_deref().and_then(find) {
            Some(gvr) => gvr,
            None => {
                let fresh = Arc::new(discover(&shell.client).await.map_err(|error| error.message())?);
                *self.kinds.lock() = Some(fresh.clone());
                find(&fresh)
                    .ok_or_else(|| format!("no matches for kind \"{kind}\" in group \"{}\"", group.group))?
            }
        };
        let name = target["name"].as_str().unwrap_or("");
        let scale = metrics::get(shell, &scale_path(&gvr, namespace, name)).await.map_err(|e| e.message())?;
        Ok((gvr, scale))
    }
}

fn scale_path(gvr: &GroupVersionResource, namespace: &str, name: &str) -> String {
    let root = if gvr.group.is_empty() {
        format!("/api/{}", gvr.version)
    } else {
        format!("/apis/{}/{}", gvr.group, gvr.version)
    };
    format!("{root}/namespaces/{namespace}/{}/{name}/scale", gvr.resource)
}

/// Fewest and most replicas.
fn bounds(autoscaler: &Value) -> (i64, i64) {
    let spec = &autoscaler["spec"];
    (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64().unwrap_or(1))
}

impl Report<'_> {
    fn event(&mut self, reason: &str, message: &str) {
        self.plan.push(Action::event(Event::warning(self.autoscaler, reason, message)));
    }

    fn condition(&mut self, kind: &str, status: bool, reason: &str, message: &str) {
        let condition = conditions::new(kind, status, reason, message, self.now);
        conditions::set(&mut self.status["conditions"], condition);
    }

    fn finish(mut self) -> Plan {
        if let Some(map) = self.status.as_object_mut() {
            map.retain(|_, value| !value.is_null());
            map.entry("desiredReplicas").or_insert(0.into());
            map.insert("observedGeneration".into(), meta::generation(self.autoscaler).into());
            if map.get("observedGeneration") == Some(&0.into()) {
                map.remove("observedGeneration");
            }
        }
        if self.status != self.autoscaler["status"] {
            let mut next = self.autoscaler.clone();
            next["status"] = self.status;
            self.plan.push(Action::update_status(&HORIZONTAL_POD_AUTOSCALERS, next));
        }
        self.plan
    }
}
