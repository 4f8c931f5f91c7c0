//! The Endpoints of a service: addresses by the set of ports they serve, ready ones apart from the others.

use super::{HEADLESS, Selecting, TRIGGER_TIME};
use crate::common::pods;
use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{ENDPOINTS, PODS, SERVICES};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, meta};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses beyond this are left out; slices have them.
const CAPACITY: usize = 1000;

#[derive(Default)]
pub(crate) struct EndpointsController {
    selecting: Selecting,
}

impl Controller for EndpointsController {
    fn name(&self) -> &'static str {
        "endpoints-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SERVICES, &PODS, &ENDPOINTS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&ENDPOINTS) {
            let entry = change.entry();
            add(Key::new(&entry.namespace, &entry.name));
        } else {
            super::services_of(&self.selecting, change, add);
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let current = cache.get(&ENDPOINTS, &key.namespace, &key.name);
        let Some(service) = cache.get(&SERVICES, &key.namespace, &key.name) else {
            return Plan::of(
                current.iter().filter(|e| is_ours(e)).map(|e| Action::delete(&ENDPOINTS, e)).collect(),
            );
        };
        let Some(selector) = super::selector(&service) else { return Plan::nothing() };
        let behind = super::pods_behind(cache, &service, &selector, super::publishes_not_ready(&service));
        let wanted = wanted(&service, &behind);
        if current.as_ref().is_some_and(|current| says_the_same(current, &wanted)) {
            return Plan::nothing();
        }
        Plan::of(vec![write(&service, &behind, current.as_deref(), wanted)])
    }
}

/// Leaders of old elections and people make Endpoints of their own, without a service.
fn is_ours(endpoints: &Value) -> bool {
    meta::label(endpoints, MANAGED_BY) == Some("endpoint-controller")
}

struct Wanted {
    labels: Value,
    subsets: Vec<Value>,
    truncated: bool,
}

fn wanted(service: &Value, behind: &[Arc<Value>]) -> Wanted {
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    if super::is_headless(service) {
        labels.insert(HEADLESS.into(), "".into());
    } else {
        labels.remove(HEADLESS);
    }
    labels.insert(MANAGED_BY.into(), "endpoint-controller".into());
    let (subsets, truncated) = subsets(service, behind);
    Wanted { labels: labels.into(), subsets, truncated }
}

/// Ready and other addresses, by uid, of one set of ports.
#[derive(Default)]
struct Group {
    ready: Vec<Value>,
    not_ready: Vec<Value>,
}

fn subsets(service: &Value, behind: &[Arc<Value>]) -> (Vec<Value>, bool) {
    let family = service["spec"]["ipFamilies"][0].as_str().unwrap_or("IPv4");
    let portless = service["spec"]["ports"].as_array().is_none_or(Vec::is_empty);
    // Addresses that serve the same ports are one subset.
    let mut groups: BTreeMap<String, (Vec<Value>, Group)> = BTreeMap::new();
    let mut count = 0;
    for pod in behind {
        let Some(ip) = super::ips(pod).into_iter().find(|ip| super::family(ip) == family) else { continue };
        let mut ports = super::ports(service, pod);
        if ports.is_empty() && !(portless && super::is_headless(service)) {
            continue;
        }
        count += 1;
        if count > CAPACITY {
            break;
        }
        ports.iter_mut().for_each(unnamed);
        ports.sort_by_key(Value::to_string);
        let group =
            &mut groups.entry(Value::from(ports.clone()).to_string()).or_insert((ports, Group::default())).1;
        let ready = pods::is_ready(pod) || super::publishes_not_ready(service);
        let list = if ready { &mut group.ready } else { &mut group.not_ready };
        list.push(address(service, pod, ip));
    }
    (groups.into_values().map(subset).collect(), count > CAPACITY)
}

/// An Endpoints port without a name has no `name` at all.
fn unnamed(port: &mut Value) {
    if port["name"] == ""
        && let Some(map) = port.as_object_mut()
    {
        map.remove("name");
    }
}

fn subset((ports, mut group): (Vec<Value>, Group)) -> Value {
    let mut subset = Map::new();
    for (field, addresses) in [("addresses", &mut group.ready), ("notReadyAddresses", &mut group.not_ready)] {
        addresses.sort_by(|a, b| {
            (a["ip"].as_str(), a["targetRef"]["uid"].as_str())
                .cmp(&(b["ip"].as_str(), b["targetRef"]["uid"].as_str()))
        });
        if !addresses.is_empty() {
            subset.insert(field.into(), std::mem::take(addresses).into());
        }
    }
    if !ports.is_empty() {
        subset.insert("ports".into(), ports.into());
    }
    subset.into()
}

fn address(service: &Value, pod: &Value, ip: &str) -> Value {
    let mut address = json!({"ip": ip, "targetRef": super::target_ref(pod)});
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        address["nodeName"] = node.into();
    }
    if let Some(hostname) = super::hostname(service, pod) {
        address["hostname"] = hostname.into();
    }
    address
}

fn says_the_same(current: &Value, wanted: &Wanted) -> bool {
    let empty = Vec::new();
    let subsets = current["subsets"].as_array().unwrap_or(&empty);
    let truncated = meta::annotation(current, OVER_CAPACITY) == Some("truncated");
    *subsets == wanted.subsets
        && current["metadata"]["labels"] == wanted.labels
        && truncated == wanted.truncated
}

fn write(service: &Value, behind: &[Arc<Value>], current: Option<&Value>, wanted: Wanted) -> Action {
    let fresh = || {
        json!({"apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": meta::name(service), "namespace": meta::namespace(service)}})
    };
    let mut endpoints = current.cloned().unwrap_or_else(fresh);
    meta::set(&mut endpoints, "labels", wanted.labels);
    if let Some(map) = endpoints["metadata"]["annotations"].as_object_mut() {
        map.remove(OVER_CAPACITY);
        map.remove(TRIGGER_TIME);
    }
    if let Some(time) = super::trigger_time(service, behind, current.as_slice()) {
        meta::set_annotation(&mut endpoints, TRIGGER_TIME, &time);
    }
    if wanted.truncated {
        meta::set_annotation(&mut endpoints, OVER_CAPACITY, "truncated");
    }
    if let Some(map) = endpoints.as_object_mut() {
        if wanted.subsets.is_empty() {
            map.remove("subsets")
        } else {
            map.insert("subsets".into(), wanted.subsets.into())
        };
    }
    let failed = |reason, word: &str| {
        let message = format!(
            "Failed to {word} endpoint {}/{}: {{error}}",
            meta::namespace(service),
            meta::name(service)
        );
        Event::warning(service, reason, message)
    };
    match current {
        None => {
            Action::create(&ENDPOINTS, endpoints).told_failure(failed("FailedToCreateEndpoint", "create"))
        }
        Some(_) => {
            Action::update(&ENDPOINTS, endpoints).told_failure(failed("FailedToUpdateEndpoint", "update"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::snapshot;
    use crate::plan::Verb;

    fn service() -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "a", "labels": {"l": "1"}},
            "spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]}})
    }

    fn pod(name: &str, ip: &str, port: i64, ready: bool) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a", "labels": {"app": "web"}},
            "spec": {"nodeName": "n", "containers": [{"ports": [{"name": "http", "containerPort": port}]}]},
            "status": {"podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    fn subsets_of(objects: Vec<Value>) -> Value {
        let plan = EndpointsController::default().plan(
            &snapshot(objects),
            &Key::new("a", "web"),
            Timestamp::UNIX_EPOCH,
        );
        let Verb::Create(made) = &plan.actions[0].verb else { panic!() };
        made["subsets"].clone()
    }

    #[test]
    fn addresses_are_grouped_by_ports_and_readiness() {
        let made = subsets_of(vec![
            service(),
            pod("c", "10.1.0.3", 8080, true),
            pod("a", "10.1.0.1", 8080, false),
            pod("b", "10.1.0.2", 9090, true),
        ]);
        assert_eq!(made[0]["addresses"][0]["ip"], "10.1.0.3");
        assert_eq!(made[0]["notReadyAddresses"][0]["targetRef"]["name"], "a");
        assert_eq!(made[0]["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
        assert_eq!(made[1]["ports"][0]["port"], 9090);
    }

    #[test]
    fn nothing_is_written_twice() {
        let cache = snapshot(vec![service(), pod("a", "10.1.0.1", 80, true)]);
        let plan = EndpointsController::default().plan(&cache, &Key::new("a", "web"), Timestamp::UNIX_EPOCH);
        let Verb::Create(mut made) = plan.actions[0].verb.clone() else { panic!() };
        meta::set(&mut made, "resourceVersion", "9");
        cache.track(&ENDPOINTS, client::Keep::Full);
        cache.observe(&ENDPOINTS, &made);
        assert!(
            EndpointsController::default()
                .plan(&cache, &Key::new("a", "web"), Timestamp::UNIX_EPOCH)
                .actions
                .is_empty()
        );
    }

    #[test]
    fn endpoints_of_no_service_go_only_if_they_were_ours() {
        let foreign =
            json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "a"}});
        let mut ours = foreign.clone();
        meta::set_label(&mut ours, MANAGED_BY, "endpoint-controller");
        let count = |endpoints| {
            let plan = EndpointsController::default().plan(
                &snapshot(vec![endpoints]),
                &Key::new("a", "web"),
                Timestamp::UNIX_EPOCH,
            );
            plan.actions.len()
        };
        assert_eq!((count(foreign), count(ours)), (0, 1));
    }
}
