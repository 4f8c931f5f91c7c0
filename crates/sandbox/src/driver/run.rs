//! The loop: what changed or is due is looked at, a bounded number of objects at once.

use super::pods::{Memo, Pods};
use super::{Shared, now, register};
use crate::nodes::LEASE_SECONDS;
use crate::spec;
use client::Change;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Pod(Arc<str>, Arc<str>),
    Node(Arc<str>),
    Namespace(Arc<str>),
    Claim(Arc<str>, Arc<str>),
    Volume(Arc<str>),
    /// A ConfigMap or Secret of this namespace appeared or changed.
    Sources(Arc<str>),
    Leases,
}

/// Keys to look at, each once.
#[derive(Default)]
pub(crate) struct Queue {
    keys: Mutex<(VecDeque<Key>, HashSet<Key>)>,
    filled: Notify,
}

impl Queue {
    pub fn push(&self, key: Key) {
        let mut keys = self.keys.lock();
        if keys.1.insert(key.clone()) {
            keys.0.push_back(key);
            self.filled.notify_one();
        }
    }

    fn pop(&self) -> Option<Key> {
        let mut keys = self.keys.lock();
        let key = keys.0.pop_front()?;
        keys.1.remove(&key);
        Some(key)
    }
}

/// What was done for a key.
pub(super) struct Done {
    pub key: Key,
    pub wake: Option<Timestamp>,
    pub memo: Option<Memo>,
    /// Nothing was done because of an error: try again later.
    pub failed: bool,
}

impl Done {
    pub fn quietly(key: Key) -> Self {
        Self { key, wake: None, memo: None, failed: false }
    }
}

/// What is due, and when.
#[derive(Default)]
struct Timers {
    order: BTreeSet<(Timestamp, Key)>,
    of: HashMap<Key, Timestamp>,
}

impl Timers {
    fn set(&mut self, key: Key, at: Option<Timestamp>) {
        if let Some(old) = self.of.remove(&key) {
            self.order.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.of.insert(key.clone(), at);
            self.order.insert((at, key));
        }
    }

    fn due(&mut self, now: Timestamp) -> Option<Key> {
        let (at, key) = self.order.first()?;
        if *at > now {
            return None;
        }
        let key = key.clone();
        self.set(key.clone(), None);
        Some(key)
    }

    /// Resolves when the next is due; never, when nothing is.
    async fn wait(&self) {
        let Some((at, _)) = self.order.first() else { return std::future::pending().await };
        let wait = at.duration_since(now());
        tokio::time::sleep(Duration::try_from(wait).unwrap_or(Duration::ZERO)).await;
    }
}

/// Pushes what a change concerns. Pods of other clusters' nodes are told apart later.
fn heard(shared: &Shared, change: &Change) {
    let of = &shared.resources;
    let entry = change.entry();
    let (namespace, name) = (Arc::from(&*entry.namespace), Arc::from(&*entry.name));
    if change.is(&of.pods) {
        shared.changes.send_modify(|n| *n += 1);
        shared.queue.push(Key::Pod(namespace, name));
    } else if change.is(&of.nodes) {
        shared.queue.push(Key::Node(name));
    } else if change.is(&of.namespaces) {
        shared.queue.push(Key::Namespace(name));
    } else if change.is(&of.claims) {
        shared.queue.push(Key::Claim(namespace, name));
    } else if change.is(&of.volumes) {
        shared.queue.push(Key::Volume(name));
    } else if change.new.is_some() && (change.is(&of.config_maps) || change.is(&of.secrets)) {
        shared.queue.push(Key::Sources(namespace));
    }
}

/// Drives everything until dropped.
pub(super) async fn drive(shared: Arc<Shared>) {
    let handler = {
        let shared = Arc::downgrade(&shared);
        move |change: &Change| {
            if let Some(shared) = shared.upgrade() {
                heard(&shared, change);
            }
        }
    };
    shared.cache.subscribe(Arc::new(handler));
    let of = &shared.resources;
    let mut needed = vec![&of.pods, &of.nodes, &of.claims, &of.volumes, &of.classes];
    if shared.options.scheduler {
        needed.extend([&of.namespaces, &of.budgets]);
    }
    shared.cache.wait_synced(&needed).await;
    let mut driver = Driver::new(shared.clone());
    driver.begin();
    loop {
        driver.dispatch();
        tokio::select! {
            () = shared.queue.filled.notified() => {}
            () = driver.timers.wait() => {}
            Some(done) = driver.working.next(), if !driver.working.is_empty() => driver.finished(done),
        }
    }
}

struct Driver {
    shared: Arc<Shared>,
    pods: Pods,
    timers: Timers,
    working: FuturesUnordered<BoxFuture<'static, Done>>,
    busy: HashSet<Key>,
    /// Keys to look at again once the work on them is done.
    again: HashSet<Key>,
    failures: HashMap<Key, u32>,
}

impl Driver {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            pods: Pods::new(shared.clone()),
            shared,
            timers: Timers::default(),
            working: FuturesUnordered::new(),
            busy: HashSet::new(),
            again: HashSet::new(),
            failures: HashMap::new(),
        }
    }

    /// Takes in what there is before anything is decided, and looks at all of it once.
    fn begin(&mut self) {
        let of = &self.shared.resources;
        for gvr in [&of.pods, &of.claims, &of.volumes] {
            for entry in self.shared.cache.list(gvr, "") {
                heard(&self.shared, &Change { gvr: Arc::new(gvr.clone()), old: None, new: Some(entry) });
            }
        }
        for node in self.shared.cache.values(&of.nodes, "") {
            self.pods.cluster.put_node(node);
        }
        for entry in self.shared.cache.list(&of.namespaces, "") {
            self.pods.put_namespace(&entry);
        }
        for pod in self.shared.cache.values(&of.pods, "") {
            self.pods.cluster.put_pod(&pod, spec::node_name(&pod));
            let ip = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok());
            if let Some(ip) = ip.filter(|_| !spec::is_terminal(&pod) && !spec::host_network(&pod)) {
                self.shared.addresses.lock().claim(object::meta::uid(&pod), ip);
            }
        }
        if self.shared.options.nodes > 0 {
            self.timers.set(Key::Leases, Some(spec::later(now(), LEASE_SECONDS as f64 / 2.0)));
        }
    }

    /// Starts work for what is due or queued, as far as there are workers.
    fn dispatch(&mut self) {
        while let Some(key) = self.timers.due(now()) {
            self.shared.queue.push(key);
        }
        while self.working.len() < self.shared.options.workers.max(1) {
            let Some(key) = self.shared.queue.pop() else { return };
            if self.busy.contains(&key) {
                self.again.insert(key);
                continue;
            }
            if let Some(work) = self.work(&key) {
                self.busy.insert(key);
                self.working.push(work);
            }
        }
    }

    fn work(&mut self, key: &Key) -> Option<BoxFuture<'static, Done>> {
        let shared = self.shared.clone();
        let owned = key.clone();
        match key {
            Key::Pod(namespace, name) => {
                self.timers.set(key.clone(), None);
                self.pods.work(namespace, name)
            }
            Key::Node(name) => {
                match shared.cache.get(&shared.resources.nodes, "", name) {
                    Some(node) => self.pods.cluster.put_node(node),
                    None => self.pods.cluster.remove_node(name),
                }
                self.pods.retry();
                None
            }
            Key::Namespace(name) => {
                match shared.cache.entry(&shared.resources.namespaces, "", name) {
                    Some(entry) => self.pods.put_namespace(&entry),
                    None => self.pods.cluster.remove_namespace(name),
                }
                None
            }
            Key::Sources(namespace) => {
                self.pods.sources_changed(namespace);
                None
            }
            Key::Claim(namespace, name) => {
                self.pods.retry();
                let (namespace, name) = (namespace.clone(), name.clone());
                if shared.cache.entry(&shared.resources.claims, &namespace, &name).is_none() {
                    for volume in shared.cache.list(&shared.resources.volumes, "") {
                        shared.queue.push(Key::Volume(Arc::from(&*volume.name)));
                    }
                }
                shared.options.storage.then(|| -> BoxFuture<'static, Done> {
                    Box::pin(async move { done(owned, shared.claim(&namespace, &name).await) })
                })
            }
            Key::Volume(name) => {
                self.pods.retry();
                let name = name.clone();
                shared.options.storage.then(|| -> BoxFuture<'static, Done> {
                    Box::pin(async move { done(owned, shared.volume(&name).await) })
                })
            }
            Key::Leases => Some(Box::pin(async move {
                register::renew_leases(&shared).await;
                let wake = Some(spec::later(now(), LEASE_SECONDS as f64 / 2.0));
                Done { wake, ..Done::quietly(owned) }
            })),
        }
    }

    fn finished(&mut self, done: Done) {
        let Done { key, wake, memo, failed } = done;
        self.busy.remove(&key);
        if let (Key::Pod(namespace, name), Some(memo)) = (&key, memo) {
            self.pods.remember(namespace, name, memo);
        }
        let wake = match failed {
            false => {
                self.failures.remove(&key);
                wake
            }
            true => {
                let failures = self.failures.entry(key.clone()).or_default();
                *failures += 1;
                let wait = (0.2 * f64::from(1u32 << (*failures).min(8))).min(30.0);
                Some(spec::later(now(), wait))
            }
        };
        if self.again.remove(&key) {
            self.shared.queue.push(key.clone());
        }
        self.timers.set(key, wake);
    }
}

/// The end of work that either succeeds or is tried again.
pub(super) fn done(key: Key, result: object::Result<()>) -> Done {
    if let Err(error) = &result {
        tracing::debug!(?key, error = %error.message(), "will be tried again");
    }
    Done { failed: result.is_err(), ..Done::quietly(key) }
}
