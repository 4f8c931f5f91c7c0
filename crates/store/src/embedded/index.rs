//! Which keys exist, and at which revisions they were written: all that is held in memory of the data itself.
//!
//! Keys are kept in order in chunks, so that ranges, ranks and counts are cheap with 100,000 keys (about 120 bytes
//! each). A key keeps the versions since the last compaction, so that older revisions can be listed. Pure: no IO.

use crate::Revision;
use std::sync::Arc;

/// Keys per chunk before it is split.
const CHUNK: usize = 256;

/// One write to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The revision of the write.
    pub(super) revision: Revision,
    /// The revision that made the key; 0 when this write deleted it.
    pub(super) create: Revision,
}

impl Version {
    fn lives(self) -> bool {
        self.create.0 > 0
    }
}

#[derive(Debug)]
struct Slot {
    key: Arc<str>,
    now: Version,
    /// Versions before `now`, oldest first; boxed because few keys have any.
    #[allow(clippy::box_collection)]
    older: Option<Box<Vec<Version>>>,
}

impl Slot {
    /// The version that was current at `at`, if the key lived then.
    fn at(&self, at: Revision) -> Option<Version> {
        if self.now.revision <= at {
            return Some(self.now).filter(|version| version.lives());
        }
        let older = self.older.as_ref()?;
        let after = older.partition_point(|version| version.revision <= at);
        let version = older[after.checked_sub(1)?];
        Some(version).filter(|version| version.lives())
    }
}

#[derive(Debug, Default)]
struct Chunk {
    slots: Vec<Slot>,
    /// Number of slots whose key lives now.
    live: usize,
    /// The highest revision of any slot: from there on the chunk looked as it does now.
    newest: Revision,
}

impl Chunk {
    fn new(slots: Vec<Slot>) -> Self {
        let live = slots.iter().filter(|slot| slot.now.lives()).count();
        let newest = slots.iter().map(|slot| slot.now.revision).max().unwrap_or_default();
        Self { slots, live, newest }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    chunks: Vec<Chunk>,
}

/// A place between keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    chunk: usize,
    slot: usize,
}

/// What a range holds at a revision.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The first keys, in order.
    pub(super) keys: Vec<(Arc<str>, Version)>,
    /// How many more there are.
    pub(super) remaining: usize,
}

impl Index {
    /// The key as shared by all entries, and its version, if it lives.
    pub(super) fn get(&self, key: &str) -> Option<(&Arc<str>, Version)> {
        let place = self.place(|other| other < key.as_bytes());
        let slot = self.chunks.get(place.chunk)?.slots.get(place.slot)?;
        (&*slot.key == key && slot.now.lives()).then_some((&slot.key, slot.now))
    }

    /// The keys under `prefix`, after `after`, as they were at `at`.
    pub(super) fn list(&self, prefix: &str, after: Option<&str>, limit: usize, at: Revision) -> Found {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let (mut from, to) = self.range(prefix);
        if let Some(after) = after {
            from = from.max(self.place(|key| key <= after.as_bytes()));
        }
        let mut keys = Vec::new();
        while from < to && keys.len() < limit {
            let chunk = &self.chunks[from.chunk];
            let Some(slot) = chunk.slots.get(from.slot) else {
                from = Place { chunk: from.chunk + 1, slot: 0 };
                continue;
            };
            if let Some(version) = slot.at(at) {
                keys.push((slot.key.clone(), version));
            }
            from.slot += 1;
        }
        Found { keys, remaining: self.count_between(from, to, at) }
    }

    /// Number of keys under `prefix` now.
    pub(super) fn count(&self, prefix: &str) -> usize {
        let (from, to) = self.range(prefix);
        self.count_between(from, to, Revision(u64::MAX))
    }

    /// Records a write, which must be newer than all others of its key, and returns the shared key.
    pub(super) fn apply(&mut self, key: &Arc<str>, version: Version) -> Arc<str> {
        let place = self.place(|other| other < key.as_bytes());
        if let Some(chunk) = self.chunks.get_mut(place.chunk)
            && let Some(slot) = chunk.slots.get_mut(place.slot)
            && slot.key == *key
        {
            let lived = usize::from(slot.now.lives());
            chunk.live = chunk.live + usize::from(version.lives()) - lived;
            chunk.newest = chunk.newest.max(version.revision);
            let before = std::mem::replace(&mut slot.now, version);
            slot.older.get_or_insert_default().push(before);
            return slot.key.clone();
        }
        self.insert(place, Slot { key: key.clone(), now: version, older: None });
        key.clone()
    }

    /// Forgets versions of `key` that no reader at or after `compacted` sees.
    pub(super) fn prune(&mut self, key: &str, compacted: Revision) {
        let place = self.place(|other| other < key.as_bytes());
        let Some(chunk) = self.chunks.get_mut(place.chunk) else { return };
        let Some(slot) = chunk.slots.get_mut(place.slot).filter(|slot| &*slot.key == key) else { return };
        if slot.now.revision <= compacted {
            slot.older = None;
            if !slot.now.lives() {
                chunk.slots.remove(place.slot);
                if chunk.slots.is_empty() {
                    self.chunks.remove(place.chunk);
                }
            }
        } else if let Some(older) = &mut slot.older {
            let after = older.partition_point(|version| version.revision <= compacted);
            let unseen = match after.checked_sub(1) {
                Some(last) if older[last].lives() => last,
                _ => after,
            };
            older.drain(..unseen);
            if older.is_empty() {
                slot.older = None;
            }
        }
    }

    fn insert(&mut self, mut place: Place, slot: Slot) {
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        if place.chunk == self.chunks.len() {
            // after the last key: into the last chunk
            place.chunk -= 1;
            place.slot = self.chunks[place.chunk].slots.len();
        }
        let chunk = &mut self.chunks[place.chunk];
        chunk.live += usize::from(slot.now.lives());
        chunk.newest = chunk.newest.max(slot.now.revision);
        chunk.slots.insert(place.slot, slot);
        if chunk.slots.len() > CHUNK {
            // growing at the end is common (names with a counter or a time): leave the full part behind
            let at = if place.slot == CHUNK { CHUNK * 7 / 8 } else { CHUNK / 2 };
            let upper = Chunk::new(chunk.slots.split_off(at));
            let lower = std::mem::take(&mut chunk.slots);
            *chunk = Chunk::new(lower);
            chunk.slots.shrink_to_fit();
            self.chunks.insert(place.chunk + 1, upper);
        }
    }

    /// The place before the first key for which `before` is false (it is true for all keys up to there).
    fn place(&self, before: impl Fn(&[u8]) -> bool) -> Place {
        let last_before = |chunk: &Chunk| chunk.slots.last().is_some_and(|slot| before(slot.key.as_bytes()));
        let chunk = self.chunks.partition_point(last_before);
        let slots = self.chunks.get(chunk).map_or(&[][..], |chunk| &chunk.slots);
        Place { chunk, slot: slots.partition_point(|slot| before(slot.key.as_bytes())) }
    }

    /// The places around all keys that start with `prefix`.
    fn range(&self, prefix: &str) -> (Place, Place) {
        let from = self.place(|key| key < prefix.as_bytes());
        let to = self.place(|key| key < prefix.as_bytes() || key.starts_with(prefix.as_bytes()));
        (from, to)
    }

    fn count_between(&self, from: Place, to: Place, at: Revision) -> usize {
        let mut count = 0;
        let last = to.chunk.min(self.chunks.len().saturating_sub(1));
        for (number, chunk) in self.chunks.iter().enumerate().take(last + 1).skip(from.chunk) {
            let first = if number == from.chunk { from.slot } else { 0 };
            let end = if number == to.chunk { to.slot } else { chunk.slots.len() };
            count += if first == 0 && end == chunk.slots.len() && chunk.newest <= at {
                chunk.live
            } else {
                chunk
                    .slots
                    .get(first..end)
                    .unwrap_or_default()
                    .iter()
                    .filter(|slot| slot.at(at).is_some())
                    .count()
            };
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every list, count and rank must equal what a plain map per revision says.
    #[test]
    fn agrees_with_a_map_per_revision() {
        let mut random = 7u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut index = Index::default();
        let mut now: BTreeMap<String, Version> = BTreeMap::new();
        let mut history = vec![now.clone()];
        for revision in 1..=3_000u64 {
            let key = format!("/{}/{:03}", ["a", "b", "bb"][next(3) as usize], next(400));
            let revision = Revision(revision);
            let create = match now.get(&key) {
                Some(_) if next(3) == 0 => Revision(0),
                Some(version) => version.create,
                None => revision,
            };
            let version = Version { revision, create };
            index.apply(&key.as_str().into(), version);
            if version.lives() {
                now.insert(key, version);
            } else {
                now.remove(&key);
            }
            history.push(now.clone());
        }
        assert!(index.chunks.len() > 3);
        let compacted = Revision(2_000);
        let keys: Vec<_> =
            index.chunks.iter().flat_map(|chunk| &chunk.slots).map(|slot| slot.key.clone()).collect();
        for key in keys {
            index.prune(&key, compacted);
        }
        for at in [2_000, 2_001, 2_500, 3_000] {
            for prefix in ["", "/a/", "/b", "/bb/1", "/c"] {
                let expected: Vec<_> = history[at]
                    .iter()
                    .filter(|(key, _)| key.starts_with(prefix))
                    .map(|(k, v)| (k.as_str(), *v))
                    .collect();
                for (after, limit) in [(None, 0), (None, 7), (Some("/b/200"), 5), (Some("/a/0"), 1)] {
                    let rest: Vec<_> =
                        expected.iter().filter(|(key, _)| after.is_none_or(|after| *key > after)).collect();
                    let found = index.list(prefix, after, limit, Revision(at as u64));
                    let listed: Vec<_> = found.keys.iter().map(|(key, version)| (&**key, *version)).collect();
                    let wanted = if limit == 0 { rest.len() } else { limit.min(rest.len()) };
                    assert_eq!(listed.len(), wanted, "{prefix} after {after:?} at {at}");
                    assert!(listed.iter().zip(&rest).all(|(a, b)| a == *b));
                    assert_eq!(found.remaining, rest.len() - wanted, "{prefix} after {after:?} at {at}");
                }
                if at == 3_000 {
                    assert_eq!(index.count(prefix), expected.len());
                }
            }
        }
        for (key, version) in &now {
            assert_eq!(index.get(key).map(|(_, version)| version), Some(*version));
        }
        assert!(index.get("/a/none").is_none());
    }
}
