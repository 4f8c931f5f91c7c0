//! Watchers of one prefix: one queue and one line to wait in, shared by all of them.

use crate::{Event, Revision, StoreError};
use futures::task::AtomicWaker;
use parking_lot::RwLock;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How many revisions of dropped events a group remembers, to tell a slow watcher where to read on.
const DROPPED: usize = 1_024;

/// The changes under one prefix.
pub(super) struct Group {
    pub(super) prefix: Arc<str>,
    queue: RwLock<Queue>,
    line: RwLock<Line>,
}

/// Who may wait, in the order in which they came. They keep their places: watches of one connection came one after the
/// other, so they are woken one after the other, and what they have to send can go out together.
#[derive(Default)]
struct Line {
    next: u64,
    places: Vec<(u64, Arc<AtomicWaker>)>,
}

/// A watcher's place in the line.
pub(super) struct Place {
    number: u64,
    waker: Arc<AtomicWaker>,
}

struct Queue {
    events: VecDeque<Arc<Event>>,
    /// Sequence number of `events[0]`; the group counts its own changes.
    first: u64,
    /// Every change under the prefix after this revision is in `events`.
    floor: Revision,
    /// Revisions of the changes just before `first`, newest last.
    dropped: VecDeque<Revision>,
    /// The batch that was last pushed to.
    batch: Revision,
    ended: Option<StoreError>,
}

/// What a watcher finds at its cursor.
pub(super) enum Found {
    /// All changes of the next revision, and the cursor after them.
    Events(Vec<Arc<Event>>, u64),
    /// Nothing new.
    Nothing,
    /// Changes were dropped; read on from history after this revision, if that is later than what was handed out.
    Dropped(Revision),
    /// The feed is over.
    Ended(StoreError),
}

impl Group {
    pub(super) fn new(
        prefix: &str,
        floor: Revision,
        ring: &VecDeque<Arc<Event>>,
        ended: Option<StoreError>,
    ) -> Self {
        let events = ring.iter().filter(|event| event.key.starts_with(prefix)).cloned().collect();
        let queue = Queue { events, first: 1, floor, dropped: VecDeque::new(), batch: Revision(0), ended };
        Self { prefix: prefix.into(), queue: RwLock::new(queue), line: RwLock::default() }
    }

    /// True when this is the first change of the batch: the group is to be woken once.
    pub(super) fn push(&self, event: Arc<Event>, batch: Revision) -> bool {
        let mut queue = self.queue.write();
        queue.events.push_back(event);
        std::mem::replace(&mut queue.batch, batch) != batch
    }

    /// Drops the oldest change, which has this revision.
    pub(super) fn evict(&self, revision: Revision) {
        let mut queue = self.queue.write();
        debug_assert!(queue.events.front().is_some_and(|event| event.revision == revision));
        queue.events.pop_front();
        queue.drop_one(revision);
        queue.floor = revision;
    }

    /// Everything up to `through` is gone, and there may have been changes that nobody saw.
    pub(super) fn forget(&self, through: Revision) {
        let mut queue = self.queue.write();
        let revisions: Vec<_> = queue.events.drain(..).map(|event| event.revision).collect();
        let unseen = Revision(queue.floor.0.max(revisions.last().map_or(0, |last| last.0)) + 1);
        for revision in revisions {
            queue.drop_one(revision);
        }
        queue.drop_one(unseen);
        queue.floor = through;
    }

    pub(super) fn end(&self, error: StoreError) {
        self.queue.write().ended = Some(error);
    }

    /// Wakes everyone who waits.
    pub(super) fn wake(&self) {
        let waiting: Vec<Waker> =
            self.line.read().places.iter().filter_map(|(_, place)| place.take()).collect();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Takes the last place in the line.
    pub(super) fn queue_up(&self) -> Place {
        let mut line = self.line.write();
        line.next += 1;
        let place = Place { number: line.next, waker: Arc::default() };
        line.places.push((place.number, place.waker.clone()));
        place
    }

    /// Gives a place up.
    pub(super) fn step_out(&self, place: &Place) {
        let places = &mut self.line.write().places;
        if let Ok(index) = places.binary_search_by_key(&place.number, |(number, _)| *number) {
            places.remove(index);
        }
    }

    /// Ready when a watcher at `cursor` that saw everything up to `seen` has something to look at.
    pub(super) fn poll_changed(
        &self,
        place: &Place,
        cursor: u64,
        seen: Revision,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        place.waker.register(cx.waker());
        let queue = self.queue.read();
        let nothing = queue.ended.is_none()
            && cursor >= queue.first
            && queue.events.back().is_none_or(|last| last.revision <= seen);
        if nothing { Poll::Pending } else { Poll::Ready(()) }
    }

    pub(super) fn shrink(&self) {
        self.queue.write().events.shrink_to(16);
    }

    /// The cursor of a watcher that saw everything up to `seen`; `None` when it must read history first.
    pub(super) fn cursor(&self, seen: Revision) -> Option<u64> {
        let queue = self.queue.read();
        let skip = queue.events.partition_point(|event| event.revision <= seen);
        (seen >= queue.floor).then(|| queue.first + skip as u64)
    }

    /// What comes at `cursor`, leaving out changes up to `seen`.
    pub(super) fn at(&self, cursor: u64, seen: Revision) -> Found {
        let queue = self.queue.read();
        if let Some(error) = &queue.ended {
            return Found::Ended(error.clone());
        }
        let Some(mut index) = cursor.checked_sub(queue.first) else {
            return Found::Dropped(queue.before_dropped(cursor));
        };
        while let Some(event) = queue.events.get(index as usize) {
            if event.revision > seen {
                let revision = event.revision;
                let rest = queue.events.range(index as usize..);
                let events: Vec<_> = rest.take_while(|event| event.revision == revision).cloned().collect();
                let next = queue.first + index + events.len() as u64;
                return Found::Events(events, next);
            }
            index += 1;
        }
        Found::Nothing
    }

    /// Up to where a watcher at `cursor` that saw everything up to `seen` has seen everything, when all up to `head` was
    /// published before the call.
    pub(super) fn position(&self, cursor: u64, seen: Revision, head: Revision) -> Revision {
        let queue = self.queue.read();
        let Some(index) = cursor.checked_sub(queue.first) else {
            return seen.max(queue.before_dropped(cursor));
        };
        let mut pending = queue.events.range((index as usize).min(queue.events.len())..);
        match pending.find(|event| event.revision > seen) {
            Some(event) => seen.max(Revision(event.revision.0 - 1)),
            None => seen.max(head),
        }
    }
}

impl Queue {
    fn drop_one(&mut self, revision: Revision) {
        self.first += 1;
        if self.dropped.len() == DROPPED {
            self.dropped.pop_front();
        }
        self.dropped.push_back(revision);
    }

    /// The revision before the dropped change at `cursor`, or 0 when that is not known any more.
    fn before_dropped(&self, cursor: u64) -> Revision {
        let back = (self.first - cursor) as usize;
        let index = self.dropped.len().checked_sub(back);
        Revision(index.and_then(|index| self.dropped.get(index)).map_or(0, |revision| revision.0 - 1))
    }
}

/// All groups of a feed, by prefix.
#[derive(Default)]
pub(super) struct Groups {
    by_prefix: BTreeMap<Arc<str>, (Arc<Group>, usize)>,
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    pub(super) fn get(&self, prefix: &str) -> Option<&Arc<Group>> {
        self.by_prefix.get(prefix).map(|(group, _)| group)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.by_prefix.values().map(|(group, _)| group)
    }

    pub(super) fn watchers(&self) -> usize {
        self.by_prefix.values().map(|(_, watchers)| watchers).sum()
    }

    pub(super) fn insert(&mut self, group: Arc<Group>) {
        self.by_prefix.insert(group.prefix.clone(), (group, 0));
    }

    pub(super) fn enter(&mut self, group: &Group) {
        if let Some((_, watchers)) = self.by_prefix.get_mut(&group.prefix) {
            *watchers += 1;
        }
    }

    pub(super) fn leave(&mut self, group: &Group) {
        if let Some((_, watchers)) = self.by_prefix.get_mut(&group.prefix) {
            *watchers -= 1;
            if *watchers == 0 {
                self.by_prefix.remove(&group.prefix);
            }
        }
    }

    /// Calls `each` for every group whose prefix `key` starts with, longest prefix first. Takes a few tree look-ups, not
    /// one step per group: after a miss, only what it shares with the key can still match.
    pub(super) fn matching(&self, key: &str, mut each: impl FnMut(&Arc<Group>)) {
        let mut upper = Bound::Included(key);
        while let Some((prefix, (group, _))) =
            self.by_prefix.range::<str, _>((Bound::Unbounded, upper)).next_back()
        {
            let common = shared_prefix(prefix, key);
            if common.len() == prefix.len() {
                each(group);
                upper = Bound::Excluded(common);
            } else {
                upper = Bound::Included(common);
            }
        }
    }
}

/// The longest start that both have in common, as a part of `key`.
fn shared_prefix<'a>(other: &str, key: &'a str) -> &'a str {
    let mut length = other.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
    while !key.is_char_boundary(length) {
        length -= 1;
    }
    &key[..length]
}
