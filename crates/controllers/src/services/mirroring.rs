//! Mirrors Endpoints that people write themselves (for services without a selector) into EndpointSlices.

use super::endpoint_slices::{MANAGED_BY, SERVICE_NAME};
use super::slices::{Common, Wanted, reconcile};
use super::{HEADLESS, TRIGGER_TIME};
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{ENDPOINT_SLICES, ENDPOINTS, SERVICES};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, meta};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const OURS: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

pub(crate) struct EndpointSliceMirroringController;

impl Controller for EndpointSliceMirroringController {
    fn name(&self) -> &'static str {
        "endpointslice-mirroring-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&ENDPOINTS, &SERVICES, &ENDPOINT_SLICES]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if !change.is(&ENDPOINT_SLICES) {
            add(Key::new(&entry.namespace, &entry.name));
        } else if entry.label(MANAGED_BY) == Some(OURS)
            && let Some(service) = entry.label(SERVICE_NAME)
        {
            add(Key::new(&entry.namespace, service));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let existing: Vec<_> = cache
            .list(&ENDPOINT_SLICES, &key.namespace)
            .iter()
            .filter(|slice| {
                slice.label(MANAGED_BY) == Some(OURS) && slice.label(SERVICE_NAME) == Some(&*key.name)
            })
            .filter_map(|slice| slice.value())
            .collect();
        let endpoints = cache.get(&ENDPOINTS, &key.namespace, &key.name);
        let mirrored = endpoints.filter(|endpoints| {
            let service = cache.get(&SERVICES, &key.namespace, &key.name);
            is_mirrored(endpoints) && service.is_some_and(|service| has_no_selector(&service))
        });
        let Some(endpoints) = mirrored else {
            return Plan::of(existing.iter().map(|slice| Action::delete(&ENDPOINT_SLICES, slice)).collect());
        };
        Plan::of(mirror(&endpoints, &existing))
    }
}

fn has_no_selector(service: &Value) -> bool {
    service["spec"]["selector"].as_object().is_none_or(serde_json::Map::is_empty)
}

fn is_mirrored(endpoints: &Value) -> bool {
    meta::label(endpoints, SKIP) != Some("true")
        && meta::annotation(endpoints, LEADER).is_none()
        && meta::label(endpoints, "endpoints.kubernetes.io/managed-by").is_none()
        // The API server keeps slices of its own service itself.
        && !(meta::name(endpoints) == "kubernetes" && meta::namespace(endpoints) == "default")
}

fn mirror(endpoints: &Value, existing: &[std::sync::Arc<Value>]) -> Vec<Action> {
    let mut labels = endpoints["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.remove(HEADLESS);
    labels.insert(SERVICE_NAME.into(), meta::name(endpoints).into());
    labels.insert(MANAGED_BY.into(), OURS.into());
    let annotations = endpoints["metadata"]["annotations"].as_object().into_iter().flatten();
    let copied = annotations.filter(|(key, _)| !matches!(key.as_str(), TRIGGER_TIME | LAST_APPLIED));
    let annotations = copied.map(|(key, value)| (key.clone(), value.as_str().unwrap_or("").to_owned()));
    let common = Common { owner: endpoints, labels, annotations: annotations.collect() };
    let mut actions = vec![];
    let mut by_family: BTreeMap<&str, Wanted> = BTreeMap::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let ports = ports(subset);
        for (list, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            for address in subset[list].as_array().into_iter().flatten() {
                let family = super::family(address["ip"].as_str().unwrap_or(""));
                let wanted = by_family.entry(family).or_insert_with(|| Wanted::new(family));
                wanted.add(ports.clone(), endpoint(address, ready));
            }
        }
    }
    for slice in
        existing.iter().filter(|slice| !by_family.contains_key(slice["addressType"].as_str().unwrap_or("")))
    {
        actions.push(Action::delete(&ENDPOINT_SLICES, slice));
    }
    for (family, wanted) in by_family {
        let theirs: Vec<_> =
            existing.iter().filter(|slice| slice["addressType"] == family).cloned().collect();
        actions.extend(reconcile(&common, &theirs, wanted));
    }
    actions
}

fn ports(subset: &Value) -> Vec<Value> {
    let of = |port: &Value| {
        let mut made = json!({"name": port["name"].as_str().unwrap_or(""), "port": port["port"],
            "protocol": port["protocol"].as_str().unwrap_or("TCP")});
        if port["appProtocol"].is_string() {
            made["appProtocol"] = port["appProtocol"].clone();
        }
        made
    };
    subset["ports"].as_array().into_iter().flatten().map(of).collect()
}

fn endpoint(address: &Value, ready: bool) -> Value {
    let mut endpoint = json!({"addresses": [address["ip"]], "conditions": {"ready": ready}});
    for field in ["hostname", "nodeName", "targetRef"] {
        if !address[field].is_null() {
            endpoint[field] = address[field].clone();
        }
    }
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::snapshot;
    use crate::plan::Verb;

    #[test]
    fn what_people_wrote_is_mirrored_and_goes_with_it() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "a"}, "spec": {}});
        let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "namespace": "a"},
            "subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 5432}]}]});
        let plan = |objects| {
            EndpointSliceMirroringController.plan(
                &snapshot(objects),
                &Key::new("a", "db"),
                Timestamp::UNIX_EPOCH,
            )
        };
        let made = plan(vec![service.clone(), endpoints]);
        let Verb::Create(slice) = &made.actions[0].verb else { panic!() };
        assert_eq!(slice["endpoints"], json!([{"addresses": ["10.1.2.3"], "conditions": {"ready": true}}]));
        assert_eq!(slice["ports"], json!([{"name": "", "port": 5432, "protocol": "TCP"}]));
        assert_eq!(slice["metadata"]["ownerReferences"][0]["kind"], "Endpoints");
        let mut slice = slice.clone();
        meta::set(&mut slice, "name", "db-x");
        assert!(matches!(plan(vec![service, slice]).actions[0].verb, Verb::Delete { .. }));
    }
}
