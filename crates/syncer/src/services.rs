//! Services: their host service exists before they do (their addresses come from it); here they are kept alike.

use crate::endpoints;
use crate::resources::SERVICES;
use crate::syncer::Shared;
use client::DeleteOptions;
use object::{ApiError, Result, Value, meta};
use translate::marks;

pub(crate) async fn sync(shared: &Shared, namespace: &str, name: &str) -> Result<()> {
    // These two have host services of joey's own.
    if matches!((namespace, name), ("default", "kubernetes") | ("kube-system", "kube-dns")) {
        return Ok(());
    }
    let service = shared.cache.get(&SERVICES, namespace, name);
    let host_name = shared.host_name(namespace, name);
    let host = shared.watched.cache.get(&SERVICES, shared.host_namespace(), &host_name);
    // Whether its slices go to the host depends on it.
    endpoints::enqueue(shared, namespace, name);
    match (service, host) {
        // A name and no more: the host has nothing to do for it.
        (Some(service), Some(host))
            if service["spec"]["type"] == "ExternalName"
                && marks::origin(&shared.cluster, &host).is_some() =>
        {
            delete(shared, &host).await
        }
        (None, Some(host)) if marks::origin(&shared.cluster, &host).is_some() => {
            remove(shared, namespace, name, &host).await
        }
        (Some(service), None) if service["spec"]["type"] != "ExternalName" => {
            recreate(shared, &service).await
        }
        (Some(service), Some(host)) => update(shared, &service, &host).await,
        _ => Ok(()),
    }
}

/// Removes a host service whose virtual one is gone for certain: one that is just being created is not in the cache yet.
async fn remove(shared: &Shared, namespace: &str, name: &str, host: &Value) -> Result<()> {
    if shared.client.find(&SERVICES, namespace, name).await?.is_some() || is_fresh(host) {
        return Err(ApiError::Internal("being created".into()));
    }
    delete(shared, host).await
}

async fn delete(shared: &Shared, host: &Value) -> Result<()> {
    let options = DeleteOptions::uid(meta::uid(host));
    match shared.host.client.delete(&SERVICES, shared.host_namespace(), meta::name(host), &options).await {
        Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Seconds that a virtual service may take to be stored after its host service was made.
const CREATION_SECONDS: i64 = 5;

fn is_fresh(host: &Value) -> bool {
    let now = object::time::now();
    meta::creation_timestamp(host)
        .and_then(|t| object::time::age_seconds(t, now))
        .is_some_and(|age| age < CREATION_SECONDS)
}

async fn recreate(shared: &Shared, service: &Value) -> Result<()> {
    let mut host = translate::service(&shared.cluster, service);
    // The same address, if the host still has it to give.
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(value) = service["spec"].get(field) {
            host["spec"][field] = value.clone();
        }
    }
    match shared.host.client.create(&SERVICES, &host).await {
        Ok(made) => {
            shared.watched.cache.observe(&SERVICES, &made);
            Ok(())
        }
        Err(ApiError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn update(shared: &Shared, service: &Value, host: &Value) -> Result<()> {
    let wanted = translate::service(&shared.cluster, service);
    let mut changed = host.clone();
    for field in [
        "selector",
        "ports",
        "publishNotReadyAddresses",
        "sessionAffinity",
        "sessionAffinityConfig",
        "type",
        "externalTrafficPolicy",
        "internalTrafficPolicy",
        "loadBalancerClass",
        "loadBalancerSourceRanges",
        "trafficDistribution",
    ] {
        match wanted["spec"].get(field) {
            Some(value) => changed["spec"][field] = value.clone(),
            // The host has no value of its own for these.
            None if matches!(field, "selector" | "loadBalancerSourceRanges" | "trafficDistribution") => {
                drop(changed["spec"].as_object_mut().and_then(|s| s.remove(field)))
            }
            None => {}
        }
    }
    changed["metadata"]["annotations"][marks::UID_ANNOTATION] = meta::uid(service).into();
    changed["metadata"]["labels"] = wanted["metadata"]["labels"].clone();
    if changed != *host {
        let made = shared.host.client.update(&SERVICES, &changed).await?;
        shared.watched.cache.observe(&SERVICES, &made);
    }
    let status = translate::service_status(host);
    if !status.is_null() && status != service["status"] && meta::deletion_timestamp(service).is_none() {
        let mut service = service.clone();
        service["status"] = status;
        shared.client.update_status(&SERVICES, &service).await?;
    }
    Ok(())
}
