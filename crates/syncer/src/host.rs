//! The host cluster, shared by all virtual clusters of this process.

use crate::queue::{Key, Kind, Queue};
use crate::resources::{CLAIMS, CONFIG_MAPS, EVENTS, NODES, PODS, SECRETS, SERVICES, STORAGE_CLASSES};
use client::{Cache, Change, Client, Keep};
use object::{Value, meta};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::task::JoinHandle;
use translate::marks;

/// Where a virtual cluster is: host namespace and name.
type Place = (String, String);

/// Client, caches and routes of one host. Dropping it ends its watches.
pub struct Host {
    pub(crate) client: Client,
    pub(crate) cache: Cache,
    routes: RwLock<HashMap<Place, Weak<Queue>>>,
    task: JoinHandle<()>,
}

impl Host {
    /// Watches a host.
    pub fn new(client: Client) -> Arc<Self> {
        let client = client.with_user_agent("joey-syncer");
        let (cache, reflectors) = Cache::new(client.clone());
        for gvr in [&PODS, &SERVICES, &CLAIMS, &EVENTS, &NODES, &STORAGE_CLASSES] {
            cache.track(gvr, Keep::Full);
        }
        // Their contents are the tenants' and are known from there.
        for gvr in [&CONFIG_MAPS, &SECRETS] {
            cache.track(gvr, Keep::Metadata);
        }
        let task = tokio::spawn(reflectors.run());
        let host = Arc::new(Self { client, cache, routes: RwLock::default(), task });
        let weak = Arc::downgrade(&host);
        host.cache.subscribe(Arc::new(move |change| {
            if let Some(host) = weak.upgrade() {
                host.changed(change);
            }
        }));
        host
    }

    /// A client of the host.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until everything was listed once.
    pub async fn synced(&self) {
        self.cache
            .wait_synced(&[
                &PODS,
                &SERVICES,
                &CLAIMS,
                &EVENTS,
                &NODES,
                &STORAGE_CLASSES,
                &CONFIG_MAPS,
                &SECRETS,
            ])
            .await;
    }

    pub(crate) fn route(&self, cluster: &translate::Cluster, queue: &Arc<Queue>) {
        let place = (cluster.host_namespace.clone(), cluster.name.clone());
        self.routes.write().insert(place, Arc::downgrade(queue));
    }

    pub(crate) fn unroute(&self, cluster: &translate::Cluster) {
        self.routes.write().remove(&(cluster.host_namespace.clone(), cluster.name.clone()));
    }

    fn changed(&self, change: &Change) {
        let entry = change.entry();
        if change.is(&NODES) || change.is(&STORAGE_CLASSES) {
            let kind = if change.is(&NODES) { Kind::Node } else { Kind::StorageClass };
            let queues: Vec<_> = self.routes.read().values().filter_map(Weak::upgrade).collect();
            return queues.iter().for_each(|q| q.add(Key::new(kind, "", &entry.name)));
        }
        if change.is(&EVENTS) {
            return self.event(change);
        }
        let Some(cluster) = entry.label(marks::CLUSTER) else { return };
        let Some(queue) = self.queue(&entry.namespace, cluster) else { return };
        let kind = [(&PODS, Kind::Pod), (&SERVICES, Kind::Service), (&CLAIMS, Kind::Claim)];
        let Some((_, kind)) = kind.into_iter().find(|(gvr, _)| change.is(gvr)) else { return };
        let Some(object) = entry.value() else { return };
        if let Some(key) = virtual_key(kind, &object) {
            queue.add(key);
        }
    }

    fn queue(&self, namespace: &str, cluster: &str) -> Option<Arc<Queue>> {
        self.routes.read().get(&(namespace.to_owned(), cluster.to_owned())).and_then(Weak::upgrade)
    }

    /// Events name a host object; whose that is, its labels say.
    fn event(&self, change: &Change) {
        let Some(event) = change.new.as_ref().and_then(|e| e.value()) else { return };
        let Some(involved) = self.involved(&event) else { return };
        let Some(cluster) = meta::label(&involved, marks::CLUSTER) else { return };
        if let Some(queue) = self.queue(meta::namespace(&event), cluster) {
            queue.add(Key::new(Kind::Event, "", meta::name(&event)));
        }
    }

    /// The host object that an event is about, if it is of a kind that virtual clusters have here.
    pub(crate) fn involved(&self, event: &Value) -> Option<Arc<Value>> {
        let involved = &event["involvedObject"];
        let gvr = match involved["kind"].as_str()? {
            "Pod" => &PODS,
            "Service" => &SERVICES,
            "PersistentVolumeClaim" => &CLAIMS,
            _ => return None,
        };
        self.cache.get(gvr, involved["namespace"].as_str()?, involved["name"].as_str()?)
    }
}

/// The virtual object that a host object stands for.
fn virtual_key(kind: Kind, host: &Value) -> Option<Key> {
    let namespace = meta::annotation(host, marks::NAMESPACE_ANNOTATION)?;
    Some(Key::new(kind, namespace, meta::annotation(host, marks::NAME_ANNOTATION)?))
}

impl Drop for Host {
    fn drop(&mut self) {
        self.cache.unsubscribe_all();
        self.task.abort();
    }
}
