//! The engine behind a store: what readers see, and how they read it.

use super::Options;
use super::cache::ValueCache;
use super::database::{Snapshot, failed, guarded};
use super::disk::{Disk, LockedFile};
use super::driver::{Job, Queue};
use super::index::{Index, Version};
use super::record::Record;
use super::writer::Writer;
use crate::feed::{Changes, Feed, History};
use crate::{Bell, Event, ListRequest, Listing, Revision, StoreError};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Entries a list reads before it lets other tasks run.
const LIST_CHUNK: usize = 512;
/// Most log records and bytes a lagging watcher reads at a time.
const HISTORY_CHUNK: (u64, usize) = (2_048, 4 << 20);
/// Milliseconds without use after which memory is given back.
pub(super) const REST: u64 = 1_000;
/// Milliseconds that maintenance may be late before it is told to come sooner.
const LATE: u64 = 1_000;

/// Shared by a store, its write path and its watches.
pub(super) struct Engine {
    pub(super) options: Options,
    /// Where the store is, for messages.
    pub(super) place: String,
    pub(super) disk: Disk,
    /// Held until the store is dropped.
    pub(super) lock: Option<Arc<LockedFile>>,
    /// How long a commit takes where it is simulated.
    pub(super) pace: Option<Duration>,
    pub(super) state: RwLock<State>,
    pub(super) cache: Arc<ValueCache>,
    pub(super) writer: Mutex<Writer>,
    pub(super) queue: Mutex<Queue>,
    pub(super) room: Semaphore,
    pub(super) feed: Arc<Feed>,
    /// Milliseconds since 1970 when the next key expires; `u64::MAX` for none.
    pub(super) next_expiry: AtomicU64,
    /// The same for the next part of history that gets too old.
    pub(super) next_compaction: AtomicU64,
    /// When maintenance was last told to come; `u64::MAX` for never.
    pub(super) next_visit: AtomicU64,
    pub(super) bell: OnceLock<Bell>,
    /// Times and revisions of lists that were answered in part: their rest is to be had for as long as history is kept.
    pub(super) paged: Mutex<VecDeque<(u64, Revision)>>,
}

/// What readers see, all of one revision.
pub(super) struct State {
    pub(super) index: Index,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
}

impl State {
    /// Fails when `at` cannot be read any more, or not yet.
    pub(super) fn check(&self, at: Revision) -> Result<(), StoreError> {
        if at < self.compacted {
            Err(StoreError::Compacted(self.compacted))
        } else if at > self.revision {
            Err(StoreError::Future(self.revision))
        } else {
            Ok(())
        }
    }
}

impl Engine {
    /// Puts a job into the write path and waits for its answer.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let _permit = self.room.acquire().await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.submit(job(reply));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Reads from the newest snapshot.
    pub(super) fn read<T>(&self, work: impl Fn(&Snapshot) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let snapshot = self.state.read().snapshot.clone();
        self.read_from(snapshot, work)
    }

    /// Reads from `snapshot`, or from a newer one when a failure of the disk made it unusable in between.
    pub(super) fn read_from<T>(
        &self,
        snapshot: Arc<Snapshot>,
        work: impl Fn(&Snapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match guarded(|| work(&snapshot)) {
            Err(StoreError::Io(_)) => {
                // the write path may hold the lock: then it is the one to open the database again
                let newer = match self.writer.try_lock() {
                    Some(mut writer) if Arc::ptr_eq(&snapshot, &self.state.read().snapshot) => {
                        self.reopen(&mut writer).map(|()| self.state.read().snapshot.clone())
                    }
                    _ => Ok(self.state.read().snapshot.clone()),
                };
                newer.and_then(|newer| guarded(|| work(&newer))).map_err(|error| self.located(error))
            }
            result => result.map_err(|error| self.located(error)),
        }
    }

    pub(super) fn located(&self, error: StoreError) -> StoreError {
        locate(&self.place, error)
    }

    /// Publishes when time will next demand something.
    pub(super) fn note_due(&self, writer: &Writer) {
        self.next_expiry.store(writer.expiries.next().unwrap_or(u64::MAX), Ordering::Release);
        let history = u64::try_from(self.options.history.as_millis()).unwrap_or(u64::MAX);
        let oldest = writer.samples.front().map_or(u64::MAX, |(time, _)| time.saturating_add(history));
        self.next_compaction.store(oldest, Ordering::Release);
        self.ring();
    }

    /// Milliseconds since 1970 when there is something to do; `u64::MAX` for never.
    pub(super) fn due(&self) -> u64 {
        let written =
            self.next_expiry.load(Ordering::Acquire).min(self.next_compaction.load(Ordering::Acquire));
        let oldest =
            self.paged.lock().front().map_or(u64::MAX, |(time, _)| time.saturating_add(self.page_age()));
        written.min(oldest)
    }

    /// Asks for maintenance when it would come too late, or not at all.
    pub(super) fn ring(&self) {
        let Some(bell) = self.bell.get() else { return };
        let now = self.options.now();
        let due = self.due().min(now.saturating_add(REST));
        if due.saturating_add(LATE) < self.next_visit.load(Ordering::Acquire) {
            self.next_visit.store(due, Ordering::Release);
            bell(Duration::from_millis(due.saturating_sub(now)));
        }
    }

    /// Memory is in use that will have to be given back.
    pub(super) fn used(&self) {
        if self.next_visit.load(Ordering::Acquire) == u64::MAX {
            self.ring();
        }
    }

    /// Milliseconds after which the rest of a list is not to be had any more. Pages that begin close together share an
    /// entry, hence the addition.
    fn page_age(&self) -> u64 {
        let history = u64::try_from(self.options.history.as_millis()).unwrap_or(u64::MAX);
        history.saturating_add(history / 8)
    }

    /// Notes that a list as of `revision` was answered in part.
    fn note_page(&self, revision: Revision) {
        let now = self.options.now();
        let mut paged = self.paged.lock();
        match paged.back_mut() {
            Some((time, last)) if now.saturating_sub(*time) < self.page_age() / 9 => {
                *last = revision.max(*last)
            }
            _ => paged.push_back((now, revision)),
        }
        drop(paged);
        self.ring();
    }

    /// The last revision of which pages became too old.
    pub(super) fn outdated_pages(&self, now: u64) -> Option<Revision> {
        let mut paged = self.paged.lock();
        let mut outdated = None;
        while let Some((time, revision)) = paged.front()
            && now.saturating_sub(*time) >= self.page_age()
        {
            outdated = Some(*revision);
            paged.pop_front();
        }
        outdated
    }

    pub(super) async fn listing(&self, request: ListRequest) -> Result<Listing, StoreError> {
        let (found, revision, snapshot) = {
            let state = self.state.read();
            let at = request.at.unwrap_or(state.revision);
            state.check(at)?;
            let found = state.index.list(&request.prefix, request.after.as_deref(), request.limit, at);
            (found, at, state.snapshot.clone())
        };
        let mut entries = Vec::new();
        let mut left = if request.most_bytes == 0 { usize::MAX } else { request.most_bytes };
        for (number, chunk) in found.keys.chunks(LIST_CHUNK).enumerate() {
            if number > 0 {
                tokio::task::yield_now().await;
            }
            let some =
                self.read_from(snapshot.clone(), |snapshot| snapshot.entries(chunk, found.keys.len(), left))?;
            left = left.saturating_sub(some.iter().map(|entry| entry.value.len()).sum());
            entries.extend(some);
            if left == 0 {
                break;
            }
        }
        let remaining = found.remaining + found.keys.len() - entries.len();
        if remaining > 0 && request.at.is_none() {
            self.note_page(revision);
        }
        self.used();
        Ok(Listing { entries, revision, remaining })
    }

    /// Some of the log after `after`.
    fn log(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        let (through, snapshot) = {
            let state = self.state.read();
            if after < state.compacted {
                return Err(StoreError::Compacted(state.compacted));
            }
            (state.revision, state.snapshot.clone())
        };
        let end = through.0.min(after.0.saturating_add(HISTORY_CHUNK.0));
        self.read_from(snapshot, |snapshot| {
            let mut events = Vec::new();
            let mut bytes = 0;
            for item in snapshot.log.range(after.0 + 1..=end).map_err(failed)? {
                let (revision, stored) = item.map_err(failed)?;
                let record = Record::decode(revision.value(), stored.value())?;
                if record.key.starts_with(prefix) {
                    let event = event(snapshot, Revision(revision.value()), &record)?;
                    bytes += event.value.as_ref().map_or(0, |value| value.len());
                    events.push(event);
                    if bytes > HISTORY_CHUNK.1 {
                        return Ok(Changes { events, through: Revision(revision.value()) });
                    }
                }
            }
            Ok(Changes { events, through: Revision(end) })
        })
    }
}

/// Adds where the store is to an error.
pub(super) fn locate(place: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Io(what) if !what.starts_with(place) => StoreError::Io(format!("{place}: {what}")),
        StoreError::Corrupt(what) if !what.starts_with(place) => {
            StoreError::Corrupt(format!("{place}: {what}"))
        }
        error => error,
    }
}

/// A log record as watchers see it.
fn event(snapshot: &Snapshot, revision: Revision, record: &Record<'_>) -> Result<Arc<Event>, StoreError> {
    let key: Arc<str> = record.key.into();
    let value = if record.deleted { None } else { Some(snapshot.value(revision)?) };
    let previous = match record.previous {
        Revision(0) => None,
        before => {
            let version = Version { revision: before, create: record.create };
            Some(version.entry(key.clone(), snapshot.value(before)?))
        }
    };
    Ok(Arc::new(Event { key, revision, value, previous, derived: OnceLock::new() }))
}

impl History for Engine {
    fn changes(
        self: Arc<Self>,
        prefix: Arc<str>,
        after: Revision,
    ) -> BoxFuture<'static, Result<Changes, StoreError>> {
        async move { self.log(&prefix, after) }.boxed()
    }
}
