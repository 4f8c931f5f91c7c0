//! The embedded engine: one redb file in a folder of its own.
//!
//! In memory are the keys and their revisions ([`index`]); values are on disk, by revision ([`record`]), behind a small
//! page cache. Writes that arrive during a commit share the next one ([`writer`]). A store that nobody uses has no
//! task, thread or timer; what falls due by time is done by the next write or by [`Store::maintain`].

mod backup;
mod batch;
mod cache;
mod database;
mod disk;
mod driver;
mod engine;
mod expiry;
mod fill;
mod index;
mod inspect;
mod overlay;
mod record;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
#[cfg(test)]
mod tests;
mod writer;

use crate::feed::{Feed, History, Limits};
use crate::{Bell, Entry, ListRequest, Listing, Revision, Store, StoreError, Watch, Write};
use cache::ValueCache;
use disk::{Disk, LockedFile};
use driver::Job;
use engine::{Engine, REST, State, locate};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use writer::Writer;

/// The file in a store's folder.
pub const FILE: &str = "data.redb";

/// Writes that may wait at a time; further ones wait for room.
const WAITING: usize = 8_192;

/// A store with no more cache than this is one of many: its pages are few, and the system's own cache has them.
const SMALL: usize = 1 << 20;

/// How a store is run. [`Options::default`] suits a virtual cluster among thousands.
#[derive(Clone)]
pub struct Options {
    /// About how many bytes of values and of the file's pages are kept in memory at most (1 MiB). Given back when idle.
    pub cache_bytes: usize,
    /// The most bytes that values may take (no bound). Beyond, what is new is refused with [`StoreError::Full`].
    pub most_bytes: Option<u64>,
    /// How long old revisions are kept (5 minutes).
    pub history: Duration,
    /// Recent changes kept in memory for watchers.
    pub recent: Limits,
    /// What time it is.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 1 << 20,
            most_bytes: None,
            history: Duration::from_secs(300),
            recent: Limits::default(),
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl Options {
    /// The part of the cache for pages: what leads to the values.
    fn page_bytes(&self) -> usize {
        self.cache_bytes / if self.cache_bytes > SMALL { 4 } else { 128 }
    }

    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        milliseconds((self.clock)())
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A store in a folder. Dropping it closes it: watches end with [`StoreError::Closed`], writes under way finish (which
/// blocks for that long), and the folder may be opened again at once.
pub struct EmbeddedStore {
    engine: Arc<Engine>,
}

impl EmbeddedStore {
    /// Opens the store in the folder `path` and makes it when there is none. Blocks on the disk.
    ///
    /// A last write that was cut off by a crash and never acknowledged is undone. Fails, without changing anything,
    /// with `Locked` when another process has it open, `Corrupt` when the data is damaged, and `Io` when the folder
    /// cannot be read and written.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Arc<Self>, StoreError> {
        let path = path.as_ref();
        let failed = |error| StoreError::Io(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(path).map_err(failed)?;
        let file = path.join(FILE);
        let place = file.display().to_string();
        let on = |lock: Arc<LockedFile>| Self::on(Disk(lock.clone()), Some(lock), None, &place, options);
        if !file.try_exists().map_err(failed)? {
            // named only when it is complete: a creation that was cut off is begun anew
            let unnamed = path.join(format!("{FILE}.new"));
            let lock = Arc::new(LockedFile::open(&unnamed)?);
            if !file.try_exists().map_err(failed)? {
                lock.clear().map_err(failed)?;
                let store = on(lock.clone())?;
                lock.finish().map_err(failed)?;
                std::fs::rename(&unnamed, &file).map_err(failed)?;
                disk::sync_folder(path).map_err(failed)?;
                return Ok(store);
            }
        }
        on(Arc::new(LockedFile::open(&file)?))
    }

    /// Opens the store on a storage. With a `pace`, a commit is a task that takes so long; else it has a thread to itself.
    fn on(
        disk: Disk,
        lock: Option<Arc<LockedFile>>,
        pace: Option<Duration>,
        place: &str,
        options: Options,
    ) -> Result<Arc<Self>, StoreError> {
        let located = |error| locate(place, error);
        inspect::inspect(&disk).map_err(located)?;
        let database = database::open(&disk, options.page_bytes()).map_err(located)?;
        let cache = Arc::new(ValueCache::new(options.cache_bytes - options.page_bytes()));
        let loaded = database::load(&database, &cache).map_err(located)?;
        let meta = loaded.meta;
        let state = State {
            index: loaded.index,
            snapshot: Arc::new(loaded.snapshot),
            revision: meta.revision,
            compacted: meta.compacted,
        };
        let mut samples = VecDeque::new();
        if meta.revision > meta.compacted {
            samples.push_back((options.now(), meta.revision));
        }
        let length = disk.0.len().map_err(|e| located(StoreError::Io(e.to_string())))?;
        let writer = Writer {
            database: Some(database),
            meta,
            undo: false,
            expiries: loaded.expiries,
            samples,
            fill: fill::Fill::new(options.most_bytes, length),
        };
        let engine = Arc::new(Engine {
            place: place.to_owned(),
            disk,
            lock,
            pace,
            state: RwLock::new(state),
            cache,
            queue: Mutex::default(),
            room: Semaphore::new(WAITING),
            feed: Arc::new(Feed::new(meta.revision, options.recent)),
            next_expiry: AtomicU64::new(u64::MAX),
            next_compaction: AtomicU64::new(u64::MAX),
            next_visit: AtomicU64::new(u64::MAX),
            bell: OnceLock::new(),
            paged: Mutex::default(),
            options,
            writer: Mutex::new(writer),
        });
        engine.note_due(&engine.writer.lock());
        Ok(Arc::new(Self { engine }))
    }

    /// Deletes the keys that are due at `now`, and says how many.
    pub async fn expire_due(&self, now: SystemTime) -> Result<usize, StoreError> {
        let now = milliseconds(now);
        let mut expired = 0;
        while self.engine.next_expiry.load(Ordering::Acquire) <= now {
            expired += self.engine.ask(|reply| Job::Maintain(now, reply)).await?;
        }
        Ok(expired)
    }

    /// When the next key is due.
    pub fn next_expiry(&self) -> Option<SystemTime> {
        let due = self.engine.next_expiry.load(Ordering::Acquire);
        (due != u64::MAX).then(|| UNIX_EPOCH + Duration::from_millis(due))
    }

    /// Number of watches on the store.
    pub fn watchers(&self) -> usize {
        self.engine.feed.watchers()
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        let engine = &self.engine;
        engine.queue.lock().closed = true;
        engine.feed.end(StoreError::Closed);
        // waits for the driver; others who still hold the engine find the database closed
        engine.writer.lock().database = None;
        if let Some(Err(error)) = engine.lock.as_ref().map(|lock| lock.release()) {
            tracing::warn!(store = engine.place, %error, "unlocking failed");
        }
    }
}

impl Store for EmbeddedStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Option<Entry>, Revision), StoreError>> {
        async move {
            let (found, revision, snapshot) = {
                let state = self.engine.state.read();
                let found = state.index.get(key).map(|(key, version)| (key.clone(), version));
                (found, state.revision, state.snapshot.clone())
            };
            let Some((key, version)) = found else { return Ok((None, revision)) };
            let value = self.engine.read_from(snapshot, |snapshot| snapshot.value(version.revision))?;
            self.engine.used();
            Ok((Some(version.entry(key, value)), revision))
        }
        .boxed()
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, StoreError>> {
        self.engine.listing(request).boxed()
    }

    fn count<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<usize, StoreError>> {
        async move { Ok(self.engine.state.read().index.count(prefix)) }.boxed()
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.engine.ask(|reply| Job::Write(write, reply)).boxed()
    }

    fn watch(&self, prefix: &str, from: Revision) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
        let checked = self.engine.state.read().check(from);
        let watch = checked.map(|()| {
            let engine: Arc<dyn History> = self.engine.clone();
            Box::new(self.engine.feed.watch(prefix, from, Arc::downgrade(&engine))) as Box<dyn Watch>
        });
        async move { watch }.boxed()
    }

    fn revision(&self) -> Revision {
        self.engine.state.read().revision
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.engine.ask(move |reply| Job::Compact(revision, reply)).boxed()
    }

    fn maintain(&self) -> BoxFuture<'_, Result<Option<Duration>, StoreError>> {
        async move {
            let engine = &self.engine;
            let now = engine.options.now();
            while engine.due() <= now {
                engine.ask(|reply| Job::Maintain(now, reply)).await?;
            }
            let freed = engine.feed.shrink(Limits { events: 16, bytes: 4 << 10 });
            let rest = if engine.cache.rest() || freed { now.saturating_add(REST) } else { u64::MAX };
            let due = engine.due().min(rest);
            engine.next_visit.store(due, Ordering::Release);
            // what became due before this was stored
            if engine.due() < due {
                engine.ring();
            }
            Ok((due != u64::MAX).then(|| Duration::from_millis(due.saturating_sub(now))))
        }
        .boxed()
    }

    fn attend(&self, bell: Bell) {
        let _ = self.engine.bell.set(bell);
    }
}
