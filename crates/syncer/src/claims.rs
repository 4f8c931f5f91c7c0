//! PersistentVolumeClaims: the host provides the storage; the tenant's claim is bound to a volume that stands for it.

use crate::events;
use crate::resources::{CLAIMS, VOLUMES};
use crate::syncer::Shared;
use client::DeleteOptions;
use object::{ApiError, Result, Value, json, meta};
use translate::marks;

/// Why a claim has no volume.
const REFUSED: &str = "ProvisioningFailed";

pub(crate) async fn sync(shared: &Shared, namespace: &str, name: &str) -> Result<()> {
    let claim = shared.cache.get(&CLAIMS, namespace, name);
    let host_name = shared.host_name(namespace, name);
    let host = shared.watched.cache.get(&CLAIMS, shared.host_namespace(), &host_name);
    match (claim, host) {
        (None, Some(host)) if marks::origin(&shared.cluster, &host).is_some() => remove(shared, &host).await,
        // The protection finalizer holds the claim while pods use it.
        (Some(claim), Some(host)) if meta::deletion_timestamp(&claim).is_some() => {
            let held = meta::finalizers(&claim).any(|f| f == "kubernetes.io/pvc-protection");
            if held { Ok(()) } else { remove(shared, &host).await }
        }
        // Another of its name would be empty: people have to know.
        (Some(claim), None) if claim["status"]["phase"] == "Bound" => lost(shared, &claim).await,
        (Some(claim), None) if claim["status"]["phase"] == "Lost" => Ok(()),
        (Some(claim), None) if meta::deletion_timestamp(&claim).is_none() => {
            if let Err(refusal) = shared.cluster.policy.check_claim(&claim) {
                return events::refused(shared, &claim, REFUSED, &refusal.0).await;
            }
            let made = shared.host.client.create(&CLAIMS, &translate::claim(&shared.cluster, &claim)).await;
            match made {
                Ok(made) => {
                    shared.watched.cache.observe(&CLAIMS, &made);
                    Ok(())
                }
                Err(ApiError::AlreadyExists { .. }) => Ok(()),
                // The host's admission or quota: its words are the tenant's to read.
                Err(error) if matches!(error.code(), 400 | 403 | 422) => {
                    events::refused(shared, &claim, REFUSED, &error.message()).await?;
                    Err(error)
                }
                Err(error) => Err(error),
            }
        }
        (Some(claim), Some(host)) if marks::belongs(&shared.cluster, &host, &claim) => {
            update(shared, &claim, &host).await
        }
        (Some(_), Some(host)) if marks::origin(&shared.cluster, &host).is_some() => {
            remove(shared, &host).await
        }
        _ => Ok(()),
    }
}

/// The host's claim is gone, and the data with it.
async fn lost(shared: &Shared, claim: &Value) -> Result<()> {
    if meta::deletion_timestamp(claim).is_some() {
        return Ok(());
    }
    let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
    events::record(shared, claim, "Warning", "ClaimLost", message).await?;
    let mut claim = claim.clone();
    claim["status"]["phase"] = "Lost".into();
    let written = shared.client.update_status(&CLAIMS, &claim).await?;
    shared.cache.observe(&CLAIMS, &written);
    Ok(())
}

async fn remove(shared: &Shared, host: &Value) -> Result<()> {
    let options = DeleteOptions::uid(meta::uid(host));
    match shared.host.client.delete(&CLAIMS, shared.host_namespace(), meta::name(host), &options).await {
        Ok(_) | Err(ApiError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let volume = host["spec"]["volumeName"].as_str().unwrap_or("");
    match volume.is_empty() {
        true => Ok(()),
        false => match shared.client.delete(&VOLUMES, "", volume, &DeleteOptions::default()).await {
            Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        },
    }
}

async fn update(shared: &Shared, claim: &Value, host: &Value) -> Result<()> {
    if claim["spec"]["resources"] != host["spec"]["resources"] {
        let mut grown = host.clone();
        grown["spec"]["resources"] = claim["spec"]["resources"].clone();
        let made = shared.host.client.update(&CLAIMS, &grown).await?;
        shared.watched.cache.observe(&CLAIMS, &made);
    }
    let mut claim = claim.clone();
    let volume = host["spec"]["volumeName"].as_str().unwrap_or("");
    if !volume.is_empty() {
        ensure_volume(shared, &claim, host, volume).await?;
        if claim["spec"]["volumeName"] != volume {
            claim["spec"]["volumeName"] = volume.into();
            meta::set_annotation(&mut claim, "pv.kubernetes.io/bind-completed", "yes");
            meta::set_annotation(&mut claim, "pv.kubernetes.io/bound-by-controller", "yes");
            claim = shared.client.update(&CLAIMS, &claim).await?;
            shared.cache.observe(&CLAIMS, &claim);
        }
    }
    let status = translate::claim_status(host);
    if !status.is_null() && status != claim["status"] {
        claim["status"] = status;
        let written = shared.client.update_status(&CLAIMS, &claim).await?;
        shared.cache.observe(&CLAIMS, &written);
    }
    Ok(())
}

async fn ensure_volume(shared: &Shared, claim: &Value, host: &Value, volume: &str) -> Result<()> {
    if shared.cache.entry(&VOLUMES, "", volume).is_some() {
        return Ok(());
    }
    match shared.client.create(&VOLUMES, &translate::volume(claim, host)).await {
        Ok(mut made) => {
            made["status"] = json!({"phase": "Bound"});
            let made = shared.client.update_status(&VOLUMES, &made).await?;
            shared.cache.observe(&VOLUMES, &made);
            Ok(())
        }
        Err(ApiError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
