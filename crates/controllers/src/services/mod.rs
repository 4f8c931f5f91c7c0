//! Who is behind a service: Endpoints and EndpointSlices.

pub(crate) mod cidrs;
pub(crate) mod endpoint_slices;
pub(crate) mod endpoints;
pub(crate) mod mirroring;
mod selecting;
mod slices;

use crate::common::pods;
use crate::plan::Key;
use crate::resources::{PODS, SERVICES};
use client::{Cache, Change};
use object::{LabelSelector, meta};
use selecting::Selecting;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::sync::Arc;

pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// The services that a change of services or pods concerns.
fn services_of(selecting: &Selecting, change: &Change, add: &mut dyn FnMut(Key)) {
    if change.is(&SERVICES) {
        let entry = change.entry();
        selecting.changed(change);
        return add(Key::new(&entry.namespace, &entry.name));
    }
    if !change.is(&PODS) {
        return;
    }
    let services: Vec<String> = change.both().flat_map(|pod| selecting.of(pod)).collect();
    // Most pods are behind no service: those are not even read.
    if services.is_empty() || !matters(change) {
        return;
    }
    let namespace = &change.entry().namespace;
    services.iter().for_each(|service| add(Key::new(namespace, service)));
}

/// Whether a pod changed in what endpoints tell.
fn matters(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    if old.labels != new.labels || old.deleting != new.deleting {
        return true;
    }
    let (Some(old), Some(new)) = (old.value(), new.value()) else { return true };
    let told = |pod: &Value| {
        let status = &pod["status"];
        let spec = &pod["spec"];
        (
            (pods::is_ready(pod), pods::is_finished(pod), status["podIPs"].clone(), status["podIP"].clone()),
            (spec["nodeName"].clone(), spec["hostname"].clone(), spec["subdomain"].clone()),
        )
    };
    told(&old) != told(&new)
}

/// The selector of a service whose endpoints are ours to keep.
fn selector(service: &Value) -> Option<LabelSelector> {
    let map = &service["spec"]["selector"];
    let ours =
        map.as_object().is_some_and(|map| !map.is_empty()) && service["spec"]["type"] != "ExternalName";
    ours.then(|| LabelSelector::from_map(map))
}

fn publishes_not_ready(service: &Value) -> bool {
    service["spec"]["publishNotReadyAddresses"] == true
}

fn is_headless(service: &Value) -> bool {
    matches!(service["spec"]["clusterIP"].as_str(), None | Some("" | "None"))
}

/// The pods behind a service that have an address and are not over, by name.
fn pods_behind(
    cache: &Cache,
    service: &Value,
    selector: &LabelSelector,
    terminating: bool,
) -> Vec<Arc<Value>> {
    let pods = cache.select(&PODS, meta::namespace(service), selector);
    let usable = |pod: &Arc<Value>| !pods::is_finished(pod) && !ips(pod).is_empty();
    pods.iter()
        .filter(|pod| terminating || !pod.deleting)
        .filter_map(|pod| pod.value())
        .filter(usable)
        .collect()
}

/// All addresses of a pod.
fn ips(pod: &Value) -> Vec<&str> {
    let all: Vec<_> =
        pod["status"]["podIPs"].as_array().into_iter().flatten().filter_map(|ip| ip["ip"].as_str()).collect();
    if all.is_empty() {
        pod["status"]["podIP"].as_str().filter(|ip| !ip.is_empty()).into_iter().collect()
    } else {
        all
    }
}

/// `IPv4` or `IPv6`.
fn family(ip: &str) -> &'static str {
    if ip.contains(':') { "IPv6" } else { "IPv4" }
}

/// The ports of a service as this pod serves them; a named port that the pod does not have is left out.
fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let of = |port: &Value| {
        let number = target(port, pod)?;
        let mut made = Map::new();
        made.insert("name".into(), port["name"].as_str().unwrap_or("").into());
        made.insert("port".into(), number.into());
        made.insert("protocol".into(), port["protocol"].as_str().unwrap_or("TCP").into());
        if let Some(protocol) = port["appProtocol"].as_str() {
            made.insert("appProtocol".into(), protocol.into());
        }
        Some(made.into())
    };
    service["spec"]["ports"].as_array().into_iter().flatten().filter_map(of).collect()
}

fn target(port: &Value, pod: &Value) -> Option<i64> {
    let name = match &port["targetPort"] {
        Value::Number(number) if number.as_i64() != Some(0) => return number.as_i64(),
        Value::String(name) => name,
        _ => return port["port"].as_i64(),
    };
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    let sidecars = pod["spec"]["initContainers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|c| c["restartPolicy"] == "Always");
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten().chain(sidecars);
    let mut known = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let same = |p: &&Value| p["name"] == **name && p["protocol"].as_str().unwrap_or("TCP") == protocol;
    known.find(same).and_then(|p| p["containerPort"].as_i64())
}

/// A pod's host name, where the service is its subdomain.
fn hostname<'a>(service: &Value, pod: &'a Value) -> Option<&'a str> {
    let named = pod["spec"]["subdomain"] == service["metadata"]["name"];
    pod["spec"]["hostname"].as_str().filter(|hostname| named && !hostname.is_empty())
}

fn target_ref(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": meta::namespace(pod), "name": meta::name(pod), "uid": meta::uid(pod)})
}

/// When what is about to be told changed: the oldest change of a pod's readiness that is not told in `told` (what is there),
/// or the making of the service. Without such a change there is no time to tell.
fn trigger_time(service: &Value, pods: &[Arc<Value>], told: &[&Value]) -> Option<String> {
    if told.is_empty() {
        return meta::creation_timestamp(service).map(str::to_owned);
    }
    let known: HashSet<&str> = told.iter().flat_map(|object| told_pods(object)).collect();
    let last = told.iter().filter_map(|object| meta::annotation(object, TRIGGER_TIME)).max();
    let times = pods.iter().filter_map(|pod| {
        let ready = crate::common::conditions::find(&pod["status"]["conditions"], "Ready")?;
        let time = ready["lastTransitionTime"].as_str()?;
        let is_news = !known.contains(meta::uid(pod)) || last.is_some_and(|last| time > last);
        is_news.then(|| time.to_owned())
    });
    times.min()
}

/// The uids of the pods in an EndpointSlice or in Endpoints.
fn told_pods(object: &Value) -> impl Iterator<Item = &str> {
    let subsets = list(&object["subsets"]);
    let addresses = subsets.flat_map(|s| list(&s["addresses"]).chain(list(&s["notReadyAddresses"])));
    list(&object["endpoints"]).chain(addresses).filter_map(|endpoint| endpoint["targetRef"]["uid"].as_str())
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}
