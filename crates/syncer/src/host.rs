//! The host cluster, shared by all virtual clusters of this process.
//!
//! Where the host lets this identity watch everywhere, one watch a kind serves all virtual clusters. Where it does not, each
//! host namespace with a running virtual cluster has watches of its own, which end with the last of them. Only what is
//! labelled as a virtual cluster's is asked for; of events, which carry no such label, all.

use crate::queue::{Key, Kind, Queue};
use crate::resources::{CLAIMS, EVENTS, INGRESSES, NETWORK_POLICIES, NODES, PODS, SERVICES, STORAGE_CLASSES};
use crate::rights::Rights;
use crate::turns::Turns;
use client::{Cache, Change, Client, Keep, Scope};
use object::{GroupVersionResource, Value, meta};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::task::JoinHandle;
use translate::marks;

/// Where a virtual cluster is: host namespace and name.
type Place = (String, String);
/// Who is told of changes.
type Routes = RwLock<HashMap<Place, Weak<Queue>>>;

/// Client, caches and routes of one host. Dropping it ends its watches.
pub struct Host {
    pub(crate) client: Client,
    pub(crate) rights: Rights,
    pub(crate) turns: Arc<Turns>,
    /// Nodes and storage classes.
    pub(crate) nodes: Cache,
    routes: Arc<Routes>,
    watched: Mutex<HashMap<Arc<str>, Weak<Watched>>>,
    task: JoinHandle<()>,
}

/// The tenants' objects of one host namespace, or of all.
pub(crate) struct Watched {
    pub cache: Cache,
    task: JoinHandle<()>,
}

impl Host {
    /// A host on which everything may be watched everywhere.
    pub fn new(client: Client) -> Arc<Self> {
        Self::with_rights(client, Rights::ALL)
    }

    /// A host on which this may be watched.
    pub fn with_rights(client: Client, rights: Rights) -> Arc<Self> {
        let client = client.with_user_agent("joey-syncer");
        let (nodes, reflectors) = Cache::new(client.clone());
        let routes = Arc::new(Routes::default());
        let told = routes.clone();
        nodes.subscribe(Arc::new(move |change| node_changed(&told, change)));
        for (gvr, allowed) in [(&NODES, rights.nodes), (&STORAGE_CLASSES, rights.storage_classes)] {
            if allowed {
                nodes.track(gvr, Keep::Full);
            }
        }
        let task = tokio::spawn(reflectors.run());
        Arc::new(Self { client, rights, turns: Turns::new(), nodes, routes, watched: Mutex::default(), task })
    }

    /// A client of the host.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The objects of a namespace, watched for as long as somebody holds this.
    pub(crate) fn watched(&self, namespace: &str) -> Arc<Watched> {
        let namespace: Arc<str> = if self.rights.everywhere { "".into() } else { namespace.into() };
        let mut all = self.watched.lock();
        all.retain(|_, held| held.strong_count() > 0);
        if let Some(held) = all.get(&namespace).and_then(Weak::upgrade) {
            return held;
        }
        let made = Arc::new(Watched::start(&self.client, namespace.clone(), self.routes.clone()));
        all.insert(namespace, Arc::downgrade(&made));
        made
    }

    /// Waits until everything was listed once.
    pub(crate) async fn synced(&self, watched: &Watched) {
        watched.cache.wait_synced(&[&PODS, &SERVICES, &CLAIMS, &EVENTS]).await;
        let shown = [(&NODES, self.rights.nodes), (&STORAGE_CLASSES, self.rights.storage_classes)];
        let shown: Vec<&GroupVersionResource> =
            shown.iter().filter(|(_, may)| *may).map(|(gvr, _)| &***gvr).collect();
        self.nodes.wait_synced(&shown).await;
    }

    pub(crate) fn route(&self, cluster: &translate::Cluster, queue: &Arc<Queue>) {
        let place = (cluster.host_namespace.clone(), cluster.name.clone());
        self.routes.write().insert(place, Arc::downgrade(queue));
    }

    pub(crate) fn unroute(&self, cluster: &translate::Cluster) {
        self.routes.write().remove(&(cluster.host_namespace.clone(), cluster.name.clone()));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.nodes.unsubscribe_all();
        self.task.abort();
    }
}

impl Watched {
    fn start(client: &Client, namespace: Arc<str>, routes: Arc<Routes>) -> Self {
        let labels = |gvr: &GroupVersionResource| if *gvr == *EVENTS { "" } else { marks::CLUSTER };
        let (cache, reflectors) = Cache::scoped(client.clone(), Scope { namespace, labels });
        let seen = cache.clone();
        cache.subscribe(Arc::new(move |change| object_changed(&seen, &routes, change)));
        for gvr in [&PODS, &SERVICES, &CLAIMS, &EVENTS] {
            cache.track(gvr, Keep::Full);
        }
        Self { cache, task: tokio::spawn(reflectors.run()) }
    }

    /// Watches one more kind, for as long as this is held: most virtual clusters have none of it.
    pub fn follow(&self, gvr: &GroupVersionResource) {
        self.cache.track(gvr, Keep::Full);
    }

    /// The host object that an event is about, if it is of a kind that virtual clusters have here.
    pub fn involved(&self, event: &Value) -> Option<Arc<Value>> {
        involved(&self.cache, event)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.cache.unsubscribe_all();
        self.task.abort();
    }
}

fn involved(cache: &Cache, event: &Value) -> Option<Arc<Value>> {
    let involved = &event["involvedObject"];
    let gvr = match involved["kind"].as_str()? {
        "Pod" => &PODS,
        "Service" => &SERVICES,
        "PersistentVolumeClaim" => &CLAIMS,
        "Ingress" => &INGRESSES,
        _ => return None,
    };
    cache.get(gvr, involved["namespace"].as_str()?, involved["name"].as_str()?)
}

fn node_changed(routes: &Routes, change: &Change) {
    let kind = if change.is(&NODES) { Kind::Node } else { Kind::StorageClass };
    let queues: Vec<_> = routes.read().values().filter_map(Weak::upgrade).collect();
    queues.iter().for_each(|q| q.add(Key::new(kind, "", &change.entry().name)));
}

fn object_changed(cache: &Cache, routes: &Routes, change: &Change) {
    if change.is(&EVENTS) {
        event_changed(cache, routes, change);
        return;
    }
    let entry = change.entry();
    let Some(cluster) = entry.label(marks::CLUSTER) else { return };
    let Some(queue) = queue(routes, &entry.namespace, cluster) else { return };
    let kinds = [
        (&PODS, Kind::Pod),
        (&SERVICES, Kind::Service),
        (&CLAIMS, Kind::Claim),
        (&NETWORK_POLICIES, Kind::NetworkPolicy),
        (&INGRESSES, Kind::Ingress),
    ];
    let Some((_, kind)) = kinds.into_iter().find(|(gvr, _)| change.is(gvr)) else { return };
    let Some(object) = entry.value() else { return };
    if let Some(key) = virtual_key(kind, &object) {
        queue.add(key);
    }
}

/// Events name a host object; whose that is, its labels say.
fn event_changed(cache: &Cache, routes: &Routes, change: &Change) {
    let Some(event) = change.new.as_ref().and_then(|e| e.value()) else { return };
    let Some(about) = involved(cache, &event) else { return };
    let Some(cluster) = meta::label(&about, marks::CLUSTER) else { return };
    if let Some(queue) = queue(routes, meta::namespace(&event), cluster) {
        queue.add(Key::new(Kind::Event, "", meta::name(&event)));
    }
}

fn queue(routes: &Routes, namespace: &str, cluster: &str) -> Option<Arc<Queue>> {
    routes.read().get(&(namespace.to_owned(), cluster.to_owned())).and_then(Weak::upgrade)
}

/// The virtual object that a host object stands for.
fn virtual_key(kind: Kind, host: &Value) -> Option<Key> {
    let namespace = meta::annotation(host, marks::NAMESPACE_ANNOTATION)?;
    Some(Key::new(kind, namespace, meta::annotation(host, marks::NAME_ANNOTATION)?))
}
