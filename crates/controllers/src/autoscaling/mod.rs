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
use recommend::Recommendation;
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
            (_, None) => drop(self.history.lock().remove(&key)),
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
        let bounded = if wanted_now > most { Some(most) } else { (wanted_now < least).then_some(least) };
        let (desired, why) = match bounded {
            Some(bound) => {
                (bound, "Current number of replicas outside of the range of min and max".to_owned())
            }
            None => {
                let selector = LabelSelector::parse(scale["status"]["selector"].as_str().unwrap_or(""))
                    .unwrap_or_else(|_| LabelSelector::nothing());
                let pods: Vec<_> = shell
                    .cache
                    .list(&PODS, &key.namespace)
                    .iter()
                    .filter(|pod| crate::common::owners::matches(&selector, pod))
                    .filter_map(|pod| pod.value())
                    .collect();
                match self.recommend(shell, key, &mut report, wanted_now, &pods, &scale).await {
                    Some(found) => found,
                    None => return Ok(report.finish()),
                }
            }
        };
        report.status["desiredReplicas"] = desired.into();
        if desired != wanted_now {
            self.resize(shell, key, &gvr, target, (wanted_now, desired), &why, &mut report).await;
        }
        Ok(report.finish())
    }

    /// The highest recommendation of all metrics, within bounds and behavior.
    async fn recommend(
        &self,
        shell: &Shell,
        key: &Key,
        report: &mut Report<'_>,
        current: i64,
        pods: &[Arc<Value>],
        scale: &Value,
    ) -> Option<(i64, String)> {
        let mut best: Option<Recommendation> = None;
        let mut shown = vec![];
        let mut failure: Option<(String, String)> = None;
        for metric in report.autoscaler["spec"]["metrics"].as_array().cloned().unwrap_or_default() {
            match metrics::recommend(shell, &key.namespace, &metric, current, pods, scale).await {
                Ok(found) => {
                    shown.push(found.shown.clone());
                    if best.as_ref().is_none_or(|known| found.replicas > known.replicas) {
                        best = Some(found);
                    }
                }
                Err((reason, message)) => failure = failure.or(Some((reason.to_owned(), message))),
            }
        }
        report.status["currentMetrics"] = if shown.is_empty() { Value::Null } else { shown.into() };
        // While a metric is missing nothing may be taken away.
        let usable = best.filter(|found| failure.is_none() || found.replicas > current);
        let Some(found) = usable else {
            let (reason, message) = failure.unwrap_or(("FailedGetMetrics".into(), "no metrics".into()));
            report.event(&reason, &message);
            let message = format!("the HPA was unable to compute the replica count: {message}");
            report.condition("ScalingActive", false, &reason, &message);
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
        Some((
            limited.replicas,
            format!("{} {} target", found.metric, if found.replicas > current { "above" } else { "below" }),
        ))
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
        let scale = metrics::get(shell, &scale_path(&gvr, namespace, name)).await?;
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
