//! One virtual cluster's syncer: two caches, one queue, a few workers.

use crate::carried::Carried;
use crate::host::{Host, Watched};
use crate::queue::{Key, Kind, Queue};
use crate::resources::{
    CLAIMS, CONFIG_MAPS, ENDPOINT_SLICES, INGRESSES, NAMESPACES, NETWORK_POLICIES, NODES, PODS, SECRETS,
    SERVICES, STORAGE_CLASSES, VOLUMES,
};
use crate::{claims, config, endpoints, events, ingresses, network_policies, nodes, pods, services};
use client::backoff::Backoff;
use client::{Cache, Change, Client, Keep};
use object::Result;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use translate::Cluster;

/// Objects worked on at a time, per virtual cluster.
const WORKERS: usize = 8;

const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(30);

/// What a syncer is told.
pub struct Options {
    /// The virtual cluster.
    pub cluster: Cluster,
    /// Its API, with all rights.
    pub client: Client,
    /// Where it lives.
    pub host: Arc<Host>,
    /// Show the host's nodes and storage classes.
    pub nodes: bool,
    /// Carry its NetworkPolicies.
    pub network_policies: bool,
    /// Its share of the host while others want theirs: turns a round.
    pub weight: u32,
    /// Told of each object that was worked on.
    pub observe: Observe,
}

/// Told the kind of an object, and whether it is as it should be now.
pub type Observe = Box<dyn Fn(&'static str, bool) + Send + Sync>;

/// A running syncer; dropping it stops it.
pub struct Syncer {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the workers share.
pub(crate) struct Shared {
    pub cluster: Cluster,
    pub client: Client,
    pub cache: Cache,
    pub host: Arc<Host>,
    /// The host objects of the namespace that this virtual cluster lives in.
    pub watched: Arc<Watched>,
    pub nodes: bool,
    pub weight: u32,
    pub queue: Arc<Queue>,
    pub carried: Carried,
    /// When each pod's tokens are due for renewal, by pod uid.
    pub tokens: Mutex<HashMap<String, tokio::time::Instant>>,
    /// What tenants were told of claims: uid and words. Bounded by the number of claims that were refused.
    pub told: Mutex<HashSet<(String, String)>>,
    pub observe: Observe,
}

impl Syncer {
    /// Starts syncing on the current tokio runtime.
    pub fn start(options: Options) -> Self {
        let Options { cluster, client, host, nodes, network_policies, weight, observe } = options;
        let client = client.with_user_agent("joey-syncer");
        let (cache, reflectors) = Cache::new(client.clone());
        let queue = Queue::new();
        let watched = host.watched(&cluster.host_namespace);
        let shared = Arc::new(Shared {
            cluster,
            client,
            cache,
            host,
            watched,
            nodes,
            weight,
            queue,
            carried: Carried::default(),
            tokens: Mutex::default(),
            told: Mutex::default(),
            observe,
        });
        let weak = Arc::downgrade(&shared);
        shared.cache.subscribe(Arc::new(move |change| {
            if let Some(shared) = weak.upgrade() {
                shared.changed(change);
            }
        }));
        for gvr in [&PODS, &SERVICES, &CLAIMS, &VOLUMES] {
            shared.cache.track(gvr, Keep::Full);
        }
        for gvr in [&CONFIG_MAPS, &SECRETS, &NAMESPACES, &NODES, &ENDPOINT_SLICES] {
            shared.cache.track(gvr, Keep::Metadata);
        }
        if network_policies {
            shared.cache.track(&NETWORK_POLICIES, Keep::Full);
        }
        ingresses::follow(&shared);
        shared.host.route(&shared.cluster, &shared.queue);
        let mut tasks = vec![tokio::spawn(reflectors.run())];
        tasks.push(tokio::spawn(run(shared.clone())));
        Self { shared, tasks }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.host.unroute(&self.shared.cluster);
        self.shared.cache.unsubscribe_all();
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn changed(&self, change: &Change) {
        let kinds = [
            (&PODS, Kind::Pod),
            (&SERVICES, Kind::Service),
            (&CLAIMS, Kind::Claim),
            (&CONFIG_MAPS, Kind::ConfigMap),
            (&SECRETS, Kind::Secret),
            (&ENDPOINT_SLICES, Kind::EndpointSlice),
            (&NETWORK_POLICIES, Kind::NetworkPolicy),
            (&INGRESSES, Kind::Ingress),
        ];
        if change.is(&NAMESPACES) {
            network_policies::enqueue_by_namespace(self);
        }
        if let Some((_, kind)) = kinds.into_iter().find(|(gvr, _)| change.is(gvr)) {
            let entry = change.entry();
            self.queue.add(Key::new(kind, &entry.namespace, &entry.name));
        }
    }

    async fn sync(&self, key: &Key) -> Result<()> {
        match key.kind {
            Kind::Pod => pods::sync(self, &key.namespace, &key.name).await,
            Kind::Service => services::sync(self, &key.namespace, &key.name).await,
            Kind::Claim => claims::sync(self, &key.namespace, &key.name).await,
            Kind::ConfigMap => config::sync(self, &CONFIG_MAPS, key).await,
            Kind::Secret => config::sync(self, &SECRETS, key).await,
            Kind::EndpointSlice => endpoints::sync(self, key).await,
            Kind::NetworkPolicy => network_policies::sync(self, key).await,
            Kind::Ingress => ingresses::sync(self, key).await,
            Kind::Event => events::sync(self, &key.name).await,
            Kind::Node => nodes::sync(self, &key.name).await,
            Kind::StorageClass => nodes::sync_storage_class(self, &key.name).await,
        }
    }

    /// The host's name for a virtual object.
    pub fn host_name(&self, namespace: &str, name: &str) -> String {
        translate::names::host(&self.cluster, namespace, name)
    }

    pub fn host_namespace(&self) -> &str {
        &self.cluster.host_namespace
    }
}

async fn run(shared: Arc<Shared>) {
    Box::pin(shared.host.synced(&shared.watched)).await;
    let own =
        [&PODS, &SERVICES, &CLAIMS, &CONFIG_MAPS, &SECRETS, &VOLUMES, &NAMESPACES, &NODES, &ENDPOINT_SLICES];
    shared.cache.wait_synced(&own.map(|gvr| &**gvr)).await;
    // Pods and policies are judged together.
    let more = [&NETWORK_POLICIES, &INGRESSES].into_iter().filter(|gvr| shared.cache.store(gvr).is_some());
    shared.cache.wait_synced(&more.map(|gvr| &**gvr).collect::<Vec<_>>()).await;
    Box::pin(load_carried(&shared)).await;
    shared.enqueue_all();
    let workers = (0..WORKERS).map(|_| work(&shared));
    futures::future::join_all(workers).await;
}

async fn load_carried(shared: &Shared) {
    let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
    loop {
        match shared.carried.load(&shared.cluster, &shared.host.client).await {
            Ok(found) => return found.into_iter().for_each(|key| shared.queue.add(key)),
            Err(error) => {
                tracing::warn!(cluster = %shared.cluster.name, %error, "cannot list what is on the host");
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }
}

async fn work(shared: &Shared) {
    loop {
        let key = shared.queue.next().await;
        let turn = shared.host.turns.take(Arc::as_ptr(&shared.queue).addr(), shared.weight).await;
        // Boxed: an idle worker keeps no room for the work.
        let outcome = Box::pin(shared.sync(&key)).await;
        let failed = match &outcome {
            Ok(()) => false,
            // Somebody else was quicker; the change that did it brings the key back, and so does this.
            Err(error) => {
                tracing::debug!(cluster = %shared.cluster.name, kind = ?key.kind, namespace = %key.namespace, name = %key.name, %error, "not synced yet");
                true
            }
        };
        drop(turn);
        (shared.observe)(key.kind.name(), !failed);
        shared.queue.done(key, failed);
    }
}

impl Shared {
    /// Everything that is there on either side: what was missed while nobody watched.
    fn enqueue_all(&self) {
        let host = &self.watched.cache;
        let kinds = [(&PODS, Kind::Pod), (&SERVICES, Kind::Service), (&CLAIMS, Kind::Claim)];
        for (gvr, kind) in kinds {
            for entry in host.list(gvr, self.host_namespace()) {
                let origin = entry.value().and_then(|o| translate::marks::origin(&self.cluster, &o));
                if let Some(origin) = origin {
                    self.queue.add(Key::new(kind, &origin.namespace, &origin.name));
                }
            }
        }
        if self.nodes {
            for (gvr, kind) in [(&NODES, Kind::Node), (&STORAGE_CLASSES, Kind::StorageClass)] {
                for entry in self.host.nodes.list(gvr, "") {
                    self.queue.add(Key::new(kind, "", &entry.name));
                }
            }
        }
    }
}
