//! Ingresses of the classes that the host offers, with the Secrets they refer to; and where the host says that they are reached.

use crate::queue::{Key, Kind};
use crate::resources::{INGRESSES, SECRETS};
use crate::syncer::Shared;
use crate::{config, endpoints, events, objects};
use object::{Result, Value, meta};
use std::sync::Arc;
use translate::marks;

/// Those of a namespace that go to the host.
fn published(shared: &Shared, namespace: &str) -> Vec<Arc<Value>> {
    let all = shared.cache.values(&INGRESSES, namespace).into_iter();
    all.filter(|ingress| matches!(translate::ingress(&shared.cluster, ingress), Ok(Some(_)))).collect()
}

/// Whether the host's controllers lead the outside to a service.
pub(crate) fn lead_to(shared: &Shared, namespace: &str, service: &str) -> bool {
    published(shared, namespace).iter().any(|i| translate::ingress_references(i).0.contains(&service))
}

/// Whether an ingress that goes to the host uses a Secret.
pub(crate) fn use_secret(shared: &Shared, namespace: &str, secret: &str) -> bool {
    published(shared, namespace).iter().any(|i| translate::ingress_references(i).1.contains(&secret))
}

pub(crate) async fn sync(shared: &Shared, key: &Key) -> Result<()> {
    let (namespace, name) = (&*key.namespace, &*key.name);
    let ingress = shared.cache.get(&INGRESSES, namespace, name);
    let wanted = match ingress.as_deref().map(|ingress| translate::ingress(&shared.cluster, ingress)) {
        Some(Err(refusal)) => {
            if let Some(ingress) = &ingress {
                events::refused(shared, ingress, "NotCarried", &refusal.0).await?;
            }
            None
        }
        Some(Ok(wanted)) => wanted,
        None => None,
    };
    match (ingress, wanted) {
        (Some(ingress), Some(wanted)) => {
            shared.carried.add(key.clone());
            if let Err(error) = put(shared, &ingress, &wanted).await {
                events::refused(shared, &ingress, "NotCarried", &error.message()).await?;
                return Err(error);
            }
            bring_status(shared, &ingress).await
        }
        _ if shared.carried.holds(key) => {
            objects::delete(shared, &INGRESSES, &shared.host_name(namespace, name)).await?;
            shared.carried.remove(key);
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn put(shared: &Shared, ingress: &Value, wanted: &Value) -> Result<()> {
    let namespace = meta::namespace(ingress);
    let (services, secrets) = translate::ingress_references(ingress);
    // Before it is published, each service leads only where a published one may.
    for service in &services {
        for slice in endpoints::of(shared, namespace, service) {
            endpoints::sync(shared, &slice).await?;
        }
    }
    for secret in secrets {
        config::carry(shared, &SECRETS, &Key::new(Kind::Secret, namespace, secret)).await?;
    }
    objects::put(shared, &INGRESSES, wanted, &["spec"]).await?;
    // One that was on its way meanwhile did not know.
    services
        .iter()
        .flat_map(|service| endpoints::of(shared, namespace, service))
        .for_each(|s| shared.queue.add(s));
    Ok(())
}

/// Where the host's controller listens, once it has said so.
async fn bring_status(shared: &Shared, ingress: &Value) -> Result<()> {
    let name = shared.host_name(meta::namespace(ingress), meta::name(ingress));
    let Some(host) = shared.watched.cache.get(&INGRESSES, shared.host_namespace(), &name) else {
        return Ok(());
    };
    let status = translate::ingress_status(&host);
    if !marks::belongs(&shared.cluster, &host, ingress) || status.is_null() || status == ingress["status"] {
        return Ok(());
    }
    let mut told = ingress.clone();
    told["status"] = status;
    let written = shared.client.update_status(&INGRESSES, &told).await?;
    shared.cache.observe(&INGRESSES, &written);
    Ok(())
}

/// Keeps the kind in sight where the host offers a class.
pub(crate) fn follow(shared: &Shared) {
    if !shared.cluster.policy.ingress_classes.is_empty() {
        shared.cache.track(&INGRESSES, client::Keep::Full);
        shared.watched.follow(&INGRESSES);
    }
}
