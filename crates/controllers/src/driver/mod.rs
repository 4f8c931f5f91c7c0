//! The one shell around all controllers of a cluster: takes keys from the queue, asks for plans, carries them out.
//!
//! A plan is asked for only after all that it reads was listed, and sees every write of this process (they are put into the
//! cache as they are answered), so that no controller does a thing twice. Without work nothing runs: no timer but for a
//! key that is due, no polling.

mod apply;
mod events;
mod queue;

use crate::plan::{Controller, Key, Plan};
use client::{Cache, Change, Client, Keep};
use events::{Recorder, Writer};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use object::{ApiError, GroupVersionResource};
use queue::{Item, Queue};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Keys worked on at a time, of all controllers.
const WORKING: usize = 64;
/// Keys of one controller worked on at a time.
const WORKING_EACH: usize = 16;
/// How long parsed objects stay at hand after the last work.
const COOL_AFTER: Duration = Duration::from_secs(5);

/// Tells the time; tests bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock on the wall.
    pub fn wall() -> Self {
        Self(Arc::new(object::time::now))
    }

    /// Any clock.
    pub fn of(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(clock))
    }

    /// A clock that starts at `start` and goes with tokio's time (which tests may pause).
    pub fn tokio(start: Timestamp) -> Self {
        let began = Instant::now();
        Self::of(move || start + began.elapsed())
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// What controllers that look further than the cache may use.
pub struct Shell {
    /// The API.
    pub client: Client,
    /// Copies of what is watched.
    pub cache: Cache,
    /// The time.
    pub clock: Clock,
    pub(crate) recorder: Recorder,
}

impl Shell {
    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) struct Driver {
    shell: Shell,
    controllers: Vec<Box<dyn Controller>>,
    queue: Queue,
    by_resource: HashMap<GroupVersionResource, Vec<u8>>,
    everything: Vec<u8>,
}

impl Driver {
    /// A driver of these controllers, which track what they read from now on, and the writer of their events.
    pub(crate) fn new(
        client: Client,
        cache: Cache,
        clock: Clock,
        controllers: Vec<Box<dyn Controller>>,
    ) -> (Arc<Self>, Writer) {
        let (recorder, writer) = Recorder::new(client.clone(), clock.clone());
        let mut by_resource: HashMap<GroupVersionResource, Vec<u8>> = HashMap::new();
        let mut everything = vec![];
        for (index, controller) in controllers.iter().enumerate() {
            for gvr in all_watches(&**controller) {
                by_resource.entry(gvr.clone()).or_default().push(index as u8);
            }
            if controller.watches_everything() {
                everything.push(index as u8);
            }
        }
        let queue = Queue::new(controllers.len());
        let shell = Shell { client, cache: cache.clone(), clock, recorder };
        let driver = Arc::new(Self { shell, controllers, queue, by_resource, everything });
        let weak = Arc::downgrade(&driver);
        cache.subscribe(Arc::new(move |change| Self::changed(&weak, change)));
        let weak = Arc::downgrade(&driver);
        cache.subscribe_relists(Arc::new(move |gvr| Self::relisted(&weak, gvr)));
        for controller in &driver.controllers {
            for gvr in controller.watches() {
                let store = cache.track(gvr, Keep::Full);
                if *gvr == *crate::resources::PODS {
                    // Services and budgets select pods all the time.
                    store.index_labels();
                }
            }
            for gvr in controller.watches_metadata() {
                cache.track(gvr, Keep::Metadata);
            }
            for gvr in controller.watches_changes() {
                cache.track(gvr, Keep::Dependents);
            }
        }
        for (index, controller) in driver.controllers.iter().enumerate() {
            controller.starts_with().into_iter().for_each(|key| driver.queue.add((index as u8, key)));
        }
        (driver, writer)
    }

    fn changed(weak: &Weak<Self>, change: &Change) {
        let Some(driver) = weak.upgrade() else { return };
        let tell = |index: u8| {
            let controller = &driver.controllers[usize::from(index)];
            let patience = controller.patience(change);
            controller.keys(&driver.shell.cache, change, &mut |key| match patience {
                Duration::ZERO => driver.queue.add((index, key)),
                patience => driver.queue.add_within((index, key), patience),
            });
        };
        for index in driver.by_resource.get(&*change.gvr).into_iter().flatten() {
            tell(*index);
        }
        for index in &driver.everything {
            tell(*index);
        }
    }

    fn relisted(weak: &Weak<Self>, gvr: &GroupVersionResource) {
        let Some(driver) = weak.upgrade() else { return };
        for index in &driver.everything {
            let mut add = |key| driver.queue.add((*index, key));
            driver.controllers[usize::from(*index)].relisted(&driver.shell.cache, gvr, &mut add);
        }
    }

    /// Works until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut running = FuturesUnordered::new();
        let mut busy = vec![0usize; self.controllers.len()];
        let mut ready = vec![false; self.controllers.len()];
        let mut synced = self.shell.cache.sync_events();
        let mut cool_at = None;
        self.note_ready(&mut ready);
        loop {
            while running.len() < WORKING {
                let may = |index: u8| ready[usize::from(index)] && busy[usize::from(index)] < WORKING_EACH;
                let Some(item) = self.queue.pop(may) else { break };
                busy[usize::from(item.0)] += 1;
                running.push(self.work(item));
                cool_at = Some(Instant::now() + COOL_AFTER);
            }
            let timer = [self.queue.next_due(), cool_at].into_iter().flatten().min();
            tokio::select! {
                Some(item) = running.next(), if !running.is_empty() => {
                    let item: Item = item;
                    busy[usize::from(item.0)] -= 1;
                    self.queue.done(&item);
                }
                () = self.queue.added() => {}
                _ = synced.changed() => self.note_ready(&mut ready),
                () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    if cool_at.is_some_and(|at| at <= Instant::now()) {
                        cool_at = (!running.is_empty()).then(|| Instant::now() + COOL_AFTER);
                        if cool_at.is_none() {
                            self.shell.cache.cool();
                        }
                    }
                }
            }
        }
    }

    fn note_ready(&self, ready: &mut [bool]) {
        for (ready, controller) in ready.iter_mut().zip(&self.controllers) {
            *ready = *ready || self.shell.cache.has_synced(all_watches(&**controller));
        }
    }

    async fn work(&self, item: Item) -> Item {
        let controller = &self.controllers[usize::from(item.0)];
        let outcome = match controller.reconcile(&self.shell, &item.1).await {
            Ok(plan) => self.carry_out(&**controller, &item, plan).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => self.queue.succeeded(&item),
            Err(error) => {
                let wait = self.queue.failed(item.clone());
                let Key { namespace, name } = &item.1;
                tracing::debug!(controller = controller.name(), %namespace, %name, error = %error.message(), ?wait, "will try again");
            }
        }
        item
    }

    async fn carry_out(
        &self,
        controller: &dyn Controller,
        item: &Item,
        mut plan: Plan,
    ) -> Result<(), ApiError> {
        let requeue = plan.requeue_after;
        let error = plan.error.take();
        let follow = std::mem::take(&mut plan.follow);
        let outcome = Box::pin(apply::apply(&self.shell, controller.component(), plan)).await;
        if let Some(wait) = requeue {
            self.queue.add_after(item.clone(), wait);
        }
        follow.into_iter().for_each(|key| self.queue.add((item.0, key)));
        outcome.and(error.map_or(Ok(()), |error| Err(ApiError::Internal(error))))
    }
}

fn all_watches(controller: &dyn Controller) -> impl Iterator<Item = &'static GroupVersionResource> {
    let all = controller.watches().into_iter().chain(controller.watches_metadata());
    all.chain(controller.watches_changes())
}
