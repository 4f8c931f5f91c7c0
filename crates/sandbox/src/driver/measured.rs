//! What the simulated nodes measure, and their kubelets' own HTTP API.

use super::{Shared, now};
use crate::{spec, usage};
use bytes::Bytes;
use client::Body;
use futures::future::BoxFuture;
use http::{Response, StatusCode, header};
use node::{Metrics, Sample};
use object::{ApiError, Result, Value, json, meta};
use std::sync::{Arc, OnceLock};

/// Samples of all that runs here; none before the nodes have started.
pub(super) struct Measured(pub Arc<OnceLock<Arc<Shared>>>);

fn sample(object: &Value, usage: Value) -> Sample {
    Sample {
        namespace: meta::namespace(object).to_owned(),
        name: meta::name(object).to_owned(),
        timestamp: object::time::format(now()),
        window: "15s".into(),
        usage,
    }
}

impl Metrics for Measured {
    fn available(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(self.0.get().is_some()))
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<Sample>>> {
        let samples = self.0.get().map(|shared| {
            let nodes = shared.cache.values(&shared.resources.nodes, "");
            let ours = nodes.iter().filter(|node| shared.node_index(meta::name(node)).is_some());
            ours.map(|node| sample(node, shared.used_by(meta::name(node)).quantities())).collect()
        });
        Box::pin(std::future::ready(Ok(samples.unwrap_or_default())))
    }

    fn pods(&self, namespace: &str) -> BoxFuture<'_, Result<Vec<Sample>>> {
        let samples = self.0.get().map(|shared| {
            let pods = shared.cache.values(&shared.resources.pods, namespace);
            let ours = pods.iter().filter(|pod| shared.node_index(spec::node_name(pod)).is_some());
            ours.filter_map(|pod| Some(sample(pod, containers(pod)?))).collect()
        });
        Box::pin(std::future::ready(Ok(samples.unwrap_or_default())))
    }
}

/// Pods of which nothing runs are not measured.
fn containers(pod: &Value) -> Option<Value> {
    let used = usage::of_pod(pod);
    let list: Vec<Value> =
        used.into_iter().map(|(name, used)| json!({"name": name, "usage": used.quantities()})).collect();
    (!list.is_empty()).then(|| list.into())
}

impl Shared {
    fn pods_on(&self, node: &str) -> Vec<Arc<Value>> {
        let mut pods = self.cache.values(&self.resources.pods, "");
        pods.retain(|pod| spec::node_name(pod) == node);
        pods
    }

    fn used_by(&self, node: &str) -> usage::Usage {
        usage::of_node(self.pods_on(node).iter().map(Arc::as_ref))
    }

    /// Answers a GET of `node`'s kubelet.
    pub(super) fn kubelet_answer(&self, node: &str, path: &str) -> Result<Response<Body>> {
        let away = || {
            ApiError::ServiceUnavailable(format!(
                "error trying to reach service: node {node} is not simulated here"
            ))
        };
        self.node_index(node).ok_or_else(away)?;
        let object = self.cache.get(&self.resources.nodes, "", node).ok_or_else(away)?;
        let pods = self.pods_on(node);
        let pods: Vec<&Value> = pods.iter().map(Arc::as_ref).collect();
        let time = now();
        let (kind, body) = match path.split('?').next().unwrap_or("").trim_end_matches('/') {
            "/healthz" | "/healthz/ping" | "/healthz/syncloop" => (TEXT, "ok".to_owned()),
            "/stats/summary" => {
                (JSON, usage::summary(&object, &pods, &object::time::format(time)).to_string())
            }
            "/metrics/resource" => {
                (METRICS, usage::resource_metrics(&object, &pods, time.as_millisecond() as f64 / 1000.0))
            }
            "/metrics/probes" | "/metrics/cadvisor" | "/metrics" => (METRICS, String::new()),
            "/pods" | "/runningpods" => (JSON, pod_list(&pods)),
            "/configz" => (JSON, json!({"kubeletconfig": {"maxPods": self.options.pods}}).to_string()),
            _ => return Ok(answer(StatusCode::NOT_FOUND, TEXT, "404 page not found\n".to_owned())),
        };
        Ok(answer(StatusCode::OK, kind, body))
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

fn pod_list(pods: &[&Value]) -> String {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}).to_string()
}

fn answer(code: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut answer = Response::new(Body::Full(Bytes::from(body)));
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}
