//! The copies of one resource, ordered by namespace and name, indexed by owner.

use super::entry::{Entry, Shape};
use super::index::{Index, label};
use super::{Change, Hot};
use futures::future::AbortHandle;
use object::label_selector::Operator;
use object::{GroupVersionResource, LabelSelector};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// How many local deletions are remembered until the watch tells of them; the oldest are forgotten first (the object may
/// then reappear for the moment until its `DELETED` event).
const TOMBSTONES: usize = 1024;

/// How many writes of our own are remembered until the watch tells of them; those forgotten are read again.
const OWN: usize = 4096;

/// How much of each object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Everything but `managedFields`.
    Full,
    /// Names, labels, owners, finalizers.
    Metadata,
    /// As [`Metadata`](Self::Metadata), and only of objects that have owners or are being deleted; of the others only the
    /// changes are told.
    Dependents,
}

impl Keep {
    fn rank(self) -> u8 {
        match self {
            Self::Dependents => 0,
            Self::Metadata => 1,
            Self::Full => 2,
        }
    }
}

type Key = (Box<str>, Box<str>);

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Key, Arc<Entry>>,
    /// By owner; under the empty uid those (kept in full) that nothing controls.
    owners: Index,
    /// By label, where that is asked for.
    labels: Option<Index>,
    /// Uids removed here whose `DELETED` event is still to come.
    tombstones: VecDeque<Box<str>>,
    /// The newest version that the list or watch has told of.
    version: u64,
    /// Newer versions that were put in as answers to writes of our own.
    own: BTreeSet<u64>,
}

/// The copies of one resource.
pub struct Store {
    gvr: Arc<GroupVersionResource>,
    shape: Arc<Shape>,
    keep: AtomicU8,
    synced: AtomicBool,
    inner: RwLock<Inner>,
    task: Mutex<Option<AbortHandle>>,
}

impl Store {
    pub(super) fn new(gvr: GroupVersionResource, keep: Keep, hot: Arc<Hot>) -> Self {
        let shape =
            Shape { api_version: gvr.group_version().to_string(), kind: std::sync::OnceLock::new(), hot };
        Self {
            gvr: Arc::new(gvr),
            shape: Arc::new(shape),
            keep: AtomicU8::new(keep.rank()),
            synced: AtomicBool::new(false),
            inner: RwLock::default(),
            task: Mutex::default(),
        }
    }

    /// The resource.
    pub fn gvr(&self) -> &Arc<GroupVersionResource> {
        &self.gvr
    }

    /// The kind of the objects, empty as long as no answer has named it.
    pub fn kind(&self) -> &str {
        self.shape.kind.get().map_or("", String::as_str)
    }

    /// Whether the resource has been listed.
    pub fn has_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.inner.read().objects.get(&(namespace.into(), name.into())).cloned()
    }

    /// All objects of a namespace, or all.
    pub fn list(&self, namespace: &str) -> Vec<Arc<Entry>> {
        let inner = self.inner.read();
        if namespace.is_empty() {
            return inner.objects.values().cloned().collect();
        }
        let from: Key = (namespace.into(), "".into());
        inner
            .objects
            .range(from..)
            .take_while(|(key, _)| &*key.0 == namespace)
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// The objects that name this uid among their owners.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<Entry>> {
        if uid.is_empty() {
            return vec![];
        }
        self.inner.read().owners.get(uid).to_vec()
    }

    /// The objects of a namespace that nothing controls; only where objects are kept in full.
    pub fn uncontrolled(&self, namespace: &str) -> Vec<Arc<Entry>> {
        let inner = self.inner.read();
        let here = |entry: &&Arc<Entry>| namespace.is_empty() || &*entry.namespace == namespace;
        inner.owners.get("").iter().filter(here).cloned().collect()
    }

    /// The objects of a namespace (`""`: all) that a selector takes.
    pub fn select(&self, namespace: &str, selector: &LabelSelector) -> Vec<Arc<Entry>> {
        let takes = |entry: &Arc<Entry>| selector.matches(|key| entry.label(key));
        let inner = self.inner.read();
        let Some(few) = inner.labels.as_ref().and_then(|labels| fewest(labels, selector)) else {
            drop(inner);
            return self.list(namespace).into_iter().filter(takes).collect();
        };
        let here =
            |entry: &&Arc<Entry>| (namespace.is_empty() || &*entry.namespace == namespace) && takes(entry);
        let mut found: Vec<_> = few.iter().filter(here).cloned().collect();
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        found
    }

    /// Makes [`select`](Self::select) quick.
    pub fn index_labels(&self) {
        let mut inner = self.inner.write();
        if inner.labels.is_some() {
            return;
        }
        let mut labels = Index::default();
        for entry in inner.objects.values() {
            entry.labels.iter().for_each(|(key, value)| labels.insert(&label(key, value), entry));
        }
        inner.labels = Some(labels);
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.inner.read().objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks for more to be kept; answers whether the resource has to be listed again.
    pub(super) fn widen(&self, keep: Keep) -> bool {
        let wider = self.keep.fetch_max(keep.rank(), Ordering::AcqRel) < keep.rank();
        if wider {
            self.synced.store(false, Ordering::Release);
        }
        wider
    }

    /// Whether so much (or more) of each object is kept.
    pub fn keeps(&self, keep: Keep) -> bool {
        self.keep.load(Ordering::Acquire) >= keep.rank()
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.keeps(Keep::Metadata) || !entry.owners.is_empty() || entry.deleting
    }

    /// Reads an encoded object; one that is malformed is named in the log and passed over.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Entry> {
        match Entry::read(bytes, &self.shape, self.keeps(Keep::Full)) {
            Ok(entry) => Some(entry),
            Err(error) => {
                tracing::warn!(resource = %self.gvr.group_resource(), %error, "an object cannot be read and is passed over");
                None
            }
        }
    }

    /// The kind, where a list says it and its items don't.
    pub(super) fn name_kind(&self, kind: &str) {
        self.shape.kind.get_or_init(|| kind.to_owned());
    }

    /// Puts in what a write of our own answered. Older news change nothing.
    pub(super) fn put(&self, entry: Arc<Entry>) -> Option<Change> {
        let mut inner = self.inner.write();
        if entry.version <= inner.version {
            return None;
        }
        inner.own.insert(entry.version);
        if inner.own.len() > OWN {
            inner.own.pop_first();
        }
        self.take_in(&mut inner, entry)
    }

    /// Puts in an object that the watch tells of. Older news change nothing.
    pub(super) fn put_watched(&self, entry: Entry) -> Option<Change> {
        let mut inner = self.inner.write();
        inner.advance(entry.version);
        if inner.tombstones.contains(&entry.uid) {
            return None;
        }
        self.take_in(&mut inner, Arc::new(entry))
    }

    /// Whether the watch tells of a write of our own, which was put in before: a version is that of one write.
    pub(super) fn is_own(&self, version: u64) -> bool {
        let mut inner = self.inner.write();
        let own = inner.own.contains(&version);
        if own {
            inner.advance(version);
        }
        own
    }

    fn take_in(&self, inner: &mut Inner, entry: Arc<Entry>) -> Option<Change> {
        if !self.wants(&entry) {
            let old = inner.take(&(entry.namespace.clone(), entry.name.clone()));
            return Some(Change { gvr: self.gvr.clone(), old, new: Some(entry) });
        }
        inner.put(entry).map(|change| change.of(&self.gvr))
    }

    /// Takes out an object that the watch says is gone.
    pub(super) fn remove(&self, last: Entry) -> Option<Change> {
        let mut inner = self.inner.write();
        inner.advance(last.version);
        inner.tombstones.retain(|uid| *uid != last.uid);
        let key = (last.namespace.clone(), last.name.clone());
        if !self.keeps(Keep::Metadata) && !inner.objects.contains_key(&key) {
            return Some(Change { gvr: self.gvr.clone(), old: Some(Arc::new(last)), new: None });
        }
        let gone = inner
            .objects
            .get(&key)
            .is_some_and(|known| known.uid == last.uid || known.version < last.version);
        if !gone {
            return None;
        }
        inner.take(&key).map(|old| Change { gvr: self.gvr.clone(), old: Some(old), new: None })
    }

    /// Takes out an object that we deleted.
    pub(super) fn forget(&self, namespace: &str, name: &str, uid: &str) -> Option<Change> {
        let mut inner = self.inner.write();
        let key: Key = (namespace.into(), name.into());
        if inner.objects.get(&key).is_none_or(|known| &*known.uid != uid) {
            return None;
        }
        if inner.tombstones.len() >= TOMBSTONES {
            inner.tombstones.pop_front();
        }
        inner.tombstones.push_back(uid.into());
        inner.take(&key).map(|old| Change { gvr: self.gvr.clone(), old: Some(old), new: None })
    }

    /// The watch has told of everything up to this version.
    pub(super) fn advance(&self, version: u64) {
        self.inner.write().advance(version);
    }

    /// Makes the copies be what a list at `version` says. What was put in since is kept.
    pub(super) fn replace(&self, listed: Vec<Entry>, version: u64) -> Vec<Change> {
        let mut inner = self.inner.write();
        inner.advance(version);
        let mut changes = vec![];
        let present: std::collections::HashSet<Key> =
            listed.iter().map(|entry| (entry.namespace.clone(), entry.name.clone())).collect();
        let gone: Vec<Key> = inner
            .objects
            .iter()
            .filter(|(key, entry)| entry.version <= version && !present.contains(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(old) = inner.take(&key) {
                changes.push(Change { gvr: self.gvr.clone(), old: Some(old), new: None });
            }
        }
        for entry in listed {
            if inner.tombstones.contains(&entry.uid) {
                continue;
            }
            if self.wants(&entry) {
                changes.extend(inner.put(Arc::new(entry)).map(|change| change.of(&self.gvr)));
            }
        }
        drop(inner);
        changes
    }

    pub(super) fn set_synced(&self) -> bool {
        !self.synced.swap(true, Ordering::AcqRel)
    }

    /// Takes out everything.
    pub(super) fn clear(&self) -> Vec<Change> {
        let mut inner = self.inner.write();
        inner.owners.clear();
        inner.labels.iter_mut().for_each(Index::clear);
        let objects = std::mem::take(&mut inner.objects);
        objects.into_values().map(|old| Change { gvr: self.gvr.clone(), old: Some(old), new: None }).collect()
    }

    /// The task that fills this store from now on; the one before is ended.
    pub(super) fn set_task(&self, handle: AbortHandle) {
        if let Some(before) = self.task.lock().replace(handle) {
            before.abort();
        }
    }

    pub(super) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

struct Put {
    old: Option<Arc<Entry>>,
    new: Arc<Entry>,
}

impl Put {
    fn of(self, gvr: &Arc<GroupVersionResource>) -> Change {
        Change { gvr: gvr.clone(), old: self.old, new: Some(self.new) }
    }
}

impl Inner {
    /// The list or watch has told of everything up to this version.
    fn advance(&mut self, version: u64) {
        self.version = self.version.max(version);
        while self.own.first().is_some_and(|own| *own <= self.version) {
            self.own.pop_first();
        }
    }

    fn put(&mut self, entry: Arc<Entry>) -> Option<Put> {
        let key = (entry.namespace.clone(), entry.name.clone());
        let old = match self.objects.get(&key) {
            Some(known) if known.version > entry.version => return None,
            // The same version again says something new only where more of it is kept now.
            Some(known)
                if known.version == entry.version
                    && known.uid == entry.uid
                    && known.is_as_full_as(&entry) =>
            {
                return None;
            }
            Some(_) => self.take(&key),
            None => None,
        };
        for owner in &entry.owners {
            self.owners.insert(&owner.uid, &entry);
        }
        if entry.is_full() && entry.controller().is_none() {
            self.owners.insert("", &entry);
        }
        if let Some(labels) = &mut self.labels {
            entry.labels.iter().for_each(|(key, value)| labels.insert(&label(key, value), &entry));
        }
        self.objects.insert(key, entry.clone());
        Some(Put { old, new: entry })
    }

    fn take(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let entry = self.objects.remove(key)?;
        for owner in &entry.owners {
            self.owners.remove(&owner.uid, &entry);
        }
        if entry.is_full() && entry.controller().is_none() {
            self.owners.remove("", &entry);
        }
        if let Some(labels) = &mut self.labels {
            entry.labels.iter().for_each(|(key, value)| labels.remove(&label(key, value), &entry));
        }
        Some(entry)
    }
}

/// The entries of the rarest label that the selector demands; `None` if it demands none in particular.
fn fewest<'a>(labels: &'a Index, selector: &LabelSelector) -> Option<&'a [Arc<Entry>]> {
    let exact = selector.requirements().iter().filter_map(|requirement| {
        let one = matches!(requirement.operator, Operator::In | Operator::Equals | Operator::DoubleEquals);
        match requirement.values.as_slice() {
            [value] if one => Some(labels.get(&label(&requirement.key, value))),
            _ => None,
        }
    });
    exact.min_by_key(|entries| entries.len())
}
