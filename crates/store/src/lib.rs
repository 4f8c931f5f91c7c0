//! The data store of one virtual cluster: etcd's model behind one trait.
//!
//! Keys are slash-separated paths, values are opaque bytes. Every successful write takes the next [`Revision`] of one
//! counter that never goes back. Readers may ask for any revision since the last compaction; watchers get every
//! change after a revision, in order, without gaps, or [`StoreError::Compacted`].
//!
//! Acknowledged means durable. Nothing here knows what a Kubernetes object is.

#[cfg(unix)]
pub mod embedded;
#[cfg(feature = "etcd")]
pub mod etcd;
pub mod feed;
pub mod memory;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
mod upkeep;

pub use upkeep::{Cared, Upkeep};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A point in the store's history. 0 is before the first write; the first write is at 1 or later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A key's value as it was at some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// The value as written.
    pub value: Bytes,
    /// The revision of the write that made the key (since it was last absent).
    pub create_revision: Revision,
    /// The revision of the last write to the key.
    pub mod_revision: Revision,
}

/// What a write demands of the key's current state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key is absent.
    Absent,
    /// The key's last write was at this revision.
    At(Revision),
}

/// One compare-and-set.
#[derive(Clone, Debug)]
pub struct Write {
    /// The key.
    pub key: Arc<str>,
    /// Precondition.
    pub expect: Expect,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
    /// Delete the key by itself after this long (events). Counted anew with every write. The key may be seen a little
    /// longer: until the next write or [`Store::maintain`].
    pub ttl: Option<Duration>,
}

/// What a list asks for: keys that start with `prefix`, in byte order.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Every key listed starts with this.
    pub prefix: String,
    /// List keys after this one only (exclusive).
    pub after: Option<String>,
    /// At most this many entries; 0 means all.
    pub limit: usize,
    /// No more after the entry with which the values are this many bytes; 0 means all.
    pub most_bytes: usize,
    /// As of this revision; `None` is now.
    pub at: Option<Revision>,
}

/// The answer to a list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// In key order.
    pub entries: Vec<Entry>,
    /// The revision the list shows (the one asked for, or the store's current one).
    pub revision: Revision,
    /// How many further keys match after the last entry.
    pub remaining: usize,
}

/// A change of one key.
#[derive(Debug)]
pub struct Event {
    /// The key.
    pub key: Arc<str>,
    /// The revision of the change.
    pub revision: Revision,
    /// The new value; `None` when the key was deleted.
    pub value: Option<Bytes>,
    /// What the key held before; `None` when it was absent.
    pub previous: Option<Entry>,
    /// Whatever an upper layer derives from this event once and shares among all watchers (parsed, encoded).
    pub derived: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// An ordered stream of changes under a prefix.
pub trait Watch: Send {
    /// The next change; waits for it. Cancel-safe. After an error the watch is over.
    fn next(&mut self) -> BoxFuture<'_, Result<Arc<Event>, StoreError>>;

    /// The next change if one is there already. (One that must be searched for in history may take some calls.)
    fn try_next(&mut self) -> Result<Option<Arc<Event>>, StoreError>;

    /// Every change under the prefix up to and including this revision was handed out: what a bookmark may say.
    /// Advances with the whole store's revision, also when other prefixes change.
    fn position(&self) -> Revision;

    /// Whether changes that were published already must still be searched for in history: `try_next` may have nothing
    /// although there is something.
    fn behind(&self) -> bool {
        false
    }
}

/// Why the store refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// The write's [`Expect`] did not hold; this is what the key holds now.
    #[error("key changed since it was read")]
    Conflict(Option<Entry>),
    /// The revision asked for was compacted away; the oldest one left is given.
    #[error("required revision has been compacted (oldest is {})", .0.0)]
    Compacted(Revision),
    /// The revision asked for lies ahead of the store's current one, which is given.
    #[error("required revision is a future revision (current is {})", .0.0)]
    Future(Revision),
    /// The disk is full, gone or read-only; nothing of the write is visible.
    #[error("storage failed: {0}")]
    Io(String),
    /// The store holds as many bytes as it may; what exists may be deleted.
    #[error("the store is full: it may hold {} MiB; delete something, and what that frees is there within minutes", .0 >> 20)]
    Full(u64),
    /// The data on disk is not what was written. Names the place; nothing was changed.
    #[error("data is corrupt: {0}")]
    Corrupt(String),
    /// Another process has this store open.
    #[error("{0} is in use by another process")]
    Locked(String),
    /// The engine was closed.
    #[error("store is closed")]
    Closed,
}

/// Rung with how long maintenance may wait. Never blocks.
pub type Bell = Box<dyn Fn(Duration) + Send + Sync>;

/// One virtual cluster's data. All methods may be called at any time from any task.
pub trait Store: Send + Sync + 'static {
    /// The current value of `key`, and the revision this is true at.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Option<Entry>, Revision), StoreError>>;

    /// The keys under a prefix. Fails with `Compacted` or `Future` when `at` is not available.
    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, StoreError>>;

    /// Number of keys under a prefix now.
    fn count<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// Performs one compare-and-set and returns its revision once it is durable. Deleting a key that is absent and
    /// expected to be changes nothing. Dropping the future, as an I/O error, leaves open whether the write happens.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// All changes under `prefix` after `from` (exclusive). Fails with `Compacted` when they are not all kept, and with
    /// `Future` when `from` lies ahead.
    fn watch(&self, prefix: &str, from: Revision) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>>;

    /// The revision of the last write that readers can see.
    fn revision(&self) -> Revision;

    /// The revision of the last write that anybody was told of, also through another process on the same data.
    /// [`revision`](Self::revision) is at least this from then on.
    fn latest(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async { Ok(self.revision()) }.boxed()
    }

    /// Forgets history before `revision`: lists at, and watches from, an older revision fail from then on. Current values
    /// stay. Does nothing when that much was forgotten already; fails with `Future` when `revision` lies ahead.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Does what became due with time (deletes expired keys, forgets old history, gives memory back) and says after how
    /// long to call again; `None` until the store rings (see [`attend`](Self::attend)). For [`Upkeep`], of which there is
    /// one per process: stores have no timers.
    fn maintain(&self) -> BoxFuture<'_, Result<Option<Duration>, StoreError>> {
        async { Ok(None) }.boxed()
    }

    /// Gives the store a bell for when [`maintain`](Self::maintain) has something to do sooner than it last said. The
    /// first one given stays.
    fn attend(&self, _bell: Bell) {}
}
