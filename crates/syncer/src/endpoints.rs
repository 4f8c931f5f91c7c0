//! EndpointSlices of services that select no pods: their tenants (or their operators) say where traffic goes, so the host has
//! to be told. Slices of services with selectors the host makes by itself.

use crate::queue::{Key, Kind};
use crate::resources::{ENDPOINT_SLICES, PODS, SERVICES};
use crate::syncer::Shared;
use crate::{events, ingresses, objects};
use object::{ApiError, LabelSelector, Result, Value, meta};
use std::cell::LazyCell;
use std::collections::HashSet;
use translate::marks;

/// The label by which a slice names its service.
const SERVICE: &str = "kubernetes.io/service-name";

/// Looks at the slices of a service again.
pub(crate) fn enqueue(shared: &Shared, namespace: &str, service: &str) {
    of(shared, namespace, service).for_each(|key| shared.queue.add(key));
}

/// The slices of a service.
pub(crate) fn of(shared: &Shared, namespace: &str, service: &str) -> impl Iterator<Item = Key> {
    let selector = LabelSelector::parse(&format!("{SERVICE}={service}"));
    let found = selector.map(|s| shared.cache.select(&ENDPOINT_SLICES, namespace, &s)).unwrap_or_default();
    found.into_iter().map(|entry| Key::new(Kind::EndpointSlice, &entry.namespace, &entry.name))
}

pub(crate) async fn sync(shared: &Shared, key: &Key) -> Result<()> {
    let (namespace, name) = (&*key.namespace, &*key.name);
    match wanted(shared, namespace, name).await? {
        Some((slice, service)) => {
            if let Some(host) = host_service(shared, &service) {
                put(shared, &slice, &service, &host).await?;
                shared.carried.add(key.clone());
            }
            Ok(())
        }
        None if shared.carried.holds(key) => {
            objects::delete(shared, &ENDPOINT_SLICES, &shared.host_name(namespace, name)).await?;
            shared.carried.remove(key);
            Ok(())
        }
        None => Ok(()),
    }
}

/// The slice and its service, if the host should have it.
async fn wanted(shared: &Shared, namespace: &str, name: &str) -> Result<Option<(Value, Value)>> {
    let Some(entry) = shared.cache.entry(&ENDPOINT_SLICES, namespace, name) else { return Ok(None) };
    let Some(service) = entry.label(SERVICE).and_then(|s| shared.cache.get(&SERVICES, namespace, s)) else {
        return Ok(None);
    };
    let kubernetes = namespace == "default" && meta::name(&service) == "kubernetes";
    if kubernetes || translate::is_name_server(&service) || !translate::has_own_endpoints(&service) {
        return Ok(None);
    }
    // Only metadata is kept of slices: most of them stay here.
    let slice = shared.client.find(&ENDPOINT_SLICES, namespace, name).await?;
    Ok(slice.filter(|s| meta::deletion_timestamp(s).is_none()).map(|s| (s, (*service).clone())))
}

fn host_service(shared: &Shared, service: &Value) -> Option<Value> {
    let name = shared.host_name(meta::namespace(service), meta::name(service));
    let host = shared.watched.cache.get(&SERVICES, shared.host_namespace(), &name)?;
    marks::belongs(&shared.cluster, &host, service).then(|| (*host).clone())
}

/// The addresses of this virtual cluster's pods, as the host has them: what a virtual pod says of itself is its tenant's to write.
fn pod_addresses(shared: &Shared) -> HashSet<String> {
    let pods = shared.watched.cache.values(&PODS, shared.host_namespace());
    let ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let own = pods.iter().filter(|pod| marks::origin(&shared.cluster, pod).is_some() && !ended(pod));
    let listed = own.flat_map(|pod| pod["status"]["podIPs"].as_array().into_iter().flatten());
    listed.filter_map(|ip| ip["ip"].as_str().map(str::to_owned)).collect()
}

async fn put(shared: &Shared, slice: &Value, service: &Value, host: &Value) -> Result<()> {
    let (wanted, left_out) = {
        let addresses = LazyCell::new(|| pod_addresses(shared));
        let own = |address: &str| addresses.contains(address);
        let by_ingress = || ingresses::lead_to(shared, meta::namespace(service), meta::name(service));
        let exposed = translate::is_exposed(service) || by_ingress();
        translate::endpoint_slice(&shared.cluster, slice, service, host, exposed, &own)
    };
    if let Some(address) = left_out {
        let message = format!(
            "{address} is no pod of this virtual cluster: a service that is reached from outside of the host leads to pods only"
        );
        events::record(shared, service, "Warning", "EndpointNotCarried", &message).await?;
    }
    let client = &shared.host.client;
    match client.create(&ENDPOINT_SLICES, &wanted).await {
        Ok(_) => return Ok(()),
        Err(ApiError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error),
    }
    let held = client.get(&ENDPOINT_SLICES, shared.host_namespace(), meta::name(&wanted)).await?;
    if marks::origin(&shared.cluster, &held).is_none() {
        return Err(objects::foreign(&held));
    }
    if held["addressType"] != wanted["addressType"] {
        // It never changes: made anew, under the same key.
        objects::delete(shared, &ENDPOINT_SLICES, meta::name(&held)).await?;
        return client.create(&ENDPOINT_SLICES, &wanted).await.map(drop);
    }
    if ["endpoints", "ports"].iter().all(|field| held[*field] == wanted[*field]) {
        return Ok(());
    }
    client.update(&ENDPOINT_SLICES, &wanted).await.map(drop)
}
