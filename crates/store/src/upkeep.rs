//! Maintenance of all stores of a process, by one task: it sleeps until the first of them has something due, and for good
//! while none has.
//!
//! A store that says when to come back costs an entry in a list; one that says it needs nothing costs none, and rings when
//! that changes. A store that is dropped is forgotten at its next turn.

use crate::Store;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Stores that are worked on at a time; further ones wait.
const AT_A_TIME: usize = 8;
/// Nothing is looked at more often: what becomes due within a short time is done together.
const SHORTEST: Duration = Duration::from_secs(1);
/// After a failure.
const RETRY: Duration = Duration::from_secs(60);

/// Keeps stores tidy. Dropping it ends the task.
pub struct Upkeep {
    agenda: Arc<Agenda>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Agenda {
    state: Mutex<State>,
    sooner: Notify,
    /// Rung when a visit is over.
    over: Notify,
}

#[derive(Default)]
struct State {
    stores: HashMap<u64, Weak<dyn Store>>,
    due: BTreeSet<(Instant, u64)>,
    times: HashMap<u64, Instant>,
    visited: HashSet<u64>,
    last: u64,
}

/// A store that is taken care of.
pub struct Cared {
    agenda: Weak<Agenda>,
    number: u64,
}

impl Cared {
    /// Ends the care, and waits until the store is let go of: it may be closed then.
    pub async fn end(self) {
        let Some(agenda) = self.agenda.upgrade() else { return };
        agenda.state.lock().stores.remove(&self.number);
        loop {
            let mut over = std::pin::pin!(agenda.over.notified());
            over.as_mut().enable();
            if !agenda.state.lock().visited.contains(&self.number) {
                return;
            }
            over.await;
        }
    }
}

impl Upkeep {
    /// Starts on the current tokio runtime.
    pub fn start() -> Self {
        let agenda = Arc::new(Agenda::default());
        Self { task: tokio::spawn(run(agenda.clone())), agenda }
    }

    /// Takes care of a store for as long as it lives.
    pub fn add(&self, store: &Arc<dyn Store>) -> Cared {
        let number = {
            let mut state = self.agenda.state.lock();
            state.last += 1;
            let number = state.last;
            state.stores.insert(number, Arc::downgrade(store));
            number
        };
        let agenda = Arc::downgrade(&self.agenda);
        store.attend(Box::new(move |wait| {
            if let Some(agenda) = agenda.upgrade() {
                agenda.plan(number, wait);
            }
        }));
        self.agenda.plan(number, Duration::ZERO);
        Cared { agenda: Arc::downgrade(&self.agenda), number }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agenda {
    /// Looks at a store after `wait`, or sooner if that was planned already.
    fn plan(&self, number: u64, wait: Duration) {
        // a wait beyond all bounds is none
        let Some(at) = Instant::now().checked_add(wait.max(SHORTEST)) else { return };
        let mut state = self.state.lock();
        match state.times.get(&number).copied() {
            Some(planned) if planned <= at => return,
            Some(planned) => {
                state.due.remove(&(planned, number));
            }
            None => {}
        }
        state.times.insert(number, at);
        state.due.insert((at, number));
        let first = state.due.first().is_some_and(|(first, _)| *first == at);
        drop(state);
        if first {
            self.sooner.notify_one();
        }
    }

    fn first(&self) -> Option<Instant> {
        self.state.lock().due.first().map(|(at, _)| *at)
    }

    /// A store that is due, out of the list.
    fn take(&self) -> Option<(u64, Arc<dyn Store>)> {
        let mut state = self.state.lock();
        loop {
            let (at, number) = *state.due.first().filter(|(at, _)| *at <= Instant::now())?;
            state.due.remove(&(at, number));
            state.times.remove(&number);
            match state.stores.get(&number).and_then(Weak::upgrade) {
                Some(store) => {
                    state.visited.insert(number);
                    return Some((number, store));
                }
                None => state.stores.remove(&number),
            };
        }
    }

    async fn look_after(&self, number: u64, store: Arc<dyn Store>) {
        let outcome = store.maintain().await;
        drop(store);
        self.state.lock().visited.remove(&number);
        self.over.notify_waiters();
        match outcome {
            Ok(Some(wait)) => self.plan(number, wait),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot tidy up a store");
                self.plan(number, RETRY);
            }
        }
    }
}

async fn run(agenda: Arc<Agenda>) {
    let mut working = FuturesUnordered::new();
    loop {
        while working.len() < AT_A_TIME {
            let Some((number, store)) = agenda.take() else { break };
            let agenda = agenda.clone();
            working.push(async move { agenda.look_after(number, store).await });
        }
        let first = agenda.first().filter(|_| working.len() < AT_A_TIME);
        tokio::select! {
            Some(()) = working.next(), if !working.is_empty() => {}
            () = agenda.sooner.notified() => {}
            () = tokio::time::sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bell, Entry, ListRequest, Listing, Revision, StoreError, Watch, Write};
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use std::sync::OnceLock;

    /// Counts visits; says after how long to come back.
    #[derive(Default)]
    struct Visited {
        visits: Mutex<Vec<Instant>>,
        again: Mutex<Vec<Option<Duration>>>,
        bell: OnceLock<Bell>,
    }

    impl Store for Visited {
        fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(Option<Entry>, Revision), StoreError>> {
            unreachable!()
        }
        fn list(&self, _: ListRequest) -> BoxFuture<'_, Result<Listing, StoreError>> {
            unreachable!()
        }
        fn count<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<usize, StoreError>> {
            unreachable!()
        }
        fn write(&self, _: Write) -> BoxFuture<'_, Result<Revision, StoreError>> {
            unreachable!()
        }
        fn watch(&self, _: &str, _: Revision) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
            unreachable!()
        }
        fn revision(&self) -> Revision {
            unreachable!()
        }
        fn compact(&self, _: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
            unreachable!()
        }
        fn maintain(&self) -> BoxFuture<'_, Result<Option<Duration>, StoreError>> {
            self.visits.lock().push(Instant::now());
            let again = self.again.lock().pop().flatten();
            async move { Ok(again) }.boxed()
        }
        fn attend(&self, bell: Bell) {
            assert!(self.bell.set(bell).is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_store_is_visited_when_it_asked_for_it_and_otherwise_never() {
        let start = Instant::now();
        let seconds = |visited: &Visited| {
            visited.visits.lock().iter().map(|at| (*at - start).as_secs()).collect::<Vec<_>>()
        };
        let upkeep = Upkeep::start();
        let (one, two) = (Arc::new(Visited::default()), Arc::new(Visited::default()));
        *one.again.lock() = vec![None, Some(Duration::from_secs(300)), Some(Duration::from_secs(40))];
        let _one = upkeep.add(&(one.clone() as Arc<dyn Store>));
        let _two = upkeep.add(&(two.clone() as Arc<dyn Store>));
        tokio::time::sleep(Duration::from_secs(100_000)).await;
        assert_eq!(seconds(&one), [1, 41, 341]);
        assert_eq!(seconds(&two), [1]);
        let ring = two.bell.get().unwrap();
        ring(Duration::from_secs(500));
        ring(Duration::from_secs(10));
        ring(Duration::from_secs(20));
        tokio::time::sleep(Duration::from_secs(10_000)).await;
        assert_eq!(seconds(&two), [1, 100_010], "the soonest of several counts, once");
        let ring_one = one.bell.get().unwrap();
        ring_one(Duration::from_secs(5));
        assert_eq!(upkeep.agenda.state.lock().stores.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_store_is_forgotten() {
        let upkeep = Upkeep::start();
        let store = Arc::new(Visited::default());
        *store.again.lock() = vec![Some(Duration::from_secs(5))];
        let _cared = upkeep.add(&(store.clone() as Arc<dyn Store>));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(store.visits.lock().len(), 1);
        drop(store);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let state = upkeep.agenda.state.lock();
        assert!(state.stores.is_empty() && state.due.is_empty() && state.times.is_empty());
    }
}
