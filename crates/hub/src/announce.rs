//! Where the `kubernetes` service leads when several joeys serve a cluster: each keeps a key with its address alive, as
//! kube-apiserver's lease reconciler does, and writes down all that are there. Who dies drops out by itself.

use client::{Client, DeleteOptions, ListOptions};
use object::{ApiError, GroupVersionResource, Value, json, meta};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use store::{Expect, ListRequest, Store, StoreError, Write};
use tokio_util::sync::CancellationToken;

/// Addresses are kept here; no API path leads to it.
const PREFIX: &str = "/joey/masterleases/";
/// How long an address stays without being renewed, and how often it is.
const GOOD_FOR: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_secs(10);
const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Ports and the addresses that serve on them.
type Members = BTreeMap<u16, BTreeSet<IpAddr>>;

/// Announces `address` until stopped, and takes it back then.
pub(crate) async fn run(store: Arc<dyn Store>, client: Client, address: SocketAddr, stop: CancellationToken) {
    // Kubernetes takes no endpoint on a loopback address, and nobody else could use it: what the first server made stays.
    if address.ip().is_loopback() {
        return;
    }
    let keep = async {
        loop {
            if let Err(error) = announce(&*store, &client, address).await {
                tracing::warn!(%error, "the addresses of the kubernetes service are not up to date");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(keep).await;
    let withdraw = async {
        put(&*store, address, false).await.map_err(told)?;
        write(&client, &members(&*store).await.map_err(told)?).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(EVERY / 2, withdraw).await {
        tracing::warn!(%error, "the address of this server is not taken back; it runs out by itself");
    }
}

async fn announce(store: &dyn Store, client: &Client, address: SocketAddr) -> Result<(), ApiError> {
    put(store, address, true).await.map_err(told)?;
    write(client, &members(store).await.map_err(told)?).await
}

fn told(error: StoreError) -> ApiError {
    ApiError::Internal(error.to_string())
}

/// Renews the key of an address, or removes it.
async fn put(store: &dyn Store, address: SocketAddr, alive: bool) -> Result<(), StoreError> {
    let key = format!("{PREFIX}{address}");
    let held = store.get(&key).await?.0;
    let write = Write {
        expect: held.map_or(Expect::Absent, |held| Expect::At(held.mod_revision)),
        key: key.into(),
        value: alive.then(|| address.to_string().into()),
        ttl: alive.then_some(GOOD_FOR),
    };
    match store.write(write).await {
        // It ran out in between: the next turn makes it.
        Ok(_) | Err(StoreError::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn members(store: &dyn Store) -> Result<Members, StoreError> {
    let request = ListRequest { prefix: PREFIX.into(), ..ListRequest::default() };
    let mut members = Members::new();
    for entry in store.list(request).await?.entries {
        if let Ok(address) = entry.key[PREFIX.len()..].parse::<SocketAddr>() {
            members.entry(address.port()).or_default().insert(address.ip());
        }
    }
    Ok(members)
}

/// Makes the service's endpoints say what `members` does.
async fn write(client: &Client, members: &Members) -> Result<(), ApiError> {
    if members.is_empty() {
        return Ok(());
    }
    let endpoints = GroupVersionResource::new("", "v1", "endpoints");
    make(client, &endpoints, self::endpoints(members), &["subsets"]).await?;
    let slices = GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices");
    let wanted = self::slices(members);
    let options = ListOptions { label_selector: format!("{SERVICE_NAME}={NAME}"), ..ListOptions::default() };
    for held in client.list(&slices, NAMESPACE, &options).await?.items {
        if !wanted.iter().any(|slice| meta::name(slice) == meta::name(&held)) {
            client.delete(&slices, NAMESPACE, meta::name(&held), &DeleteOptions::default()).await?;
        }
    }
    for slice in wanted {
        make(client, &slices, slice, &["endpoints", "ports"]).await?;
    }
    Ok(())
}

/// Makes an object, or gives it these fields.
async fn make(
    client: &Client,
    gvr: &GroupVersionResource,
    wanted: Value,
    fields: &[&str],
) -> Result<(), ApiError> {
    let Some(mut held) = client.find(gvr, NAMESPACE, meta::name(&wanted)).await? else {
        return client.create(gvr, &wanted).await.map(drop);
    };
    if fields.iter().all(|field| held[field] == wanted[field]) {
        return Ok(());
    }
    for field in fields {
        held[field] = wanted[field].clone();
    }
    match client.update(gvr, &held).await {
        // Another one says the same, or will.
        Ok(_) | Err(ApiError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn ports(port: u16) -> Value {
    json!([{"name": "https", "port": port, "protocol": "TCP"}])
}

fn endpoints(members: &Members) -> Value {
    let subset = |(port, addresses): (&u16, &BTreeSet<IpAddr>)| {
        let addresses: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
        json!({"addresses": addresses, "ports": ports(*port)})
    };
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": members.iter().map(subset).collect::<Vec<_>>(),
    })
}

/// One for each port and family; the first is called as the only one is.
fn slices(members: &Members) -> Vec<Value> {
    let mut slices = vec![];
    for (port, addresses) in members {
        for (family, is_ipv6) in [("IPv4", false), ("IPv6", true)] {
            let of_family = addresses.iter().filter(|ip| ip.is_ipv6() == is_ipv6);
            let ready = |ip: &IpAddr| json!({"addresses": [ip.to_string()], "conditions": {"ready": true}});
            let endpoints: Vec<_> = of_family.map(ready).collect();
            if endpoints.is_empty() {
                continue;
            }
            let name = match slices.is_empty() {
                true => NAME.to_owned(),
                false => format!("{NAME}-{}-{port}", family.to_lowercase()),
            };
            slices.push(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {SERVICE_NAME: NAME}},
                "addressType": family, "endpoints": endpoints, "ports": ports(*port),
            }));
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::memory::MemoryStore;

    #[tokio::test]
    async fn all_who_are_alive_are_told() {
        let store = MemoryStore::new();
        for address in ["10.0.0.2:6443", "10.0.0.1:6443", "10.0.0.3:7443"] {
            put(&*store, address.parse().unwrap(), true).await.unwrap();
            put(&*store, address.parse().unwrap(), true).await.unwrap();
        }
        let all = members(&*store).await.unwrap();
        let told = endpoints(&all);
        assert_eq!(told["subsets"][0]["addresses"], json!([{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]));
        assert_eq!(told["subsets"][1]["ports"][0]["port"], 7443);
        let names: Vec<_> = slices(&all).iter().map(|slice| meta::name(slice).to_owned()).collect();
        assert_eq!(names, ["kubernetes", "kubernetes-ipv4-7443"]);
        put(&*store, "10.0.0.3:7443".parse().unwrap(), false).await.unwrap();
        assert_eq!(members(&*store).await.unwrap().len(), 1);
    }
}
