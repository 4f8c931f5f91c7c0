//! Keys that wait for work. One key is never worked on twice at a time; adding it meanwhile means once more afterwards.

use crate::plan::Key;
use client::backoff::delay;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// First wait after a failure; doubled each time.
const RETRY_BASE: Duration = Duration::from_millis(5);
/// The longest wait after a failure.
const RETRY_CAP: Duration = Duration::from_secs(1000);

/// A controller's number and a key of its own.
pub(super) type Item = (u8, Key);

#[derive(Default)]
struct State {
    /// One line per controller, served in turn.
    ready: Vec<VecDeque<Key>>,
    turn: usize,
    queued: HashSet<Item>,
    working: HashSet<Item>,
    /// Added while worked on.
    again: HashSet<Item>,
    delayed: BTreeSet<(Instant, Item)>,
    due: HashMap<Item, Instant>,
    failures: HashMap<Item, u32>,
}

/// The queue of all controllers of a cluster.
pub(super) struct Queue {
    state: Mutex<State>,
    added: Notify,
}

impl Queue {
    pub(super) fn new(controllers: usize) -> Self {
        let state = State { ready: vec![VecDeque::new(); controllers], ..State::default() };
        Self { state: Mutex::new(state), added: Notify::new() }
    }

    /// Wakes when something was added since the last call.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    pub(super) fn add(&self, item: Item) {
        if self.state.lock().add(item) {
            self.added.notify_one();
        }
    }

    /// Adds after `wait`, unless it waits for work already.
    pub(super) fn add_within(&self, item: Item, wait: Duration) {
        if !self.state.lock().queued.contains(&item) {
            self.add_after(item, wait);
        }
    }

    /// Adds after `wait`, unless it is due sooner already.
    pub(super) fn add_after(&self, item: Item, wait: Duration) {
        let at = Instant::now() + wait;
        let mut state = self.state.lock();
        match state.due.get(&item) {
            Some(due) if *due <= at => return,
            Some(due) => {
                let later = (*due, item.clone());
                state.delayed.remove(&later);
            }
            None => {}
        }
        state.due.insert(item.clone(), at);
        state.delayed.insert((at, item));
        drop(state);
        self.added.notify_one();
    }

    /// The next key of a controller that `may` work.
    pub(super) fn pop(&self, may: impl Fn(u8) -> bool) -> Option<Item> {
        let mut state = self.state.lock();
        state.wake();
        let count = state.ready.len();
        for step in 0..count {
            let index = (state.turn + step) % count;
            if state.ready[index].is_empty() || !may(index as u8) {
                continue;
            }
            let key = state.ready[index].pop_front()?;
            state.turn = index + 1;
            let item = (index as u8, key);
            state.queued.remove(&item);
            state.working.insert(item.clone());
            return Some(item);
        }
        None
    }

    /// Work on a key is over.
    pub(super) fn done(&self, item: &Item) {
        let mut state = self.state.lock();
        state.working.remove(item);
        if state.again.remove(item) {
            state.add(item.clone());
        }
    }

    /// Forgets the failures of a key.
    pub(super) fn succeeded(&self, item: &Item) {
        let mut state = self.state.lock();
        if !state.failures.is_empty() {
            state.failures.remove(item);
        }
    }

    /// Adds a key again after a while that doubles with each failure; answers the while.
    pub(super) fn failed(&self, item: Item) -> Duration {
        let mut state = self.state.lock();
        let failures = state.failures.entry(item.clone()).or_default();
        let wait = delay(RETRY_BASE, RETRY_CAP, *failures);
        *failures = failures.saturating_add(1);
        drop(state);
        self.add_after(item, wait);
        wait
    }

    /// When the next delayed key is due; always in the future.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.wake();
        state.delayed.first().map(|(at, _)| *at)
    }
}

impl State {
    fn add(&mut self, item: Item) -> bool {
        if self.working.contains(&item) {
            self.again.insert(item);
            return false;
        }
        if !self.queued.insert(item.clone()) {
            return false;
        }
        self.ready[usize::from(item.0)].push_back(item.1);
        true
    }

    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((at, _)) = self.delayed.first()
            && *at <= now
        {
            if let Some((_, item)) = self.delayed.pop_first() {
                self.due.remove(&item);
                self.add(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(controller: u8, name: &str) -> Item {
        (controller, Key::new("", name))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_worked_on_once_at_a_time() {
        let queue = Queue::new(1);
        queue.add(item(0, "a"));
        queue.add(item(0, "a"));
        assert_eq!(queue.pop(|_| true), Some(item(0, "a")));
        queue.add(item(0, "a"));
        assert_eq!(queue.pop(|_| true), None);
        queue.done(&item(0, "a"));
        assert_eq!(queue.pop(|_| true), Some(item(0, "a")));
        queue.done(&item(0, "a"));
        assert_eq!(queue.pop(|_| true), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_wait_is_worked_on_together() {
        let queue = Queue::new(1);
        let wait = Duration::from_millis(50);
        queue.add_within(item(0, "a"), wait);
        queue.add_within(item(0, "a"), wait * 2);
        assert_eq!(queue.pop(|_| true), None);
        tokio::time::advance(wait).await;
        queue.next_due();
        // It waits for work now, and needs no second turn.
        queue.add_within(item(0, "a"), wait);
        assert_eq!(queue.pop(|_| true), Some(item(0, "a")));
        queue.done(&item(0, "a"));
        assert_eq!(queue.next_due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn controllers_take_turns_and_wait_until_they_may() {
        let queue = Queue::new(2);
        for name in ["a", "b"] {
            queue.add(item(0, name));
            queue.add(item(1, name));
        }
        assert_eq!(queue.pop(|_| true), Some(item(0, "a")));
        assert_eq!(queue.pop(|_| true), Some(item(1, "a")));
        assert_eq!(queue.pop(|index| index == 1), Some(item(1, "b")));
        assert_eq!(queue.pop(|index| index == 1), None);
        assert_eq!(queue.pop(|_| true), Some(item(0, "b")));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time() {
        let queue = Queue::new(1);
        let waits: Vec<_> = (0..3).map(|_| queue.failed(item(0, "a")).as_millis()).collect();
        assert_eq!(waits, [5, 10, 20]);
        assert_eq!(queue.pop(|_| true), None);
        // The soonest of several delays counts.
        tokio::time::advance(Duration::from_millis(5)).await;
        assert_eq!(queue.pop(|_| true), Some(item(0, "a")));
        assert_eq!(queue.next_due(), None);
        queue.succeeded(&item(0, "a"));
        assert_eq!(queue.failed(item(0, "a")).as_millis(), 5);
    }
}
