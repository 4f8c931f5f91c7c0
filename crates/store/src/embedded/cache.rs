//! Values that were read or written lately, ready to hand out: no disk, no checksum, no copy.
//!
//! A value never changes, for it is known by the revision that wrote it. Bounded by bytes; what was not used since the
//! hand of the clock last passed goes first.

use crate::Revision;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Bytes a cached value takes besides its own.
const OVERHEAD: usize = 96;

/// Bytes of a rather small value.
const USUAL: usize = 512;

pub(super) struct ValueCache {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    values: HashMap<Revision, Cached>,
    /// The order in which values are looked at when room is needed. May name some that are gone.
    clock: VecDeque<Revision>,
    bytes: usize,
    /// Whether anything was used or added since [`ValueCache::rest`] was called.
    active: bool,
}

struct Cached {
    value: Bytes,
    used: bool,
}

impl ValueCache {
    /// A cache of at most about this many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Whether this many values of a usual size fit.
    pub(super) fn would_hold(&self, count: usize) -> bool {
        count.saturating_mul(USUAL) <= self.limit
    }

    pub(super) fn get(&self, revision: Revision) -> Option<Bytes> {
        self.state.lock().get(revision)
    }

    /// The values of these revisions, as far as they are here.
    pub(super) fn get_all(&self, revisions: impl Iterator<Item = Revision>) -> Vec<Option<Bytes>> {
        let mut state = self.state.lock();
        revisions.map(|revision| state.get(revision)).collect()
    }

    /// Keeps a value, which must not be a part of something larger.
    pub(super) fn put(&self, revision: Revision, value: Bytes) {
        let cost = value.len() + OVERHEAD;
        if cost > self.limit / 4 {
            return;
        }
        let mut state = self.state.lock();
        state.active = true;
        if state.values.insert(revision, Cached { value, used: false }).is_none() {
            state.bytes += cost;
            state.clock.push_back(revision);
        }
        state.make_room(self.limit);
    }

    /// Drops a value that is unlikely to be asked for again.
    pub(super) fn remove(&self, revision: Revision) {
        let mut state = self.state.lock();
        if let Some(cached) = state.values.remove(&revision) {
            state.bytes -= cached.value.len() + OVERHEAD;
        }
        // names of what is gone must not pile up
        if state.clock.len() > 64 + 2 * state.values.len() {
            let State { values, clock, .. } = &mut *state;
            clock.retain(|revision| values.contains_key(revision));
        }
    }

    /// Gives all memory back when nothing was used since the last call; says whether there is some left to give.
    pub(super) fn rest(&self) -> bool {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.active) {
            *state = State::default();
        }
        state.bytes > 0
    }
}

impl State {
    fn get(&mut self, revision: Revision) -> Option<Bytes> {
        let cached = self.values.get_mut(&revision)?;
        cached.used = true;
        self.active = true;
        Some(cached.value.clone())
    }

    fn make_room(&mut self, limit: usize) {
        while self.bytes > limit {
            let Some(revision) = self.clock.pop_front() else { return };
            match self.values.get_mut(&revision) {
                Some(cached) if cached.used => {
                    cached.used = false;
                    self.clock.push_back(revision);
                }
                Some(cached) => {
                    self.bytes -= cached.value.len() + OVERHEAD;
                    self.values.remove(&revision);
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_bound_holds() {
        let cache = ValueCache::new(10 * (100 + OVERHEAD));
        let value = |number: u64| Bytes::from(vec![number as u8; 100]);
        for number in 1..=1_000 {
            cache.put(Revision(number), value(number));
            assert_eq!(cache.get(Revision(1)), Some(value(1)), "in use all the time");
            assert!(cache.state.lock().bytes <= cache.limit);
        }
        assert_eq!(cache.get(Revision(500)), None);
        assert_eq!(
            cache.get_all([1, 2, 1_000].map(Revision).into_iter()),
            [Some(value(1)), None, Some(value(1_000))]
        );
        cache.put(Revision(2_000), Bytes::from(vec![0; 1_000]));
        assert_eq!(cache.get(Revision(2_000)), None, "too large to be worth it");
        for number in 3_000..5_000 {
            cache.put(Revision(number), value(0));
            cache.remove(Revision(number));
        }
        assert!(cache.state.lock().clock.len() < 100);
        assert!(cache.rest() && !cache.rest() && cache.get(Revision(1)).is_none(), "given back when idle");
        assert_eq!(cache.state.lock().bytes, 0);
    }
}
