//! An engine that keeps everything in memory: for tests of upper layers, and the plainest statement of what an engine
//! does. Nothing is durable; otherwise it passes the same suite as the others.

use crate::feed::{Changes, Feed, History, Limits};
use crate::{Entry, Event, Expect, ListRequest, Listing, Revision, Store, StoreError, Watch, Write};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Changes a lagging watcher reads at a time.
const HISTORY_CHUNK: usize = 1_024;

/// See the module.
pub struct MemoryStore {
    engine: Arc<Engine>,
}

struct Engine {
    state: Mutex<State>,
    feed: Arc<Feed>,
}

#[derive(Default)]
struct State {
    revision: Revision,
    compacted: Revision,
    /// Each key's changes, newest last; `None` when it was deleted.
    keys: BTreeMap<Arc<str>, Vec<(Revision, Option<Entry>)>>,
    /// All changes since the last compaction.
    log: BTreeMap<Revision, Arc<Event>>,
    due: BTreeMap<Arc<str>, Instant>,
}

impl MemoryStore {
    /// An empty store.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> Arc<Self> {
        Self::with_recent(Limits::default())
    }

    /// An empty store that keeps this much for lagging watchers.
    pub fn with_recent(limits: Limits) -> Arc<Self> {
        let feed = Arc::new(Feed::new(Revision(0), limits));
        Arc::new(Self { engine: Arc::new(Engine { state: Mutex::default(), feed }) })
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.engine.feed.end(StoreError::Closed);
    }
}

impl Engine {
    fn write(&self, write: Write) -> Result<Revision, StoreError> {
        let mut state = self.state.lock();
        let current = state.current(&write.key);
        let holds = match write.expect {
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current.is_some_and(|entry| entry.mod_revision == revision),
        };
        if !holds {
            return Err(StoreError::Conflict(current.cloned()));
        }
        if current.is_none() && write.value.is_none() {
            return Ok(state.revision);
        }
        match write.ttl.filter(|_| write.value.is_some()) {
            Some(ttl) => state.due.insert(write.key.clone(), Instant::now() + ttl),
            None => state.due.remove(&write.key),
        };
        Ok(self.put(&mut state, write.key, write.value))
    }

    fn put(&self, state: &mut State, key: Arc<str>, value: Option<Bytes>) -> Revision {
        state.revision.0 += 1;
        let revision = state.revision;
        let previous = state.current(&key).cloned();
        let create_revision = previous.as_ref().map_or(revision, |entry| entry.create_revision);
        let entry = value.clone().map(|value| Entry {
            key: key.clone(),
            value,
            create_revision,
            mod_revision: revision,
        });
        state.keys.entry(key.clone()).or_default().push((revision, entry));
        let event = Arc::new(Event { key, revision, value, previous, derived: OnceLock::new() });
        state.log.insert(revision, event.clone());
        self.feed.publish::<StoreError>(revision, || Ok(vec![event]));
        revision
    }

    fn expire(&self, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock();
        let due: Vec<_> =
            state.due.iter().filter(|(_, due)| **due <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            state.due.remove(&key);
            if state.current(&key).is_some() {
                self.put(&mut state, key, None);
            }
        }
        state.due.values().min().map(|due| due.saturating_duration_since(now))
    }
}

impl State {
    fn current(&self, key: &str) -> Option<&Entry> {
        self.keys.get(key)?.last()?.1.as_ref()
    }

    fn check(&self, at: Revision) -> Result<(), StoreError> {
        if at < self.compacted {
            Err(StoreError::Compacted(self.compacted))
        } else if at > self.revision {
            Err(StoreError::Future(self.revision))
        } else {
            Ok(())
        }
    }

    fn list(&self, request: &ListRequest) -> Result<Listing, StoreError> {
        let at = request.at.unwrap_or(self.revision);
        self.check(at)?;
        let from = match &request.after {
            Some(after) if *after >= request.prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(request.prefix.as_str()),
        };
        let limit = if request.limit == 0 { usize::MAX } else { request.limit };
        let mut left = if request.most_bytes == 0 { usize::MAX } else { request.most_bytes };
        let mut listing = Listing { revision: at, ..Listing::default() };
        let keys = self.keys.range::<str, _>((from, Bound::Unbounded));
        for (_, changes) in keys.take_while(|(key, _)| key.starts_with(&request.prefix)) {
            let changes = &changes[..changes.partition_point(|(revision, _)| *revision <= at)];
            match changes.last() {
                Some((_, Some(entry))) if listing.entries.len() < limit && left > 0 => {
                    left = left.saturating_sub(entry.value.len());
                    listing.entries.push(entry.clone());
                }
                Some((_, Some(_))) => listing.remaining += 1,
                _ => {}
            }
        }
        Ok(listing)
    }

    fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(StoreError::Future(self.revision));
        }
        self.compacted = self.compacted.max(revision);
        let compacted = self.compacted;
        self.log = self.log.split_off(&Revision(compacted.0 + 1));
        self.keys.retain(|_, changes| {
            let seen = changes.partition_point(|(revision, _)| *revision <= compacted);
            changes.drain(..seen.saturating_sub(1));
            changes.iter().any(|(revision, entry)| entry.is_some() || *revision > compacted)
        });
        Ok(())
    }
}

impl History for Engine {
    fn changes(
        self: Arc<Self>,
        prefix: Arc<str>,
        after: Revision,
    ) -> BoxFuture<'static, Result<Changes, StoreError>> {
        let state = self.state.lock();
        if after < state.compacted {
            return ready(Err(StoreError::Compacted(state.compacted))).boxed();
        }
        let part = state.log.range((Bound::Excluded(after), Bound::Unbounded)).take(HISTORY_CHUNK);
        let part: Vec<_> = part.map(|(_, event)| event.clone()).collect();
        let through =
            if part.len() < HISTORY_CHUNK { state.revision } else { part[HISTORY_CHUNK - 1].revision };
        let events = part.into_iter().filter(|event| event.key.starts_with(&*prefix)).collect();
        ready(Ok(Changes { events, through })).boxed()
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Option<Entry>, Revision), StoreError>> {
        let state = self.engine.state.lock();
        ready(Ok((state.current(key).cloned(), state.revision))).boxed()
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, StoreError>> {
        ready(self.engine.state.lock().list(&request)).boxed()
    }

    fn count<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<usize, StoreError>> {
        let request = ListRequest { prefix: prefix.to_owned(), ..ListRequest::default() };
        ready(self.engine.state.lock().list(&request).map(|listing| listing.entries.len())).boxed()
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { self.engine.write(write) }.boxed()
    }

    fn watch(&self, prefix: &str, from: Revision) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
        let checked = self.engine.state.lock().check(from);
        let watch = checked.map(|()| {
            let engine: Arc<dyn History> = self.engine.clone();
            Box::new(self.engine.feed.watch(prefix, from, Arc::downgrade(&engine))) as Box<dyn Watch>
        });
        ready(watch).boxed()
    }

    fn revision(&self) -> Revision {
        self.engine.state.lock().revision
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(self.engine.state.lock().compact(revision)).boxed()
    }

    fn maintain(&self) -> BoxFuture<'_, Result<Option<Duration>, StoreError>> {
        async move { Ok(self.engine.expire(Instant::now())) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn suite_with_a_large_ring() {
        suite::run(|| async { MemoryStore::new() as Arc<dyn Store> }).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn suite_with_a_tiny_ring() {
        let limits = Limits { events: 2, bytes: 1_000 };
        suite::run(|| async { MemoryStore::with_recent(limits) as Arc<dyn Store> }).await;
    }
}
