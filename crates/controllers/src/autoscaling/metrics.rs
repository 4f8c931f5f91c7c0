//! Asks the metrics APIs (`metrics.k8s.io`, `custom.metrics.k8s.io`, `external.metrics.k8s.io`) what pods use.

use super::recommend::{self, Recommendation, Tolerance};
use crate::common::words;
use crate::driver::Shell;
use object::{ApiError, Quantity, meta};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a metric recommends nothing.
#[derive(Debug)]
pub(super) struct Failure {
    /// A condition's and an event's reason.
    pub(super) reason: &'static str,
    /// For the condition and the event.
    pub(super) message: String,
    /// The same for the event about all metrics.
    pub(super) summary: String,
}

/// Whose metrics are asked for.
pub(super) struct Asked<'a> {
    pub(super) shell: &'a Shell,
    pub(super) namespace: &'a str,
    /// `spec.replicas` and `status.replicas` of the target.
    pub(super) replicas: (i64, i64),
    pub(super) pods: &'a [Arc<Value>],
    /// The pods' selector, as text.
    pub(super) selector: &'a str,
    pub(super) tolerance: Tolerance,
}

/// Gets a path as JSON.
pub(super) async fn get(shell: &Shell, path: &str) -> Result<Value, ApiError> {
    let bytes = shell.client.raw(path, "application/json").await?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::Internal(error.to_string()))
}

/// What a client says of a refusal that is not a Status.
fn refusal(error: &ApiError, what: &str) -> String {
    let message = error.message();
    match error.code() {
        404 if message.trim() == "404 page not found" || matches!(error, ApiError::NoSuchPath) => {
            format!("the server could not find the requested resource (get {what})")
        }
        503 => format!("the server is currently unable to handle the request (get {what})"),
        _ => message,
    }
}

fn custom_refusal(error: &ApiError) -> String {
    if error.code() == 404 && !matches!(error, ApiError::NotFound { .. }) {
        return "no custom metrics API (custom.metrics.k8s.io) registered".to_owned();
    }
    refusal(error, "custom.metrics.k8s.io")
}

impl Asked<'_> {
    /// What one metric recommends.
    pub(super) async fn recommend(&self, metric: &Value) -> Result<Recommendation, Failure> {
        match metric["type"].as_str() {
            Some("Resource") => {
                let source = &metric["resource"];
                let told = self.resource(source, None).await;
                let name = source["name"].as_str().unwrap_or("");
                told.map_err(|error| {
                    fail("FailedGetResourceMetric", &format!("{name} resource metric value"), error)
                })
            }
            Some("ContainerResource") => {
                let source = &metric["containerResource"];
                let container = source["container"].as_str().unwrap_or("");
                let told = self.resource(source, Some(container)).await;
                let what = format!("{container} container metric value");
                told.map_err(|error| fail("FailedGetContainerResourceMetric", &what, error))
            }
            Some("Object") => {
                let told = self.object(&metric["object"]).await;
                told.map_err(|error| fail("FailedGetObjectMetric", "object metric value", error))
            }
            Some("Pods") => {
                let told = self.per_pod(&metric["pods"]).await;
                told.map_err(|error| fail("FailedGetPodsMetric", "pods metric value", error))
            }
            Some("External") => self.external(&metric["external"]).await,
            other => {
                let message = format!("unknown metric source type {:?}", other.unwrap_or(""));
                Err(Failure { reason: "InvalidMetricSourceType", summary: message.clone(), message })
            }
        }
    }

    async fn resource(&self, source: &Value, container: Option<&str>) -> Result<Recommendation, String> {
        let name = source["name"].as_str().unwrap_or("");
        let by_value =
            source["target"]["averageValue"].is_string() || source["target"]["averageValue"].is_number();
        let what = if by_value { "usage" } else { "utilization" };
        let outcome = self.resource_use(source, name, container).await;
        outcome.map_err(|error| match error.strip_prefix('!') {
            Some(plain) => plain.to_owned(),
            None => format!("failed to get {name} {what}: {error}"),
        })
    }

    /// An error that begins with `!` is told as it is.
    async fn resource_use(
        &self,
        source: &Value,
        name: &str,
        container: Option<&str>,
    ) -> Result<Recommendation, String> {
        let mut usage = self
            .usage(name, container)
            .await
            .map_err(|error| format!("unable to get metrics for resource {name}: {error}"))?;
        if self.pods.is_empty() {
            return Err("no pods returned by selector while calculating replica count".to_owned());
        }
        let groups = recommend::group(self.pods, &mut usage, name == "cpu", self.shell.now());
        if usage.is_empty() {
            return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
        }
        let (key, kind) = match container {
            Some(_) => ("containerResource", "ContainerResource"),
            None => ("resource", "Resource"),
        };
        let mut shown = json!({"type": kind, key: {"name": name}});
        if let Some(container) = container {
            shown[key]["container"] = container.into();
        }
        let current = self.replicas.0;
        if let Some(target) = target(source, "averageValue") {
            let (replicas, average) = recommend::by_value(current, target, &usage, &groups, self.tolerance)
                .ok_or("no metrics returned matched known pods")?;
            shown[key]["current"] = json!({"averageValue": amount(name, average)});
            return Ok(Recommendation { replicas, metric: format!("{name} resource"), shown });
        }
        let Some(target) = source["target"]["averageUtilization"].as_i64().filter(|target| *target > 0)
        else {
            return Err("!invalid resource metric source: neither an average utilization target nor an average value (usage) \
                target was set"
                .to_owned());
        };
        let requests = recommend::requests(self.pods, name, container)?;
        let (replicas, percent, average) =
            recommend::by_utilization(current, target, &usage, &requests, &groups, self.tolerance)
                .ok_or("no metrics returned matched known pods")?;
        shown[key]["current"] = json!({"averageUtilization": percent, "averageValue": amount(name, average)});
        let of = if container.is_some() { "container resource" } else { "resource" };
        let metric = format!("{name} {of} utilization (percentage of request)");
        Ok(Recommendation { replicas, metric, shown })
    }

    /// What each pod uses of a resource, in thousandths.
    async fn usage(&self, name: &str, container: Option<&str>) -> Result<BTreeMap<String, i64>, String> {
        let selector = self.selector.replace('%', "%25").replace(',', "%2C").replace(' ', "%20");
        let namespace = self.namespace;
        let path =
            format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={selector}");
        let answer = get(self.shell, &path).await.map_err(|error| {
            let why = refusal(&error, "pods.metrics.k8s.io");
            format!("unable to fetch metrics from resource metrics API: {why}")
        })?;
        let mut usage = BTreeMap::new();
        for pod in answer["items"].as_array().into_iter().flatten() {
            let containers = pod["containers"].as_array().into_iter().flatten();
            let mut wanted = containers.filter(|c| container.is_none_or(|name| c["name"] == name)).peekable();
            // A pod without a number for each container has none.
            if wanted.peek().is_none() {
                continue;
            }
            let used: Option<i64> = wanted.map(|c| milli(&c["usage"][name])).sum();
            if let Some(used) = used {
                usage.insert(meta::name(pod).to_owned(), used);
            }
        }
        if answer["items"].as_array().is_none_or(Vec::is_empty) {
            return Err("no metrics returned from resource metrics API".to_owned());
        }
        Ok(usage)
    }

    async fn per_pod(&self, source: &Value) -> Result<Recommendation, String> {
        let name = metric_name(source);
        let failed = |why: String| format!("unable to get metric {name}: {why}");
        let path = format!("namespaces/{}/pods/*/{name}", self.namespace);
        let answer = get(self.shell, &format!("/apis/custom.metrics.k8s.io/v1beta1/{path}")).await.map_err(
            |error| {
                failed(format!("unable to fetch metrics from custom metrics API: {}", custom_refusal(&error)))
            },
        )?;
        let read = |item: &Value| {
            Some((item["describedObject"]["name"].as_str()?.to_owned(), milli(&item["value"])?))
        };
        let items = answer["items"].as_array().into_iter().flatten();
        let mut usage: BTreeMap<_, _> = items.filter_map(read).collect();
        if usage.is_empty() {
            return Err(failed("no metrics returned from custom metrics API".to_owned()));
        }
        if self.pods.is_empty() {
            return Err("no pods returned by selector while calculating replica count".to_owned());
        }
        let groups = recommend::group(self.pods, &mut usage, false, self.shell.now());
        let target = target(source, "averageValue").ok_or("no target value")?;
        let (replicas, average) =
            recommend::by_value(self.replicas.0, target, &usage, &groups, self.tolerance)
                .ok_or("did not receive metrics for targeted pods (pods might be unready)")?;
        let shown = json!({"type": "Pods", "pods": {"metric": source["metric"],
            "current": {"averageValue": Quantity::from_milli(average).to_string()}}});
        Ok(Recommendation { replicas, metric: format!("pods metric {name}"), shown })
    }

    async fn object(&self, source: &Value) -> Result<Recommendation, String> {
        let name = metric_name(source);
        let described = &source["describedObject"];
        let text = |field: &str| described[field].as_str().unwrap_or("").to_owned();
        let group =
            text("apiVersion").split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
        let resource = format!("{}s{group}/{}", text("kind").to_lowercase(), text("name"));
        let path =
            format!("/apis/custom.metrics.k8s.io/v1beta1/namespaces/{}/{resource}/{name}", self.namespace);
        let answer = get(self.shell, &path).await.map_err(|error| {
            let why = format!("unable to fetch metrics from custom metrics API: {}", custom_refusal(&error));
            // The order of words is Kubernetes' own.
            let told = format!("{} on {} {}/{why}", text("kind"), self.namespace, text("name"));
            let told = format!("unable to get metric {name}: {told}");
            if target(source, "value").is_some() {
                told
            } else {
                format!("failed to get {name} object metric: {told}")
            }
        })?;
        let total = answer["items"][0]["value"].clone();
        let total =
            milli(&total).ok_or_else(|| format!("unable to get metric {name}: no metrics returned"))?;
        let (replicas, current, metric) = match (target(source, "value"), target(source, "averageValue")) {
            (Some(wanted), _) => {
                let (replicas, current) = self.by_total(total, wanted)?;
                (replicas, current, format!("{} metric {name}", text("kind")))
            }
            (None, Some(wanted)) => {
                let (replicas, current) = self.by_share(total, wanted);
                let selector = words::selector(&source["metric"]["selector"]);
                (replicas, current, format!("external metric {name}({selector})"))
            }
            (None, None) => {
                return Err(
                    "invalid object metric source: neither a value target nor an average value target was set".to_owned()
                );
            }
        };
        let shown = json!({"type": "Object",
            "object": {"metric": source["metric"], "describedObject": described, "current": current}});
        Ok(Recommendation { replicas, metric, shown })
    }

    async fn external(&self, source: &Value) -> Result<Recommendation, Failure> {
        const REASON: &str = "FailedGetExternalMetric";
        let name = metric_name(source);
        let what = format!("{name} external metric value");
        let (average, value) = (target(source, "averageValue"), target(source, "value"));
        let Some(wanted) = average.or(value) else {
            let told =
                "invalid external metric source: neither a value target nor an average value target was set";
            return Err(fail(REASON, &what, told.to_owned()));
        };
        let failed = |told: String| {
            let inner = match average {
                Some(_) => format!("failed to get {name} external metric: {told}"),
                None => format!("failed to get external metric {name}: {told}"),
            };
            Failure { reason: REASON, summary: format!("failed to get {what}: {inner}"), message: told }
        };
        let selector = words::selector(&source["metric"]["selector"]);
        let path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{}/{name}", self.namespace);
        let told = |why: String| {
            let namespace = self.namespace;
            failed(format!("unable to get external metric {namespace}/{name}/{selector}: {why}"))
        };
        let answer = get(self.shell, &path).await.map_err(|error| {
            let why = refusal(&error, &format!("{name}.external.metrics.k8s.io"));
            told(format!("unable to fetch metrics from external metrics API: {why}"))
        })?;
        let items = answer["items"].as_array().into_iter().flatten();
        let values: Vec<i64> = items.filter_map(|item| milli(&item["value"])).collect();
        if values.is_empty() {
            return Err(told("no metrics returned from external metrics API".to_owned()));
        }
        let total = values.iter().fold(0i64, |sum, value| sum.saturating_add(*value));
        let (replicas, current) = match average {
            Some(wanted) => self.by_share(total, wanted),
            None => self.by_total(total, wanted).map_err(failed)?,
        };
        let shown = json!({"type": "External", "external": {"metric": source["metric"], "current": current}});
        Ok(Recommendation { replicas, metric: format!("external metric {name}({selector})"), shown })
    }

    /// A value for all pods together: of the ready ones as many as it takes.
    fn by_total(&self, total: i64, wanted: i64) -> Result<(i64, Value), String> {
        let shown = json!({"value": Quantity::from_milli(total).to_string()});
        let ratio = total as f64 / wanted as f64;
        let current = self.replicas.0;
        if current == 0 {
            return Ok((ratio.ceil() as i64, shown));
        }
        if self.tolerance.holds(ratio) {
            return Ok((current, shown));
        }
        if self.pods.is_empty() {
            let why = "no pods returned by selector while calculating replica count";
            return Err(format!("unable to calculate ready pods: {why}"));
        }
        let ready =
            |pod: &&Arc<Value>| pod["status"]["phase"] == "Running" && crate::common::pods::is_ready(pod);
        let ready = self.pods.iter().filter(ready).count();
        Ok(((ratio * ready as f64).ceil() as i64, shown))
    }

    /// A value that is shared among the pods.
    fn by_share(&self, total: i64, wanted: i64) -> (i64, Value) {
        let now = self.replicas.1;
        let ratio = total as f64 / (wanted as f64 * now as f64);
        let replicas =
            if self.tolerance.holds(ratio) { now } else { (total as f64 / wanted as f64).ceil() as i64 };
        let each = (total as f64 / now.max(1) as f64).ceil() as i64;
        (replicas, json!({"averageValue": Quantity::from_milli(each).to_string()}))
    }
}

fn fail(reason: &'static str, what: &str, message: String) -> Failure {
    Failure { reason, summary: format!("failed to get {what}: {message}"), message }
}

fn metric_name(source: &Value) -> String {
    source["metric"]["name"].as_str().unwrap_or("").to_owned()
}

fn milli(value: &Value) -> Option<i64> {
    Quantity::from_json(value).ok().map(|quantity| quantity.milli_value())
}

fn target(source: &Value, field: &str) -> Option<i64> {
    milli(&source["target"][field]).filter(|target| *target > 0)
}

/// Memory is shown in powers of 1024, the rest in thousandths.
fn amount(resource: &str, milli: i64) -> String {
    if resource != "memory" {
        return Quantity::from_milli(milli).to_string();
    }
    let bytes = milli.saturating_add(999) / 1000;
    let units = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let fits = units.iter().find(|(_, bits)| bytes > 0 && bytes % (1i64 << bits) == 0);
    fits.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_as_kubernetes_shows_them() {
        let shown = [
            amount("cpu", 250),
            amount("cpu", 2000),
            amount("memory", 104_857_600_000),
            amount("memory", 1500),
        ];
        assert_eq!(shown, ["250m", "2", "100Mi", "2"]);
    }

    #[test]
    fn refusals_are_told_in_a_clients_words() {
        assert_eq!(
            refusal(&ApiError::NoSuchPath, "pods.metrics.k8s.io"),
            "the server could not find the requested resource (get pods.metrics.k8s.io)"
        );
        assert_eq!(
            custom_refusal(&ApiError::NoSuchPath),
            "no custom metrics API (custom.metrics.k8s.io) registered"
        );
    }
}
