//! Who drives the write path: whoever finds no one at it, until no job is left. All jobs that arrive during one commit
//! share the next. Nothing runs while no one writes.

use super::engine::Engine;
use crate::{Revision, StoreError, Write};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Jobs per commit.
const BATCH: usize = 1_024;
/// Jobs that there is room for when nothing is written.
const KEPT: usize = 4;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the write path is asked to do.
pub(super) enum Job {
    /// One compare-and-set.
    Write(Write, Reply<Revision>),
    /// Let readers go back no further than this.
    Compact(Revision, Reply<()>),
    /// Delete what is due at this time (milliseconds since 1970) and compact what is old; answers when all is done.
    Maintain(u64, Reply<usize>),
}

/// Jobs that wait. Bounded by the engine's permits: who finds no room waits in `submit`.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) jobs: VecDeque<Job>,
    pub(super) driving: bool,
    pub(super) closed: bool,
}

/// Who drives the write path. When it ends before its time (the runtime stops), nobody waits for it in vain.
pub(super) struct Driver {
    engine: Arc<Engine>,
    finished: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.finished {
            let mut queue = self.engine.queue.lock();
            queue.driving = false;
            queue.jobs.clear();
        }
    }
}

impl Driver {
    /// For a queue that is marked as driven.
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, finished: false }
    }

    /// Works until no job and nothing to sweep is left.
    pub(super) fn run(mut self) {
        let engine = self.engine.clone();
        let mut writer = engine.writer.lock();
        loop {
            let mut queue = engine.queue.lock();
            if queue.jobs.is_empty() {
                drop(queue);
                if engine.sweep(&mut writer) {
                    continue;
                }
                queue = engine.queue.lock();
            }
            if queue.jobs.is_empty() {
                // marked together with the check, so that no job is left behind
                queue.driving = false;
                queue.jobs.shrink_to(KEPT);
                self.finished = true;
                return;
            }
            let count = queue.jobs.len().min(BATCH);
            let jobs: Vec<_> = queue.jobs.drain(..count).collect();
            drop(queue);
            engine.round(&mut writer, jobs);
        }
    }
}

impl Engine {
    /// Hands a job to the write path.
    pub(super) fn submit(self: &Arc<Self>, job: Job) {
        let mut queue = self.queue.lock();
        queue.jobs.push_back(job);
        if !queue.driving {
            queue.driving = true;
            let driver = Driver::new(self.clone());
            drop(queue);
            match self.pace {
                None => drop(tokio::task::spawn_blocking(move || driver.run())),
                Some(pace) => drop(tokio::spawn(async move {
                    tokio::time::sleep(pace).await;
                    driver.run();
                })),
            }
        }
    }
}
