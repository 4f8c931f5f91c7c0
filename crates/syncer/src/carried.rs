//! Which ConfigMaps, Secrets, EndpointSlices and network objects of a virtual cluster are on its host. Nobody else changes them
//! there, so they are listed once, by their metadata: joey needs no right to read a host's Secrets for it.

use crate::queue::{Key, Kind};
use crate::resources::{CONFIG_MAPS, ENDPOINT_SLICES, INGRESSES, NETWORK_POLICIES, SECRETS};
use client::Client;
use futures::future;
use object::{ApiError, GroupVersionResource, Result, Value};
use parking_lot::Mutex;
use std::collections::HashSet;
use translate::{Cluster, marks};

/// The virtual objects that have a host object. Bounded by their number.
#[derive(Default)]
pub(crate) struct Carried(Mutex<HashSet<Key>>);

impl Carried {
    pub fn holds(&self, key: &Key) -> bool {
        self.0.lock().contains(key)
    }

    pub fn add(&self, key: Key) {
        self.0.lock().insert(key);
    }

    pub fn remove(&self, key: &Key) {
        self.0.lock().remove(key);
    }

    /// Takes in what an earlier run left on the host; gives what there is to look at.
    ///
    /// # Errors
    /// When the host refuses.
    pub async fn load(&self, cluster: &Cluster, host: &Client) -> Result<Vec<Key>> {
        let kinds: [(&GroupVersionResource, Kind); 5] = [
            (&CONFIG_MAPS, Kind::ConfigMap),
            (&SECRETS, Kind::Secret),
            (&ENDPOINT_SLICES, Kind::EndpointSlice),
            (&NETWORK_POLICIES, Kind::NetworkPolicy),
            (&INGRESSES, Kind::Ingress),
        ];
        let lists = kinds.map(|(gvr, _)| metadata(cluster, host, gvr));
        let mut found = Vec::new();
        for ((_, kind), list) in kinds.into_iter().zip(future::try_join_all(lists).await?) {
            for object in list {
                if let Some(origin) = marks::origin(cluster, &object) {
                    found.push(Key::new(kind, &origin.namespace, &origin.name));
                }
            }
        }
        self.0.lock().extend(found.iter().cloned());
        Ok(found)
    }
}

async fn metadata(cluster: &Cluster, host: &Client, gvr: &GroupVersionResource) -> Result<Vec<Value>> {
    let base = if gvr.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", gvr.group) };
    let path = format!(
        "{base}/{}/namespaces/{}/{}?labelSelector={}%3D{}",
        gvr.version,
        cluster.host_namespace,
        gvr.resource,
        marks::CLUSTER.replace('/', "%2F"),
        cluster.name
    );
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    let bytes = match host.raw(&path, accept).await {
        Ok(bytes) => bytes,
        // Rights to these may be left out: then none was ever made.
        Err(error) if error.code() == 403 && gvr.group == NETWORK_POLICIES.group => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut list: Value = serde_json::from_slice(&bytes).map_err(|e| ApiError::Internal(e.to_string()))?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}
