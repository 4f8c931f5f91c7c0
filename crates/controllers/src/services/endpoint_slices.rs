//! The EndpointSlices of a service: one endpoint per pod and address family.

use super::slices::{Common, Wanted, reconcile};
use super::{HEADLESS, Selecting, TRIGGER_TIME};
use crate::common::pods;
use crate::plan::{Controller, Key, Plan};
use crate::resources::{ENDPOINT_SLICES, NODES, PODS, SERVICES};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, meta};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const OURS: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Default)]
pub(crate) struct EndpointSliceController {
    selecting: Selecting,
}

impl Controller for EndpointSliceController {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SERVICES, &PODS, &ENDPOINT_SLICES]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&NODES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&ENDPOINT_SLICES) {
            let slice = change.entry();
            if slice.label(MANAGED_BY) == Some(OURS)
                && let Some(service) = slice.label(SERVICE_NAME)
            {
                add(Key::new(&slice.namespace, service));
            }
        } else if change.is(&NODES) {
            let zone = |entry: &Option<Arc<client::Entry>>| {
                entry.as_ref().and_then(|e| e.label(ZONE)).map(str::to_owned)
            };
            if zone(&change.old) != zone(&change.new) {
                cache
                    .list(&SERVICES, "")
                    .iter()
                    .for_each(|service| add(Key::new(&service.namespace, &service.name)));
            }
        } else {
            super::services_of(&self.selecting, change, add);
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        // The slices of a service that is gone are the garbage collector's.
        let Some(service) = cache.get(&SERVICES, &key.namespace, &key.name) else { return Plan::nothing() };
        let Some(selector) = super::selector(&service) else { return Plan::nothing() };
        if meta::deletion_timestamp(&service).is_some() {
            return Plan::nothing();
        }
        let behind = super::pods_behind(cache, &service, &selector, true);
        let existing: Vec<_> = cache
            .list(&ENDPOINT_SLICES, &key.namespace)
            .iter()
            .filter(|slice| {
                slice.label(SERVICE_NAME) == Some(&*key.name) && slice.label(MANAGED_BY) == Some(OURS)
            })
            .filter_map(|slice| slice.value())
            .collect();
        let common = Common {
            owner: &service,
            labels: labels(&service, OURS),
            annotations: annotations(&service, &behind, &existing),
        };
        let mut plan = Plan::nothing();
        let families = families(&service, &behind);
        for family in &families {
            let mut wanted = Wanted::new(family);
            for pod in &behind {
                let addresses: Vec<_> =
                    super::ips(pod).into_iter().filter(|ip| super::family(ip) == family).collect();
                if !addresses.is_empty() {
                    wanted.add(super::ports(&service, pod), endpoint(cache, &service, pod, &addresses));
                }
            }
            hint(&service, &mut wanted);
            let of_family: Vec<_> =
                existing.iter().filter(|slice| slice["addressType"] == **family).cloned().collect();
            plan.actions.extend(reconcile(&common, &of_family, wanted));
        }
        let gone =
            existing.iter().filter(|slice| !families.iter().any(|family| slice["addressType"] == **family));
        plan.actions.extend(gone.map(|slice| crate::plan::Action::delete(&ENDPOINT_SLICES, slice)));
        plan
    }
}

/// The families of a service; one made before there were any has that of its pods.
fn families(service: &Value, behind: &[Arc<Value>]) -> Vec<String> {
    let named = service["spec"]["ipFamilies"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut families: Vec<String> = named.map(str::to_owned).collect();
    if families.is_empty() {
        let ip = behind.first().and_then(|pod| super::ips(pod).first().map(|ip| super::family(ip)));
        families.push(ip.unwrap_or("IPv4").to_owned());
    }
    families
}

pub(super) fn labels(service: &Value, manager: &str) -> Map<String, Value> {
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    if super::is_headless(service) {
        labels.insert(HEADLESS.into(), "".into());
    } else {
        labels.remove(HEADLESS);
    }
    labels.insert(SERVICE_NAME.into(), meta::name(service).into());
    labels.insert(MANAGED_BY.into(), manager.into());
    labels
}

fn annotations(service: &Value, behind: &[Arc<Value>], existing: &[Arc<Value>]) -> BTreeMap<String, String> {
    let told: Vec<&Value> = existing.iter().map(|slice| &**slice).collect();
    let time = super::trigger_time(service, behind, &told);
    time.map(|time| (TRIGGER_TIME.to_owned(), time)).into_iter().collect()
}

fn endpoint(cache: &Cache, service: &Value, pod: &Value, addresses: &[&str]) -> Value {
    let serving = pods::is_ready(pod);
    let terminating = meta::deletion_timestamp(pod).is_some();
    let ready = super::publishes_not_ready(service) || (serving && !terminating);
    let mut endpoint = json!({"addresses": addresses, "targetRef": super::target_ref(pod),
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating}});
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        endpoint["nodeName"] = node.into();
        // A node that nobody knows has no zone.
        if let Some(zone) = cache.entry(&NODES, "", node).and_then(|node| node.label(ZONE).map(str::to_owned))
        {
            endpoint["zone"] = zone.into();
        }
    }
    if let Some(hostname) = super::hostname(service, pod) {
        endpoint["hostname"] = hostname.into();
    }
    endpoint
}

/// Traffic distribution: each endpoint is for its own zone (and node), if all that are ready have one.
fn hint(service: &Value, wanted: &mut Wanted) {
    let nodes = match service["spec"]["trafficDistribution"].as_str() {
        Some("PreferClose" | "PreferSameZone") => false,
        Some("PreferSameNode") => true,
        _ => return,
    };
    let mut ready: Vec<_> = wanted
        .groups
        .values_mut()
        .flat_map(|group| &mut group.endpoints)
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .collect();
    if ready.iter().any(|endpoint| endpoint["zone"].is_null()) {
        return;
    }
    for endpoint in &mut ready {
        let mut hints = json!({"forZones": [{"name": endpoint["zone"]}]});
        if nodes {
            hints["forNodes"] = json!([{"name": endpoint["nodeName"]}]);
        }
        endpoint["hints"] = hints;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};
    use crate::plan::Verb;

    fn service() -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "a"},
            "spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"app": "web"}, "ports": [{"port": 80}]}})
    }

    fn pod(index: usize, ready: bool) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{index:03}"), "namespace": "a", "labels": {"app": "web"}},
            "spec": {"nodeName": "n"},
            "status": {"podIPs": [{"ip": format!("10.1.{}.{}", index / 200, index % 200)}],
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    /// Plans, and puts what is written into the cache.
    fn settle(cache: &Cache) -> Vec<String> {
        let plan =
            EndpointSliceController::default().plan(cache, &Key::new("a", "web"), Timestamp::UNIX_EPOCH);
        cache.track(&ENDPOINT_SLICES, client::Keep::Full);
        for (index, action) in plan.actions.iter().enumerate() {
            if let Verb::Create(object) | Verb::Update(object, _) = &action.verb {
                let mut object = object.clone();
                if meta::name(&object).is_empty() {
                    meta::set(&mut object, "name", format!("web-{index}"));
                }
                let version = meta::resource_version(&object).parse::<u64>().unwrap_or(1000) + 1;
                meta::set(&mut object, "resourceVersion", version.to_string());
                cache.observe(&ENDPOINT_SLICES, &object);
            }
        }
        shown(plan, cache)
    }

    fn sizes(cache: &Cache) -> Vec<usize> {
        let slices = cache.values(&ENDPOINT_SLICES, "a");
        slices.iter().map(|slice| slice["endpoints"].as_array().unwrap().len()).collect()
    }

    #[test]
    fn a_service_without_pods_has_one_empty_slice() {
        let cache = snapshot(vec![service()]);
        assert_eq!(settle(&cache), ["create endpointslices a/web-"]);
        assert!(settle(&cache).is_empty());
    }

    #[test]
    fn many_endpoints_are_spread_and_stay_where_they_are() {
        let mut objects: Vec<_> = (0..250).map(|index| pod(index, true)).collect();
        objects.push(service());
        let cache = snapshot(objects);
        assert_eq!(settle(&cache).len(), 3);
        assert_eq!(sizes(&cache), [100, 100, 50]);
        assert!(settle(&cache).is_empty());
        let mut changed = pod(0, false);
        meta::set(&mut changed, "uid", "uid-p000");
        meta::set(&mut changed, "resourceVersion", "5000");
        cache.observe(&PODS, &changed);
        assert_eq!(settle(&cache), ["update endpointslices web-0"]);
        assert_eq!(sizes(&cache), [100, 100, 50]);
    }

    #[test]
    fn endpoints_say_what_they_can() {
        let node =
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {ZONE: "z"}}});
        let mut near = service();
        near["spec"]["trafficDistribution"] = "PreferClose".into();
        let mut leaving = pod(1, true);
        meta::set(&mut leaving, "deletionTimestamp", "2026-01-01T00:00:00Z");
        let cache = snapshot(vec![near, node, pod(0, true), leaving]);
        settle(&cache);
        let slice = &cache.values(&ENDPOINT_SLICES, "a")[0];
        assert_eq!(
            slice["endpoints"][0]["conditions"],
            json!({"ready": true, "serving": true, "terminating": false})
        );
        assert_eq!(slice["endpoints"][0]["hints"], json!({"forZones": [{"name": "z"}]}));
        assert_eq!(
            slice["endpoints"][1]["conditions"],
            json!({"ready": false, "serving": true, "terminating": true})
        );
        assert_eq!(slice["metadata"]["labels"][SERVICE_NAME], "web");
    }
}
