//! `metrics.k8s.io/v1beta1` where whoever runs the pods measures them: what a metrics server answers elsewhere.
//!
//! Which pods and nodes there are, and their labels, is read from this cluster's store; only figures come from outside, so
//! that nothing shows but what is this cluster's. An APIService that leads to a metrics server takes its place.

use crate::aggregation::Remotes;
use crate::call::{Call, Target};
use crate::negotiate::{self, Accepted, Offer, Shape};
use crate::request::ResourcePath;
use crate::respond::{self, Answer};
use crate::selection::Selection;
use crate::serve::not_allowed;
use crate::{Api, failure, keys};
use http::Method;
use kinds::Registry;
use node::{Metrics, Sample};
use object::{ApiError, GroupResource, GroupVersion, Quantity, Result, Value, json, meta};
use openapi::AggregatedVersion;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use store::ListRequest;

const GROUP: &str = "metrics.k8s.io";
const VERSION: &str = "v1beta1";
const API_VERSION: &str = "metrics.k8s.io/v1beta1";
/// Its APIService.
const SERVICE: &str = "v1beta1.metrics.k8s.io";

fn source(api: &Api) -> Option<Arc<dyn Metrics>> {
    api.config.kubelet.as_ref()?.metrics()
}

/// Whether it is served here.
pub(crate) async fn served(api: &Api, remotes: &Remotes) -> bool {
    match source(api) {
        Some(metrics) if !remotes.serves(SERVICE) => metrics.available().await,
        _ => false,
    }
}

/// For discovery.
pub(crate) fn version() -> AggregatedVersion {
    let resource = |name: &str, kind: &str, scope: &str| {
        json!({
            "resource": name, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": scope,
            "singularResource": "", "verbs": ["get", "list"],
        })
    };
    AggregatedVersion {
        group_version: GroupVersion::new(GROUP, VERSION),
        group_priority: 100,
        priority: 100,
        fresh: true,
        resources: vec![
            resource("nodes", "NodeMetrics", "Cluster"),
            resource("pods", "PodMetrics", "Namespaced"),
        ],
        openapi_v3: None,
        openapi_v2: None,
    }
}

/// Answers a request below the group version, if it is served here.
pub(crate) async fn answer(call: &Call) -> Result<Option<Answer>> {
    let path = call.info.path.trim_end_matches('/');
    let Some(rest) = path.strip_prefix("/apis/metrics.k8s.io/v1beta1") else { return Ok(None) };
    let Some(metrics) = source(&call.api) else { return Ok(None) };
    if !rest.is_empty() && !rest.starts_with('/') || !metrics.available().await {
        return Ok(None);
    }
    let get = matches!(call.method, Method::GET | Method::HEAD);
    match &call.info.resource {
        None if rest.is_empty() && get => Ok(Some(resource_list())),
        Some(at) if at.subresource.is_empty() && matches!(at.resource.as_str(), "pods" | "nodes") => {
            if !get || call.info.verb == "watch" {
                return Err(not_allowed());
            }
            measured(call, metrics.as_ref(), at).await.map(Some)
        }
        _ => Err(ApiError::NoSuchPath),
    }
}

fn resource_list() -> Answer {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API_VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    });
    respond::bytes(200, "application/json", list.to_string())
}

async fn measured(call: &Call, metrics: &dyn Metrics, at: &ResourcePath) -> Result<Answer> {
    let accepted = negotiate::accept(
        &call.headers,
        Offer {
            protobuf: false,
            shapes: false,
            tables: true,
            stream: false,
            first: Some("application/json, application/yaml"),
        },
    )?;
    let (kind, samples) = match at.resource.as_str() {
        "nodes" => ("NodeMetrics", metrics.nodes().await?),
        _ => ("PodMetrics", metrics.pods(&at.namespace).await?),
    };
    let by_name: HashMap<(&str, &str), &Sample> =
        samples.iter().map(|s| ((s.namespace.as_str(), s.name.as_str()), s)).collect();
    let objects = objects(call, at).await?;
    if !at.name.is_empty() && objects.is_empty() {
        let resource = GroupResource::new("", &at.resource);
        return Err(ApiError::NotFound { resource, name: at.name.clone() });
    }
    let now = object::time::format(call.now);
    let items: Vec<Value> = objects
        .iter()
        .filter_map(|object| {
            let sample = by_name.get(&(meta::namespace(object), meta::name(object)))?;
            Some(shown(kind, object, sample, &now))
        })
        .collect();
    let answer = match (accepted.shape, at.name.is_empty()) {
        (Shape::Table, _) => table(accepted, &items),
        (_, true) => {
            let list = format!("{kind}List");
            json!({"kind": list, "apiVersion": API_VERSION, "metadata": {}, "items": items})
        }
        (_, false) => items.into_iter().next().ok_or_else(|| {
            let name = match at.namespace.as_str() {
                "" => at.name.clone(),
                namespace => format!("{namespace}/{}", at.name),
            };
            ApiError::NotFound { resource: GroupResource::new(GROUP, kind.to_ascii_lowercase()), name }
        })?,
    };
    let text = match accepted.media {
        negotiate::Media::Yaml => crate::yaml::to_string(&answer),
        _ => answer.to_string(),
    };
    Ok(respond::bytes(200, accepted.media.name(), text))
}

/// The pods or nodes that are asked about.
async fn objects(call: &Call, at: &ResourcePath) -> Result<Vec<Value>> {
    let registry = Registry::builtin();
    let Some(resource) = registry.get("", "v1", &at.resource) else { return Ok(vec![]) };
    let at = ResourcePath { group: String::new(), version: "v1".into(), ..at.clone() };
    let target = Target::new(resource.clone(), at);
    let selection = Selection::new(call, &target)?;
    let entries = match target.at.name.as_str() {
        "" => {
            let prefix = keys::prefix(resource, &target.at.namespace);
            let listing = call.api.store.list(ListRequest { prefix, ..Default::default() }).await;
            listing.map_err(failure::store)?.entries
        }
        _ => call.api.store.get(&target.key()).await.map_err(failure::store)?.0.into_iter().collect(),
    };
    let all = call.api.read_all(&target, &entries).await?;
    Ok(all.into_iter().filter(|object| selection.matches(&target, object)).collect())
}

fn shown(kind: &str, object: &Value, sample: &Sample, now: &str) -> Value {
    let mut metadata = json!({"name": sample.name, "creationTimestamp": now});
    if !sample.namespace.is_empty() {
        metadata["namespace"] = sample.namespace.clone().into();
    }
    if let Some(labels) = object["metadata"]["labels"].as_object().filter(|l| !l.is_empty()) {
        metadata["labels"] = labels.clone().into();
    }
    let what = if kind == "PodMetrics" { "containers" } else { "usage" };
    json!({
        "kind": kind, "apiVersion": API_VERSION, "metadata": metadata,
        "timestamp": sample.timestamp, "window": sample.window, what: sample.usage,
    })
}

/// What `kubectl get podmetrics` shows: the sum of each resource.
fn table(accepted: Accepted, items: &[Value]) -> Value {
    let sums: Vec<BTreeMap<&str, Quantity>> = items.iter().map(sum).collect();
    let names: Vec<&str> = sums.first().into_iter().flat_map(|s| s.keys().copied()).collect();
    let column = |name: &str, format: &str, description: &str| json!({"name": name, "type": "string", "format": format, "description": description, "priority": 0});
    let mut columns = vec![column("Name", "name", "Name of the resource")];
    columns.extend(names.iter().map(|name| column(name, "quantity", "")));
    columns.push(column("Window", "duration", ""));
    let rows: Vec<Value> = items
        .iter()
        .zip(&sums)
        .map(|(item, sum)| {
            let mut cells = vec![item["metadata"]["name"].clone()];
            let amount = |name: &&str| sum.get(name).map_or(String::new(), Quantity::to_string).into();
            cells.extend(names.iter().map(amount));
            cells.push(item["window"].clone());
            json!({"cells": cells, "object": respond::partial(item.clone(), accepted)})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": accepted.meta_version(), "metadata": {},
        "columnDefinitions": columns, "rows": rows,
    })
}

fn sum(item: &Value) -> BTreeMap<&str, Quantity> {
    let containers = item["containers"].as_array().into_iter().flatten().map(|c| &c["usage"]);
    let mut sum: BTreeMap<&str, Quantity> = BTreeMap::new();
    for usage in containers.chain([&item["usage"]]) {
        for (name, value) in usage.as_object().into_iter().flatten() {
            let Ok(amount) = Quantity::from_json(value) else { continue };
            let new = sum.get(name.as_str()).map_or(amount.clone(), |old| old.add(&amount));
            sum.insert(name, new);
        }
    }
    sum
}
