//! Copies of what a server has, kept fresh by watches.
//!
//! A [`Cache`] tracks resources; one task ([`Reflectors::run`]) lists and watches them all. Objects are kept encoded, with a
//! few metadata fields read out ([`Entry`]); they are parsed when a reader asks. Invariants:
//! - a reader never sees an object go back in versions;
//! - what this process wrote can be put in at once ([`Cache::observe`], [`Cache::forget`]), so that its own writes are seen
//!   before the watch tells of them;
//! - an idle cache runs nothing: no timer, no polling.

mod entry;
mod index;
mod part;
mod reflector;
mod store;

pub use entry::{Entry, Owner};
pub use reflector::Reflectors;
pub use store::{Keep, Store};

use crate::client::{Client, Encoded};
use object::{GroupVersionResource, LabelSelector, meta};
use parking_lot::{Mutex, RwLock};
use reflector::Command;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Parsed objects are kept at hand until [`Cache::cool`] as long as their encodings are no longer than this together. Parsed,
/// an object takes about ten times as much.
const HOT_BYTES: usize = 1 << 20;

/// An object appeared (`old` is `None`), changed, or went (`new` is `None`).
#[derive(Clone, Debug)]
pub struct Change {
    /// Its resource.
    pub gvr: Arc<GroupVersionResource>,
    /// The copy replaced.
    pub old: Option<Arc<Entry>>,
    /// The copy that replaced it.
    pub new: Option<Arc<Entry>>,
}

impl Change {
    /// The newer of the copies.
    pub fn entry(&self) -> &Arc<Entry> {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has an old or a new copy")
    }

    /// Both copies, the old first.
    pub fn both(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.old.iter().chain(self.new.iter())
    }

    /// Whether the change is of this resource.
    pub fn is(&self, gvr: &GroupVersionResource) -> bool {
        *self.gvr == *gvr
    }
}

/// Which objects a cache lists and watches.
#[derive(Clone)]
pub struct Scope {
    /// Of this namespace only; empty: of all. Cluster-scoped resources need all.
    pub namespace: Arc<str>,
    /// Those that this label selector takes, by resource; empty: all.
    pub labels: fn(&GroupVersionResource) -> &'static str,
}

impl Default for Scope {
    fn default() -> Self {
        Self { namespace: "".into(), labels: |_| "" }
    }
}

/// Called for each change, on the task that made it; must be quick and must not wait.
pub type Handler = Arc<dyn Fn(&Change) + Send + Sync>;

/// Called with a resource that had to be listed anew: what [`Keep::Dependents`] does not keep may have gone unnoticed.
pub type RelistHandler = Arc<dyn Fn(&GroupVersionResource) + Send + Sync>;

/// Parsed objects that stay parsed for a while.
#[derive(Default)]
pub(crate) struct Hot(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    /// With the length of each one's encoding; the oldest first.
    values: VecDeque<(Arc<Value>, usize)>,
    bytes: usize,
}

impl Hot {
    pub(crate) fn keep(&self, value: &Arc<Value>, length: usize) {
        let mut ring = self.0.lock();
        ring.values.push_back((value.clone(), length));
        ring.bytes += length;
        while ring.bytes > HOT_BYTES {
            let Some((_, length)) = ring.values.pop_front() else { return };
            ring.bytes -= length;
        }
    }

    fn cool(&self) {
        let ring = std::mem::take(&mut *self.0.lock());
        drop(ring);
    }
}

struct Shared {
    stores: RwLock<HashMap<Arc<GroupVersionResource>, Arc<Store>>>,
    handlers: RwLock<Vec<Handler>>,
    relist_handlers: RwLock<Vec<RelistHandler>>,
    hot: Arc<Hot>,
    commands: mpsc::UnboundedSender<Command>,
    synced: watch::Sender<u64>,
}

/// The copies of one server's objects. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

impl Cache {
    /// A cache of what `client` sees. Nothing happens until the [`Reflectors`] run.
    pub fn new(client: Client) -> (Self, Reflectors) {
        Self::scoped(client, Scope::default())
    }

    /// A cache of a part of what `client` sees. Objects out of scope may be put in with [`observe`](Self::observe), and stay
    /// until the next list.
    pub fn scoped(client: Client, scope: Scope) -> (Self, Reflectors) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            stores: RwLock::default(),
            handlers: RwLock::default(),
            relist_handlers: RwLock::default(),
            hot: Arc::default(),
            commands,
            synced: watch::Sender::new(0),
        };
        let cache = Self { shared: Arc::new(shared) };
        let reflectors = Reflectors::new(client, &cache, receiver, scope);
        (cache, reflectors)
    }

    /// A cache of no server, filled by [`observe`](Self::observe): the snapshot that tests plan from.
    pub fn offline() -> Self {
        let (commands, _) = mpsc::unbounded_channel();
        let shared = Shared {
            stores: RwLock::default(),
            handlers: RwLock::default(),
            relist_handlers: RwLock::default(),
            hot: Arc::default(),
            commands,
            synced: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts to keep copies of a resource; once is enough, and who wants more of them wins.
    pub fn track(&self, gvr: &GroupVersionResource, keep: Keep) -> Arc<Store> {
        let mut stores = self.shared.stores.write();
        if let Some(store) = stores.get(gvr) {
            if store.widen(keep) {
                let _ = self.shared.commands.send(Command::Start(store.clone()));
            }
            return store.clone();
        }
        let store = Arc::new(Store::new(gvr.clone(), keep, self.shared.hot.clone()));
        stores.insert(store.gvr().clone(), store.clone());
        let _ = self.shared.commands.send(Command::Start(store.clone()));
        store
    }

    /// Forgets a resource; subscribers hear that each object went.
    pub fn untrack(&self, gvr: &GroupVersionResource) {
        let Some(store) = self.shared.stores.write().remove(gvr) else { return };
        store.stop();
        for change in store.clear() {
            self.notify(&change);
        }
    }

    /// The copies of a resource, if it is tracked.
    pub fn store(&self, gvr: &GroupVersionResource) -> Option<Arc<Store>> {
        self.shared.stores.read().get(gvr).cloned()
    }

    /// All tracked resources.
    pub fn stores(&self) -> Vec<Arc<Store>> {
        self.shared.stores.read().values().cloned().collect()
    }

    /// Calls `handler` at each change from now on.
    pub fn subscribe(&self, handler: Handler) {
        self.shared.handlers.write().push(handler);
    }

    /// Calls `handler` each time a resource had to be listed anew.
    pub fn subscribe_relists(&self, handler: RelistHandler) {
        self.shared.relist_handlers.write().push(handler);
    }

    /// Drops all handlers (they may hold this cache).
    pub fn unsubscribe_all(&self) {
        self.shared.relist_handlers.write().clear();
        self.shared.handlers.write().clear();
    }

    /// Whether each of the resources has been listed. One that is not tracked has not.
    pub fn has_synced<'a>(&self, resources: impl IntoIterator<Item = &'a GroupVersionResource>) -> bool {
        resources.into_iter().all(|gvr| self.store(gvr).is_some_and(|store| store.has_synced()))
    }

    /// Changes each time a resource has been listed for the first time.
    pub fn sync_events(&self) -> watch::Receiver<u64> {
        self.shared.synced.subscribe()
    }

    /// Waits until each of the resources has been listed.
    pub async fn wait_synced(&self, resources: &[&GroupVersionResource]) {
        let mut events = self.sync_events();
        while !self.has_synced(resources.iter().copied()) {
            if events.changed().await.is_err() {
                return;
            }
        }
    }

    /// One object, parsed.
    pub fn get(&self, gvr: &GroupVersionResource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.entry(gvr, namespace, name)?.value()
    }

    /// One object.
    pub fn entry(&self, gvr: &GroupVersionResource, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.store(gvr)?.get(namespace, name)
    }

    /// All objects of a namespace (`""`: all), by namespace and name.
    pub fn list(&self, gvr: &GroupVersionResource, namespace: &str) -> Vec<Arc<Entry>> {
        self.store(gvr).map(|store| store.list(namespace)).unwrap_or_default()
    }

    /// All objects of a namespace (`""`: all), parsed; what cannot be parsed is left out.
    pub fn values(&self, gvr: &GroupVersionResource, namespace: &str) -> Vec<Arc<Value>> {
        self.list(gvr, namespace).iter().filter_map(|entry| entry.value()).collect()
    }

    /// All objects of a namespace (`""`: all) that a selector takes, by namespace and name.
    pub fn select(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        selector: &LabelSelector,
    ) -> Vec<Arc<Entry>> {
        self.store(gvr).map(|store| store.select(namespace, selector)).unwrap_or_default()
    }

    /// All objects of a namespace that nothing controls; only of resources kept in full.
    pub fn uncontrolled(&self, gvr: &GroupVersionResource, namespace: &str) -> Vec<Arc<Entry>> {
        self.store(gvr).map(|store| store.uncontrolled(namespace)).unwrap_or_default()
    }

    /// All objects of a resource that name this uid among their owners.
    pub fn owned_by(&self, gvr: &GroupVersionResource, uid: &str) -> Vec<Arc<Entry>> {
        self.store(gvr).map(|store| store.owned_by(uid)).unwrap_or_default()
    }

    /// Puts in what a write answered, unless the watch has already told of it or of something newer.
    pub fn observe(&self, gvr: &GroupVersionResource, object: &Value) {
        if self.store(gvr).is_some()
            && let Ok(bytes) = serde_json::to_vec(object)
        {
            self.observe_encoded(gvr, &Encoded(bytes.into()));
        }
    }

    /// As [`observe`](Self::observe); answers what was written, also where something newer is known. `None` if the resource
    /// is not tracked.
    pub fn observe_encoded(&self, gvr: &GroupVersionResource, object: &Encoded) -> Option<Arc<Entry>> {
        let store = self.store(gvr)?;
        let entry = Arc::new(store.read(&object.0)?);
        if let Some(change) = store.put(entry.clone()) {
            self.notify(&change);
        }
        Some(entry)
    }

    /// Takes out what a delete has removed.
    pub fn forget(&self, gvr: &GroupVersionResource, namespace: &str, name: &str, uid: &str) {
        if let Some(change) = self.store(gvr).and_then(|store| store.forget(namespace, name, uid)) {
            self.notify(&change);
        }
    }

    /// Puts in what a delete answered: the object that still waits for its finalizers or grace period, or nothing.
    pub fn observe_delete(
        &self,
        gvr: &GroupVersionResource,
        namespace: &str,
        name: &str,
        uid: &str,
        answer: &Value,
    ) {
        let waits = meta::deletion_timestamp(answer).is_some()
            && (meta::finalizers(answer).next().is_some()
                || answer["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0);
        if waits { self.observe(gvr, answer) } else { self.forget(gvr, namespace, name, uid) }
    }

    /// Drops parsed objects that nobody holds: for when there is nothing to do for a while.
    pub fn cool(&self) {
        self.shared.hot.cool();
    }

    pub(crate) fn notify(&self, change: &Change) {
        let handlers = self.shared.handlers.read().clone();
        for handler in handlers {
            handler(change);
        }
    }

    pub(crate) fn notify_relisted(&self, gvr: &GroupVersionResource) {
        let handlers = self.shared.relist_handlers.read().clone();
        for handler in handlers {
            handler(gvr);
        }
    }

    pub(crate) fn notify_synced(&self) {
        self.shared.synced.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests;
