//! The shell around the pure parts: watches, decides, applies, waits.
//!
//! One task per sandbox. Work for one object is never done twice at once; what changes meanwhile is looked at again.
//! Bounds: [`Options::workers`] objects at once, [`EVENTS`] events waiting to be told (more are dropped and counted in the
//! log). Timers exist only for what is due; an idle sandbox wakes for the nodes' leases only.

mod addresses;
mod claims;
mod disks;
mod interactive;
mod kubelet;
mod logs;
mod measured;
mod network;
mod pods;
mod references;
mod register;
mod run;
mod telling;

use crate::options::Options;
use addresses::Addresses;
use client::{Cache, Client, Keep};
use jiff::Timestamp;
use node::Kubelet;
use object::{GroupVersionResource, Result};
use parking_lot::Mutex;
use run::Queue;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Events waiting to be told.
const EVENTS: usize = 16384;

/// The resources that the sandbox follows or writes.
pub(crate) struct Resources {
    pub pods: GroupVersionResource,
    pub nodes: GroupVersionResource,
    pub namespaces: GroupVersionResource,
    pub budgets: GroupVersionResource,
    pub config_maps: GroupVersionResource,
    pub secrets: GroupVersionResource,
    pub services: GroupVersionResource,
    pub service_accounts: GroupVersionResource,
    pub claims: GroupVersionResource,
    pub volumes: GroupVersionResource,
    pub classes: GroupVersionResource,
    pub leases: GroupVersionResource,
    pub events: GroupVersionResource,
    pub api_services: GroupVersionResource,
}

impl Resources {
    fn new() -> Self {
        let core = |resource: &str| GroupVersionResource::new("", "v1", resource);
        Self {
            pods: core("pods"),
            nodes: core("nodes"),
            namespaces: core("namespaces"),
            budgets: GroupVersionResource::new("policy", "v1", "poddisruptionbudgets"),
            config_maps: core("configmaps"),
            secrets: core("secrets"),
            services: core("services"),
            service_accounts: core("serviceaccounts"),
            claims: core("persistentvolumeclaims"),
            volumes: core("persistentvolumes"),
            classes: GroupVersionResource::new("storage.k8s.io", "v1", "storageclasses"),
            leases: GroupVersionResource::new("coordination.k8s.io", "v1", "leases"),
            events: core("events"),
            api_services: GroupVersionResource::new("apiregistration.k8s.io", "v1", "apiservices"),
        }
    }
}

/// What all parts of a running sandbox share.
pub(crate) struct Shared {
    pub client: Client,
    pub cache: Cache,
    pub options: Options,
    pub resources: Resources,
    pub queue: Queue,
    pub addresses: Mutex<Addresses>,
    pub events: mpsc::Sender<telling::Telling>,
    /// Bumped whenever a pod changes; followers of logs look again.
    pub changes: watch::Sender<u64>,
    /// Files written by `exec`, by pod uid and container.
    pub written: Mutex<HashMap<String, HashMap<String, crate::shell::Files>>>,
    /// Files that containers found in empty volumes when they started, by pod uid and container.
    pub found: Mutex<HashMap<String, HashMap<String, crate::shell::Files>>>,
    /// How containers ended whose shell was talked to, by pod uid and the container's id.
    pub talked: Mutex<HashMap<String, HashMap<String, i32>>>,
    /// ConfigMaps and Secrets that do not change.
    pub lasting: references::Lasting,
    /// Files in host paths.
    pub disks: Mutex<disks::Disks>,
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

impl Shared {
    /// The index of a node that is simulated here.
    pub fn node_index(&self, name: &str) -> Option<u16> {
        let number: u16 = name.strip_prefix(&self.options.node_prefix)?.strip_prefix('-')?.parse().ok()?;
        let index = number.checked_sub(1)?;
        (index < self.options.nodes && self.options.node_name(index) == name).then_some(index)
    }
}

/// A sandbox: its kubelets can be handed out before it starts, because the API server wants them first.
pub struct Sandbox {
    options: Options,
    running: Arc<OnceLock<Arc<Shared>>>,
}

/// A running sandbox. Dropping it stops it; [`stop`](Self::stop) also waits.
pub struct Handle {
    shared: Arc<Shared>,
    _stop: tokio_util::sync::DropGuard,
}

impl Sandbox {
    /// A sandbox that does nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options, running: Arc::default() }
    }

    /// The way into its pods; refuses until the sandbox has started.
    pub fn kubelet(&self) -> Arc<dyn Kubelet> {
        Arc::new(kubelet::SandboxKubelet::new(self.running.clone()))
    }

    /// Registers the nodes and starts to drive pods, as a client with the rights of scheduler, kubelets and provisioner.
    ///
    /// # Errors
    /// When the nodes cannot be registered.
    pub async fn start(self, client: Client) -> Result<Handle> {
        let (cache, reflectors) = Cache::new(client.clone());
        let (events, telling) = mpsc::channel(EVENTS);
        let shutdown = CancellationToken::new();
        let shared = Arc::new(Shared {
            client,
            cache,
            options: self.options,
            resources: Resources::new(),
            queue: Queue::default(),
            addresses: Mutex::default(),
            events,
            changes: watch::Sender::new(0),
            written: Mutex::default(),
            found: Mutex::default(),
            talked: Mutex::default(),
            lasting: references::Lasting::default(),
            disks: Mutex::default(),
            tasks: TaskTracker::new(),
            shutdown: shutdown.clone(),
        });
        if shared.options.nodes > 0 {
            register::nodes(&shared).await?;
            register::metrics_service(&shared).await?;
        }
        if shared.options.storage {
            register::storage_class(&shared).await?;
        }
        let of = &shared.resources;
        for gvr in [&of.pods, &of.nodes, &of.claims, &of.volumes, &of.classes] {
            shared.cache.track(gvr, Keep::Full);
        }
        if shared.options.nodes > 0 {
            for gvr in [&of.config_maps, &of.secrets] {
                shared.cache.track(gvr, Keep::Metadata);
            }
        }
        if shared.options.scheduler {
            shared.cache.track(&of.namespaces, Keep::Metadata);
            shared.cache.track(&of.budgets, Keep::Full);
        }
        // A second start of the same sandbox is a mistake of the caller; the kubelet stays with the first.
        let _ = self.running.set(shared.clone());
        let (driven, token) = (shared.clone(), shutdown.clone());
        shared.tasks.spawn(async move {
            let work = async {
                tokio::join!(reflectors.run(), run::drive(driven.clone()), telling::tell(&driven, telling));
            };
            let _ = token.run_until_cancelled(work).await;
            driven.cache.unsubscribe_all();
        });
        Ok(Handle { shared, _stop: shutdown.drop_guard() })
    }
}

impl Handle {
    /// Stops and waits for everything to end. Objects stay as they are.
    pub async fn stop(self) {
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// The wall clock, read in one place.
pub(crate) fn now() -> Timestamp {
    object::time::now()
}
