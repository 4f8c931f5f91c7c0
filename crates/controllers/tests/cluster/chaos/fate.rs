//! Who is killed when, and the transport that sees to it.

use super::world::Spent;
use api::InProcess;
use bytes::Bytes;
use client::{Body, Transport, TransportError};
use futures::future::{BoxFuture, pending};
use object::GroupVersionResource;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::embedded::simulation::{Random, SimulatedDisk};
use tokio::sync::Notify;

/// A death, counted from when the one before is over.
#[derive(Clone, Copy, Debug)]
pub enum Kill {
    /// The power goes during this operation of the disk.
    Disk(usize),
    /// The process is killed when it is about to send this request.
    Before(usize),
    /// The process is killed when this request was served, before its sender knows.
    After(usize),
    /// The process is killed after this time.
    Moment(Duration),
    /// The controllers alone are killed while this request is under way; new ones start when their lease has run out.
    Leader(usize),
}

impl Kill {
    /// Somewhere in what an undisturbed run takes, if it is one of so many.
    pub fn any(random: &mut Random, whole: &Spent, count: usize) -> Self {
        let kind = random.below(5);
        let mut below = |bound: usize| random.below((bound / count).max(1));
        match kind {
            0 => Self::Disk(below(whole.operations)),
            1 => Self::Before(below(whole.requests)),
            2 => Self::After(below(whole.requests)),
            3 => Self::Moment(Duration::from_millis(below(whole.time.as_millis() as usize) as u64)),
            _ => Self::Leader(below(whole.requests)),
        }
    }
}

/// What is to die in one world.
pub struct Fate {
    kills: Mutex<VecDeque<Kill>>,
    /// Requests until the next death by request; none is due while this is 0.
    countdown: AtomicUsize,
    /// Requests so far.
    requests: AtomicUsize,
    disk: SimulatedDisk,
    process: Notify,
    leader: Notify,
    armed: Notify,
}

impl Fate {
    pub fn new(kills: VecDeque<Kill>, disk: SimulatedDisk) -> Self {
        Self {
            kills: Mutex::new(kills),
            countdown: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            disk,
            process: Notify::new(),
            leader: Notify::new(),
            armed: Notify::new(),
        }
    }

    /// Lets the next death come near.
    pub fn arm(&self) {
        match self.kills.lock().front() {
            Some(Kill::Disk(operation)) => self.disk.die_in(*operation),
            Some(Kill::Before(request) | Kill::After(request) | Kill::Leader(request)) => {
                self.countdown.store(request + 1, Ordering::Relaxed);
            }
            Some(Kill::Moment(_)) => self.armed.notify_one(),
            None => {}
        }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The deaths still to come.
    pub fn rest(&self) -> VecDeque<Kill> {
        self.kills.lock().clone()
    }

    /// Waits until the process dies: from then on nothing reaches the disk.
    pub async fn process_dies(&self) {
        tokio::select! {
            biased;
            () = self.process.notified() => {}
            () = self.moment() => self.kill_process(),
        }
    }

    /// Waits until the controllers die.
    pub async fn leader_dies(&self) {
        self.leader.notified().await;
    }

    async fn moment(&self) {
        loop {
            self.armed.notified().await;
            let next = self.kills.lock().front().copied();
            if let Some(Kill::Moment(after)) = next {
                return tokio::time::sleep(after).await;
            }
        }
    }

    fn kill_process(&self) {
        self.disk.die();
        self.kills.lock().pop_front();
        self.process.notify_one();
    }

    /// The death that is due with the next request, if any.
    fn due(&self) -> Option<Kill> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let left = self.countdown.load(Ordering::Relaxed).checked_sub(1)?;
        self.countdown.store(left, Ordering::Relaxed);
        if left == 0 { self.kills.lock().front().copied() } else { None }
    }

    /// A request came back, or an attempt to start failed: because the disk died?
    pub async fn survive_disk(&self) {
        if self.disk.is_dead() {
            self.kill_process();
            pending().await
        }
    }
}

/// The in-process transport of one client, under a fate.
pub struct Mortal {
    pub inner: InProcess,
    pub fate: Arc<Fate>,
}

impl Transport for Mortal {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        Box::pin(async move {
            let due = self.fate.due();
            match due {
                Some(Kill::Before(_)) => {
                    self.fate.kill_process();
                    pending::<()>().await;
                }
                Some(Kill::Leader(_)) => {
                    self.fate.kills.lock().pop_front();
                    self.fate.leader.notify_one();
                }
                _ => {}
            }
            let answer = self.inner.send(request).await;
            if matches!(due, Some(Kill::After(_))) {
                self.fate.kill_process();
                pending::<()>().await;
            }
            self.fate.survive_disk().await;
            answer
        })
    }

    fn touched(&self, gvr: &GroupVersionResource, after: u64) -> Option<BoxFuture<'static, u64>> {
        self.inner.touched(gvr, after)
    }
}
