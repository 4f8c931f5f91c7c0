//! Pods: made on the host when the tenant made them, gone there when the tenant deletes them, and their status brought back.

use crate::queue::{Key, Kind};
use crate::resources::{NAMESPACES, PODS, SERVICES};
use crate::syncer::Shared;
use crate::{config, events, network_policies, tokens};
use client::DeleteOptions;
use object::{ApiError, Result, Value, json, meta};
use std::borrow::Cow;
use translate::{PodContext, marks};

/// What is to be done about one pod, from both sides' view of it.
#[derive(Debug, PartialEq)]
enum Step {
    Nothing,
    /// Make the host pod.
    Create,
    /// The tenant's pod is gone, or was replaced by another of its name: remove the host pod that has this uid.
    DeleteHost {
        uid: String,
        grace: Option<i64>,
    },
    /// The host pod is gone: let the tenant's go.
    Release,
    /// The host takes the pod down by itself (eviction, preemption, node loss).
    DeleteVirtual {
        grace: i64,
    },
    /// Bring status and metadata up to date.
    Update,
    /// A host object of this name is somebody else's.
    Occupied,
}

fn decide(cluster: &translate::Cluster, pod: Option<&Value>, host: Option<&Value>) -> Step {
    match (pod, host) {
        (None, None) => Step::Nothing,
        (None, Some(host)) => match marks::origin(cluster, host) {
            Some(_) => Step::DeleteHost { uid: meta::uid(host).to_owned(), grace: None },
            None => Step::Nothing,
        },
        (Some(pod), None) => {
            let gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|g| !g.is_empty());
            let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            match meta::deletion_timestamp(pod) {
                Some(_) => Step::Release,
                None if ended => Step::Nothing,
                None if was_there(pod) => Step::Release,
                None if gated => Step::Nothing,
                None => Step::Create,
            }
        }
        (Some(pod), Some(host)) if !marks::belongs(cluster, host, pod) => {
            match marks::origin(cluster, host) {
                // An earlier pod of the same name is still on its way out.
                Some(_) => Step::DeleteHost { uid: meta::uid(host).to_owned(), grace: None },
                None => Step::Occupied,
            }
        }
        (Some(pod), Some(host)) => match (meta::deletion_timestamp(pod), meta::deletion_timestamp(host)) {
            (Some(_), None) => {
                let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_i64();
                Step::DeleteHost { uid: meta::uid(host).to_owned(), grace }
            }
            (None, Some(_)) => Step::DeleteVirtual {
                grace: host["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0),
            },
            _ => Step::Update,
        },
    }
}

/// Whether the host has had the pod. One that names its node from the start has not been there for that alone.
fn was_there(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let scheduled = conditions.any(|c| c["type"] == "PodScheduled" && c["status"] == "True");
    scheduled || pod["status"]["startTime"].is_string()
}

pub(crate) async fn sync(shared: &Shared, namespace: &str, name: &str) -> Result<()> {
    let pod = shared.cache.get(&PODS, namespace, name);
    let host_name = shared.host_name(namespace, name);
    let host = shared.watched.cache.get(&PODS, shared.host_namespace(), &host_name);
    match decide(&shared.cluster, pod.as_deref(), host.as_deref()) {
        Step::Nothing => Ok(()),
        Step::Create => match pod {
            Some(pod) => create(shared, &pod).await,
            None => Ok(()),
        },
        Step::DeleteHost { uid, grace } => delete_host(shared, &host_name, uid, grace).await,
        Step::Release => match pod {
            Some(pod) => release(shared, &pod, 0).await,
            None => Ok(()),
        },
        Step::DeleteVirtual { grace } => match pod {
            Some(pod) => {
                if let Some(host) = &host {
                    update(shared, &pod, host).await?;
                }
                release(shared, &pod, grace).await
            }
            None => Ok(()),
        },
        Step::Update => match (pod, host) {
            (Some(pod), Some(host)) => update(shared, &pod, &host).await,
            _ => Ok(()),
        },
        Step::Occupied => {
            let message = format!("host pod {host_name} belongs to somebody else");
            // One of an earlier pod of this name goes by itself.
            let foreign = host.is_some_and(|host| marks::origin(&shared.cluster, &host).is_none());
            if let Some(pod) = pod.filter(|_| foreign) {
                refuse(shared, &pod, "FailedCreate", &message).await?;
            }
            Err(ApiError::Internal(message))
        }
    }
}

async fn create(shared: &Shared, pod: &Value) -> Result<()> {
    let namespace = meta::namespace(pod);
    let context = PodContext {
        services: services(shared, namespace),
        namespaces: namespaces(shared),
        taints: shared.taints(),
        token_secret: tokens::secret_name(pod),
        directions: network_policies::directions(shared, pod),
    };
    let host = match translate::pod(&shared.cluster, pod, &context) {
        Ok(host) => host,
        Err(refusal) => return refuse(shared, pod, "Refused", &refusal.0).await,
    };
    // Neither needs the other, and the pod's containers wait for both.
    futures::future::try_join(config::ensure_references(shared, pod), tokens::ensure(shared, pod)).await?;
    match shared.host.client.create(&PODS, &host).await {
        Ok(made) => {
            shared.watched.cache.observe(&PODS, &made);
            tokens::adopt(shared, pod, &made).await
        }
        Err(ApiError::AlreadyExists { .. }) => {
            // Made before, and not seen yet.
            let there = shared.host.client.get(&PODS, shared.host_namespace(), meta::name(&host)).await?;
            shared.watched.cache.observe(&PODS, &there);
            shared.queue.add(Key::new(Kind::Pod, namespace, meta::name(pod)));
            Ok(())
        }
        // The host's admission, quota or policy: its words are the tenant's to read.
        Err(error) if matches!(error.code(), 400 | 403 | 422) => {
            refuse(shared, pod, "FailedCreate", &error.message()).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Tells the tenant, by an event and a condition, why a pod does not run.
async fn refuse(shared: &Shared, pod: &Value, reason: &str, message: &str) -> Result<()> {
    let held = pod["status"]["conditions"].as_array().into_iter().flatten();
    if held.into_iter().any(|c| c["type"] == "PodScheduled" && c["message"] == message) {
        return Ok(());
    }
    events::record(shared, pod, "Warning", reason, message).await?;
    let mut pod = pod.clone();
    let now = object::time::format(object::time::now());
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": reason, "message": message, "lastTransitionTime": now, "lastProbeTime": null,
    });
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|c| c["type"] != "PodScheduled");
    conditions.push(condition);
    pod["status"]["conditions"] = conditions.into();
    write_status(shared, &pod).await
}

async fn write_status(shared: &Shared, pod: &Value) -> Result<()> {
    match shared.client.update_status(&PODS, pod).await {
        Ok(written) => {
            shared.cache.observe(&PODS, &written);
            Ok(())
        }
        Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn delete_host(shared: &Shared, host_name: &str, uid: String, grace: Option<i64>) -> Result<()> {
    let options = DeleteOptions { grace_period_seconds: grace, uid: Some(uid), ..DeleteOptions::default() };
    match shared.host.client.delete(&PODS, shared.host_namespace(), host_name, &options).await {
        Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn release(shared: &Shared, pod: &Value, grace: i64) -> Result<()> {
    tokens::forget(shared, pod).await?;
    let options = DeleteOptions {
        grace_period_seconds: Some(grace),
        uid: Some(meta::uid(pod).to_owned()),
        ..DeleteOptions::default()
    };
    match shared.client.delete(&PODS, meta::namespace(pod), meta::name(pod), &options).await {
        Ok(_) | Err(ApiError::NotFound { .. } | ApiError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn update(shared: &Shared, pod: &Value, host: &Value) -> Result<()> {
    let pod = &bind(shared, pod, host).await?;
    // First, so that the host pod's generation tells whether its status is of what the tenant wants by now.
    let mut host = Cow::Borrowed(host);
    let passed_on = pass_on(shared, pod, &mut host).await;
    let status = translate::pod_status(pod, &host);
    if status != pod["status"] && host["status"]["phase"].is_string() {
        let mut changed = pod.clone();
        changed["status"] = status;
        write_status(shared, &changed).await?;
    }
    passed_on?;
    tokens::renew(shared, pod).await
}

/// Changes the host pod as the tenant changed its own; `host` becomes what it is then.
async fn pass_on(shared: &Shared, pod: &Value, host: &mut Cow<'_, Value>) -> Result<()> {
    if let Some(refusal) = translate::refused_debugging(&shared.cluster, pod, host) {
        events::record(shared, pod, "Warning", "Refused", &refusal.0).await?;
    }
    let made = |made: Value| {
        shared.watched.cache.observe(&PODS, &made);
        Cow::Owned(made)
    };
    if let Some(changed) = translate::pod_resize(pod, host)
        && let Some(resized) = resize(shared, pod, &changed).await?
    {
        *host = made(resized);
    }
    let directions = network_policies::directions(shared, pod);
    let changed = translate::pod_update(&shared.cluster, pod, host, directions);
    if let Some(changed) = changed.filter(|_| meta::deletion_timestamp(host).is_none()) {
        *host = made(shared.host.client.update(&PODS, &changed).await?);
    }
    if let Some(changed) = translate::ephemeral_containers(&shared.cluster, pod, host) {
        *host = made(shared.host.client.update_subresource(&PODS, &changed, "ephemeralcontainers").await?);
    }
    Ok(())
}

/// Passes on that the tenant wants other resources for running containers; the host pod as it is then. What the host refuses is
/// told once.
async fn resize(shared: &Shared, pod: &Value, changed: &Value) -> Result<Option<Value>> {
    match shared.host.client.update_subresource(&PODS, changed, "resize").await {
        Ok(made) => Ok(Some(made)),
        Err(error) if matches!(error.code(), 400 | 403 | 404 | 422) => {
            events::record(shared, pod, "Warning", "ResizeRefused", &error.message()).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The host's scheduler chose a node: so it is said in the virtual cluster.
async fn bind(shared: &Shared, pod: &Value, host: &Value) -> Result<Value> {
    let node = host["spec"]["nodeName"].as_str().unwrap_or("");
    let bound = pod["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty());
    if node.is_empty() || bound || meta::deletion_timestamp(pod).is_some() {
        return Ok(pod.clone());
    }
    let (namespace, name) = (meta::namespace(pod), meta::name(pod));
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace, "uid": meta::uid(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    match shared.client.create_subresource(&PODS, namespace, name, "binding", &binding).await {
        Ok(_) | Err(ApiError::Conflict { .. }) => {}
        Err(error) => return Err(error),
    }
    let bound = shared.client.get(&PODS, namespace, name).await?;
    shared.cache.observe(&PODS, &bound);
    Ok(bound)
}

/// The services a pod's variables name: those of its namespace, and the API itself.
fn services(
    shared: &Shared,
    namespace: &str,
) -> std::collections::BTreeMap<String, (String, Vec<(String, i64, String)>)> {
    let mut all = std::collections::BTreeMap::new();
    let own = shared.cache.values(&SERVICES, namespace);
    let api = shared.cache.get(&SERVICES, "default", "kubernetes");
    for service in own.into_iter().chain(api) {
        let address = service["spec"]["clusterIP"].as_str().unwrap_or("");
        if address.is_empty() || address == "None" {
            continue;
        }
        let ports = service["spec"]["ports"].as_array().into_iter().flatten().map(|p| {
            let text = |key: &str| p[key].as_str().unwrap_or("").to_owned();
            (text("name"), p["port"].as_i64().unwrap_or(0), text("protocol"))
        });
        all.insert(meta::name(&service).to_owned(), (address.to_owned(), ports.collect()));
    }
    all
}

/// The virtual namespaces and their labels.
pub(crate) fn namespaces(shared: &Shared) -> translate::Namespaces {
    let entries = shared.cache.list(&NAMESPACES, "");
    let labels = |e: &client::Entry| e.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    entries.iter().map(|e| (e.name.to_string(), labels(e))).collect()
}

/// All of a namespace's pods that use a ConfigMap or Secret of this name, by what they refer to.
pub(crate) fn is_used(shared: &Shared, namespace: &str, kind: &str, name: &str) -> bool {
    let pods = shared.cache.values(&PODS, namespace);
    pods.iter().any(|p| config::references(p).iter().any(|(k, n)| *k == kind && n == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> translate::Cluster {
        translate::Cluster {
            name: "demo".into(),
            host_namespace: "joey-demo".into(),
            policy: translate::Policy::default(),
            dns: None,
            domain: "cluster.local".into(),
            network: Default::default(),
        }
    }

    fn pod(extra: Value) -> Value {
        let mut pod =
            json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u1"}, "spec": {}, "status": {}});
        merge(&mut pod, extra);
        pod
    }

    fn host(uid: &str, extra: Value) -> Value {
        let mut host = json!({"metadata": {
            "name": "p-x-ns-x-demo", "uid": "h1", "labels": {"joey.dev/cluster": "demo"},
            "annotations": {"joey.dev/name": "p", "joey.dev/namespace": "ns", "joey.dev/uid": uid},
        }});
        merge(&mut host, extra);
        host
    }

    fn merge(into: &mut Value, from: Value) {
        for (key, value) in from.as_object().into_iter().flatten() {
            for (inner, value) in value.as_object().into_iter().flatten() {
                into[key][inner] = value.clone();
            }
        }
    }

    #[test]
    fn decides_by_what_both_sides_hold() {
        let deleting = json!({"metadata": {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 7}});
        let gone = |grace| Step::DeleteHost { uid: "h1".into(), grace };
        let rows = [
            (Some(pod(json!({}))), None, Step::Create),
            (Some(pod(json!({"status": {"startTime": "t"}}))), None, Step::Release),
            (
                Some(pod(json!({"status": {"conditions": [{"type": "PodScheduled", "status": "True"}]}}))),
                None,
                Step::Release,
            ),
            (Some(pod(json!({"spec": {"nodeName": "n"}}))), None, Step::Create),
            (Some(pod(json!({"spec": {"schedulingGates": [{"name": "g"}]}}))), None, Step::Nothing),
            (Some(pod(json!({"status": {"startTime": "t", "phase": "Succeeded"}}))), None, Step::Nothing),
            (Some(pod(deleting.clone())), None, Step::Release),
            (Some(pod(deleting.clone())), Some(host("u1", json!({}))), gone(Some(7))),
            (Some(pod(deleting.clone())), Some(host("u1", deleting.clone())), Step::Update),
            (Some(pod(json!({}))), Some(host("u1", deleting)), Step::DeleteVirtual { grace: 7 }),
            (Some(pod(json!({}))), Some(host("older", json!({}))), gone(None)),
            (Some(pod(json!({}))), Some(json!({"metadata": {"name": "p-x-ns-x-demo"}})), Step::Occupied),
            (None, Some(host("u1", json!({}))), gone(None)),
            (None, Some(json!({"metadata": {"name": "p-x-ns-x-demo"}})), Step::Nothing),
        ];
        for (pod, host, step) in rows {
            assert_eq!(decide(&cluster(), pod.as_ref(), host.as_ref()), step, "{pod:?} {host:?}");
        }
    }
}
