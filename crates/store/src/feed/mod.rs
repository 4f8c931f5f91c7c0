//! The recent changes of one store, in memory, and everyone who waits for the next one.
//!
//! An engine publishes each batch of changes once; watchers of the same prefix share one [`Group`] and are woken only
//! when a key under their prefix changed. What no longer fits is dropped from the ring; a watcher that was that slow
//! reads on from the engine's [`History`] and comes back to the ring by itself, so nothing is ever skipped.
//!
//! Invariants: revisions in the ring never decrease; all changes of one revision are published and dropped together; a
//! group's queue holds every change under its prefix after its floor. Without watchers the ring holds nothing. No task,
//! thread or timer belongs to a feed.

mod group;
mod watch;

use crate::{Event, Revision, StoreError};
use futures::future::BoxFuture;
use group::{Group, Groups};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
pub use watch::FeedWatch;

/// How much the ring keeps for watchers that lag. What does not fit is read from history again.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At most this many changes.
    pub events: usize,
    /// At most about this many bytes of keys and values (what upper layers derive from an event is not counted).
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 8_192, bytes: 8 << 20 }
    }
}

/// Some of the changes an engine keeps, oldest first.
#[derive(Debug, Default)]
pub struct Changes {
    /// Changes under the prefix asked for.
    pub events: Vec<Arc<Event>>,
    /// No change under the prefix up to and including this revision is missing from what was returned.
    pub through: Revision,
}

/// Where a watcher reads what the ring no longer has.
pub trait History: Send + Sync + 'static {
    /// Some changes under `prefix` after `after`, in order, whole revisions only; `through` must advance when there are
    /// any. Fails with [`StoreError::Compacted`] when they are not all kept.
    fn changes(
        self: Arc<Self>,
        prefix: Arc<str>,
        after: Revision,
    ) -> BoxFuture<'static, Result<Changes, StoreError>>;
}

/// See the module.
pub struct Feed {
    limits: Limits,
    /// Everything up to here was published. Written under the lock, after the groups' queues.
    head: AtomicU64,
    state: Mutex<State>,
}

struct State {
    ring: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Every change after this revision is in the ring.
    floor: Revision,
    groups: Groups,
    ended: Option<StoreError>,
}

impl Feed {
    /// A feed whose next change comes after `head`.
    pub fn new(head: Revision, limits: Limits) -> Self {
        let state =
            State { ring: VecDeque::new(), bytes: 0, floor: head, groups: Groups::default(), ended: None };
        Self { limits, head: AtomicU64::new(head.0), state: Mutex::new(state) }
    }

    /// The revision up to which everything was published.
    pub fn head(&self) -> Revision {
        Revision(self.head.load(Ordering::Acquire))
    }

    /// Publishes all changes after the current head up to `through`. `changes` is asked for them only when someone
    /// watches; if it fails, watchers go to history, which tells each of them why.
    pub fn publish<E>(&self, through: Revision, changes: impl FnOnce() -> Result<Vec<Arc<Event>>, E>) {
        let mut state = self.state.lock();
        let mut woken = Vec::new();
        if state.groups.is_empty() {
            state.floor = through;
        } else if let Ok(events) = changes() {
            for event in events {
                state.push(event, through, &mut woken);
            }
            state.evict(self.limits);
        } else {
            state.forget(through);
            woken.extend(state.groups.all().cloned());
        }
        self.head.store(through.0, Ordering::Release);
        drop(state);
        for group in woken {
            group.wake();
        }
    }

    /// Waits under `prefix` for changes after `from`.
    pub fn watch(
        self: &Arc<Self>,
        prefix: &str,
        from: Revision,
        history: std::sync::Weak<dyn History>,
    ) -> FeedWatch {
        let mut state = self.state.lock();
        let group = match state.groups.get(prefix) {
            Some(group) => group.clone(),
            None => {
                let group = Arc::new(Group::new(prefix, state.floor, &state.ring, state.ended.clone()));
                state.groups.insert(group.clone());
                group
            }
        };
        state.groups.enter(&group);
        drop(state);
        FeedWatch::new(self.clone(), group, from, history)
    }

    /// Ends every watch, now and later, with this error.
    pub fn end(&self, error: StoreError) {
        let mut state = self.state.lock();
        state.ended = Some(error.clone());
        let groups: Vec<_> = state.groups.all().cloned().collect();
        drop(state);
        for group in groups {
            group.end(error.clone());
            group.wake();
        }
    }

    /// Forgets all but the newest changes; slow watchers read them from history. For stores that went idle. Says
    /// whether there was something to forget.
    pub fn shrink(&self, keep: Limits) -> bool {
        let mut state = self.state.lock();
        let before = state.ring.len();
        state.evict(keep);
        let freed = state.ring.len() < before;
        state.ring.shrink_to(64);
        for group in state.groups.all() {
            group.shrink();
        }
        freed
    }

    /// Number of watchers.
    pub fn watchers(&self) -> usize {
        self.state.lock().groups.watchers()
    }

    fn leave(&self, group: &Arc<Group>) {
        let mut state = self.state.lock();
        state.groups.leave(group);
        if state.groups.is_empty() {
            state.floor = self.head();
            state.bytes = 0;
            state.ring = VecDeque::new();
        }
    }
}

impl State {
    fn push(&mut self, event: Arc<Event>, batch: Revision, woken: &mut Vec<Arc<Group>>) {
        self.groups.matching(&event.key, |group| {
            if group.push(event.clone(), batch) {
                woken.push(group.clone());
            }
        });
        self.bytes += cost(&event);
        self.ring.push_back(event);
    }

    /// Drops the oldest revisions until the limits hold.
    fn evict(&mut self, limits: Limits) {
        while self.ring.len() > limits.events || self.bytes > limits.bytes {
            let Some(first) = self.ring.front() else { return };
            let revision = first.revision;
            while self.ring.front().is_some_and(|event| event.revision == revision) {
                let Some(event) = self.ring.pop_front() else { break };
                self.bytes -= cost(&event);
                self.groups.matching(&event.key, |group| group.evict(revision));
            }
            self.floor = revision;
        }
    }

    /// Changes up to `through` happened that nobody could describe.
    fn forget(&mut self, through: Revision) {
        self.ring.clear();
        self.bytes = 0;
        self.floor = through;
        for group in self.groups.all() {
            group.forget(through);
        }
    }
}

/// About what an event holds in memory.
fn cost(event: &Event) -> usize {
    let value = event.value.as_ref().map_or(0, |value| value.len());
    let previous = event.previous.as_ref().map_or(0, |entry| entry.value.len());
    event.key.len() + value + previous + 256
}

#[cfg(test)]
mod tests;
