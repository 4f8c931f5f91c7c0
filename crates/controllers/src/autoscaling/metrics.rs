//! Asks the metrics APIs (`metrics.k8s.io`, `custom.metrics.k8s.io`, `external.metrics.k8s.io`) what pods use.

use super::recommend::{self, Recommendation};
use crate::driver::Shell;
use object::{Quantity, meta};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A condition's reason, and a message.
type Failure = (&'static str, String);

/// Gets a path as JSON; the error is for people.
pub(super) async fn get(shell: &Shell, path: &str) -> Result<Value, String> {
    let bytes = shell.client.raw(path, "application/json").await.map_err(|error| error.message())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// What one metric recommends.
pub(super) async fn recommend(
    shell: &Shell,
    namespace: &str,
    metric: &Value,
    current: i64,
    pods: &[Arc<Value>],
    scale: &Value,
) -> Result<Recommendation, Failure> {
    match metric["type"].as_str() {
        Some("Resource") => resource(shell, namespace, &metric["resource"], None, current, pods, scale).await,
        Some("ContainerResource") => {
            let source = &metric["containerResource"];
            resource(shell, namespace, source, source["container"].as_str(), current, pods, scale).await
        }
        Some("Object") => {
            let source = &metric["object"];
            let target = &source["describedObject"];
            let kind = target["kind"].as_str().unwrap_or("").to_lowercase();
            let group = target["apiVersion"]
                .as_str()
                .and_then(|text| text.split_once('/'))
                .map(|(group, _)| format!(".{group}"));
            let name = target["name"].as_str().unwrap_or("");
            let path = format!("{}s{}/{name}/{}", kind, group.unwrap_or_default(), metric_name(source));
            let path = format!("/apis/custom.metrics.k8s.io/v1beta1/namespaces/{namespace}/{path}");
            single("FailedGetObjectMetric", get(shell, &path).await, "object", source, current, pods)
        }
        Some("Pods") => {
            let source = &metric["pods"];
            let path = format!(
                "/apis/custom.metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/*/{}",
                metric_name(source)
            );
            per_pod(get(shell, &path).await, source, current, pods, shell)
        }
        Some("External") => {
            let source = &metric["external"];
            let path = format!(
                "/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{}",
                metric_name(source)
            );
            single("FailedGetExternalMetric", get(shell, &path).await, "external", source, current, pods)
        }
        other => {
            Err(("InvalidMetricSourceType", format!("unknown metric source type {:?}", other.unwrap_or(""))))
        }
    }
}

fn metric_name(source: &Value) -> String {
    source["metric"]["name"].as_str().unwrap_or("").to_owned()
}

fn milli(value: &Value) -> Option<i64> {
    Quantity::from_json(value).ok().map(|quantity| quantity.milli_value())
}

fn shown_milli(value: i64) -> String {
    Quantity::from_milli(value).to_string()
}

async fn resource(
    shell: &Shell,
    namespace: &str,
    source: &Value,
    container: Option<&str>,
    current: i64,
    pods: &[Arc<Value>],
    scale: &Value,
) -> Result<Recommendation, Failure> {
    const REASON: &str = "FailedGetResourceMetric";
    let name = source["name"].as_str().unwrap_or("");
    let failed = |why: String| (REASON, format!("failed to get {name} utilization: {why}"));
    let selector = scale["status"]["selector"].as_str().unwrap_or("").replace(',', "%2C").replace(' ', "%20");
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={selector}");
    let answer = get(shell, &path)
        .await
        .map_err(|error| failed(format!("unable to get metrics for resource {name}: unable to fetch metrics from resource metrics API: {error}")))?;
    let mut usage = BTreeMap::new();
    for pod in answer["items"].as_array().into_iter().flatten() {
        let containers = pod["containers"].as_array().into_iter().flatten();
        let wanted = containers.filter(|c| container.is_none_or(|name| c["name"] == name));
        let used: i64 = wanted.filter_map(|c| milli(&c["usage"][name])).sum();
        usage.insert(meta::name(pod).to_owned(), used);
    }
    if usage.is_empty() {
        return Err(failed(format!(
            "unable to get metrics for resource {name}: no metrics returned from resource metrics API"
        )));
    }
    let groups = recommend::group(pods, &mut usage, name == "cpu", shell.now());
    if usage.is_empty() {
        return Err(failed("did not receive metrics for targeted pods (pods might be unready)".into()));
    }
    let key = if container.is_some() { "containerResource" } else { "resource" };
    let kind = if container.is_some() { "ContainerResource" } else { "Resource" };
    let mut shown = json!({"type": kind, key: {"name": name}});
    if let Some(container) = container {
        shown[key]["container"] = container.into();
    }
    if let Some(target) = source["target"]["averageUtilization"].as_i64().filter(|target| *target > 0) {
        let requests = recommend::requests(pods, name).map_err(failed)?;
        let (replicas, percent, average) =
            recommend::by_utilization(current, target, &usage, &requests, &groups)
                .ok_or_else(|| failed("no metrics returned matched known pods".into()))?;
        shown[key]["current"] = json!({"averageUtilization": percent, "averageValue": shown_milli(average)});
        let metric = format!("{name} resource utilization (percentage of request)");
        return Ok(Recommendation { replicas, metric, shown });
    }
    let target = milli(&source["target"]["averageValue"]).filter(|target| *target > 0);
    let target = target.ok_or_else(|| {
        (
            REASON,
            "invalid resource metric source: neither a utilization target nor a value target was set"
                .to_owned(),
        )
    })?;
    let (replicas, average) = recommend::by_value(current, target, &usage, &groups)
        .ok_or_else(|| failed("no metrics returned matched known pods".into()))?;
    shown[key]["current"] = json!({"averageValue": shown_milli(average)});
    Ok(Recommendation { replicas, metric: format!("{name} resource"), shown })
}

fn per_pod(
    answer: Result<Value, String>,
    source: &Value,
    current: i64,
    pods: &[Arc<Value>],
    shell: &Shell,
) -> Result<Recommendation, Failure> {
    const REASON: &str = "FailedGetPodsMetric";
    let name = metric_name(source);
    let failed = |why: String| (REASON, format!("unable to get metric {name}: {why}"));
    let answer = answer
        .map_err(|error| failed(format!("unable to fetch metrics from custom metrics API: {error}")))?;
    let read =
        |item: &Value| Some((item["describedObject"]["name"].as_str()?.to_owned(), milli(&item["value"])?));
    let mut usage: BTreeMap<_, _> =
        answer["items"].as_array().into_iter().flatten().filter_map(read).collect();
    let groups = recommend::group(pods, &mut usage, false, shell.now());
    let target = milli(&source["target"]["averageValue"]).filter(|target| *target > 0);
    let target = target.ok_or_else(|| failed("no target value".into()))?;
    let (replicas, average) = recommend::by_value(current, target, &usage, &groups)
        .ok_or_else(|| failed("no metrics returned".into()))?;
    let shown = json!({"type": "Pods", "pods": {"metric": source["metric"], "current": {"averageValue": shown_milli(average)}}});
    Ok(Recommendation { replicas, metric: format!("pods metric {name}"), shown })
}

/// A metric of one object or of something outside: its value, or its value per pod.
fn single(
    reason: &'static str,
    answer: Result<Value, String>,
    key: &str,
    source: &Value,
    current: i64,
    pods: &[Arc<Value>],
) -> Result<Recommendation, Failure> {
    let name = metric_name(source);
    let failed = |why: String| (reason, format!("unable to get metric {name}: {why}"));
    let answer =
        answer.map_err(|error| failed(format!("unable to fetch metrics from the metrics API: {error}")))?;
    let items = answer["items"].as_array().into_iter().flatten();
    let values: Vec<i64> = items.filter_map(|item| milli(&item["value"])).collect();
    if values.is_empty() {
        return Err(failed("no metrics returned".into()));
    }
    let total: i64 = values.iter().sum();
    let within = |ratio: f64| (ratio - 1.0).abs() <= 0.1;
    let (replicas, now) =
        if let Some(target) = milli(&source["target"]["averageValue"]).filter(|target| *target > 0) {
            let ratio = total as f64 / (target as f64 * current.max(1) as f64);
            let wanted = (total as f64 / target as f64).ceil() as i64;
            (
                if within(ratio) { current } else { wanted },
                json!({"averageValue": shown_milli(total / current.max(1))}),
            )
        } else {
            let target = milli(&source["target"]["value"])
                .filter(|target| *target > 0)
                .ok_or_else(|| failed("no target value".into()))?;
            let ratio = total as f64 / target as f64;
            let ready = pods.iter().filter(|pod| crate::common::pods::is_ready(pod)).count();
            let wanted = (ratio * ready as f64).ceil() as i64;
            (if within(ratio) { current } else { wanted }, json!({"value": shown_milli(total)}))
        };
    let mut shown = json!({"type": if key == "object" { "Object" } else { "External" }, key: {"metric": source["metric"], "current": now}});
    if key == "object" {
        shown[key]["describedObject"] = source["describedObject"].clone();
    }
    Ok(Recommendation { replicas, metric: format!("{key} metric {name}"), shown })
}
