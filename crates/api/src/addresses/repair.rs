//! Gives back what a server that was killed between two writes left behind: addresses and ports of services that were never
//! stored, or are gone.
//!
//! Looked for once, when a server starts. What is found may belong to a service that another server on the same store is
//! about to write: it is given back if it looks the same a minute later.

use super::{LocalAddresses, held_keys};
use crate::{failure, stored};
use object::Result;
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::{Entry, Expect, ListRequest, Store, Write};

/// No write of a service takes so long.
const GRACE: Duration = Duration::from_secs(60);

const HELD: [&str; 2] = ["/networking.k8s.io/ipaddresses/", "/joey/nodeports/"];

impl LocalAddresses {
    pub(super) async fn look_for_orphans(&self) -> Result<()> {
        let orphans = orphans(&*self.store).await?;
        if !orphans.is_empty() {
            // The store may be closed meanwhile.
            let store = Arc::downgrade(&self.store);
            tokio::spawn(async move {
                tokio::time::sleep(GRACE).await;
                if let Err(error) = give_back(store, &orphans).await {
                    tracing::warn!(%error, "addresses of services that are gone were not given back");
                }
            });
        }
        Ok(())
    }
}

async fn give_back(store: Weak<dyn Store>, suspected: &[Entry]) -> Result<()> {
    let Some(store) = store.upgrade() else { return Ok(()) };
    for entry in orphans(&*store).await?.into_iter().filter(|entry| suspected.contains(entry)) {
        let expect = Expect::At(entry.mod_revision);
        tracing::info!(key = &*entry.key, "given back: its service is gone");
        store
            .write(Write { key: entry.key, expect, value: None, ttl: None })
            .await
            .map_err(failure::store)?;
    }
    Ok(())
}

/// What is held for no service that is there.
async fn orphans(store: &dyn Store) -> Result<Vec<Entry>> {
    let mut held = Vec::new();
    for prefix in HELD {
        held.extend(list(store, prefix).await?);
    }
    if held.is_empty() {
        return Ok(held);
    }
    let services = list(store, "/core/services/").await?;
    let wanted: HashSet<_> = services.iter().filter_map(stored::decode).flat_map(|s| held_keys(&s)).collect();
    held.retain(|entry| !wanted.contains(&*entry.key) && is_ours(entry));
    Ok(held)
}

/// Addresses that people made, or other allocators, are theirs.
fn is_ours(entry: &Entry) -> bool {
    let Some(object) = stored::decode(entry) else { return false };
    let label = &object["metadata"]["labels"]["ipaddress.kubernetes.io/managed-by"];
    object["kind"] == "NodePort" || *label == "ipallocator.k8s.io"
}

async fn list(store: &dyn Store, prefix: &str) -> Result<Vec<Entry>> {
    let request = ListRequest { prefix: prefix.into(), ..ListRequest::default() };
    Ok(store.list(request).await.map_err(failure::store)?.entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cidr, ServiceAddresses};
    use object::{Value, json};
    use store::memory::MemoryStore;

    async fn held(store: &dyn Store) -> usize {
        let mut count = 0;
        for prefix in HELD {
            count += store.count(prefix).await.unwrap();
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_service_holds_is_given_back_after_a_while() {
        let store: Arc<dyn Store> = MemoryStore::new();
        let addresses = LocalAddresses::new(store.clone(), Cidr::parse("10.96.0.0/16").unwrap());
        let service = |name: &str| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "a"},
                "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
        };
        let [mut kept, mut lost, mut late] = ["kept", "lost", "late"].map(service);
        for service in [&mut kept, &mut lost, &mut late] {
            addresses.assign(service, None).await.unwrap();
        }
        let put = async |service: &Value| {
            let key = format!("/core/services/a/{}", object::meta::name(service)).into();
            let value = Some(stored::encode(service));
            store.write(Write { key, expect: Expect::Absent, value, ttl: None }).await.unwrap();
        };
        put(&kept).await;
        addresses.repair().await.unwrap();
        assert_eq!(held(&*store).await, 6, "a service may still be written");
        put(&late).await;
        tokio::time::sleep(GRACE * 2).await;
        assert_eq!(held(&*store).await, 4);
        for key in held_keys(&kept).into_iter().chain(held_keys(&late)) {
            assert!(store.get(&key).await.unwrap().0.is_some());
        }
    }
}
