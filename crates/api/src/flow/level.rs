//! A PriorityLevelConfiguration at work: who runs, who waits, and the counts of both.

use super::queues::{Answer, Queues, Queuing, Seats, Ticket};
use object::{Value, meta};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Who waits longer is refused: a quarter of a minute, as a quarter of a request's time.
const PATIENCE: Duration = Duration::from_secs(15);
/// Upper bounds of the histogram of waiting, in seconds.
pub(super) const WAITS: [f64; 8] = [0.0, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0];

/// What a level is told by its object.
pub(super) struct Settings {
    pub name: String,
    pub uid: String,
    pub exempt: bool,
    pub shares: u64,
    pub queuing: Option<Queuing>,
}

impl Settings {
    pub fn read(object: &Value) -> Self {
        let exempt = object["spec"]["type"] == "Exempt";
        let limited = &object["spec"]["limited"];
        let response = &limited["limitResponse"];
        let queuing = (response["type"] == "Queue").then(|| {
            let number = |field: &str, usual| response["queuing"][field].as_u64().unwrap_or(usual);
            Queuing {
                queues: number("queues", 64).clamp(1, 10_000_000) as u32,
                hand: number("handSize", 8).clamp(1, 64) as u32,
                length: number("queueLengthLimit", 50) as usize,
            }
        });
        let given = if exempt { &object["spec"]["exempt"] } else { limited };
        let usual = if exempt { 0 } else { 30 };
        Self {
            name: meta::name(object).to_owned(),
            uid: meta::uid(object).to_owned(),
            exempt,
            shares: given["nominalConcurrencyShares"].as_u64().unwrap_or(usual),
            queuing,
        }
    }
}

/// See the module.
pub(super) struct Level {
    pub settings: Settings,
    queues: Mutex<Queues<oneshot::Sender<Permit>>>,
    pub waits: Waits,
}

/// How long requests waited.
#[derive(Default)]
pub(super) struct Waits {
    pub buckets: [AtomicU64; WAITS.len()],
    pub count: AtomicU64,
    pub micros: AtomicU64,
}

impl Waits {
    fn observe(&self, waited: Duration) {
        for (bucket, bound) in self.buckets.iter().zip(WAITS) {
            if waited.as_secs_f64() <= bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
    }
}

/// Why a request is refused; Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    ConcurrencyLimit,
    QueueFull,
    TimeOut,
}

impl Refusal {
    pub const ALL: [Self; 3] = [Self::ConcurrencyLimit, Self::QueueFull, Self::TimeOut];

    pub fn name(self) -> &'static str {
        match self {
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::QueueFull => "queue-full",
            Self::TimeOut => "time-out",
        }
    }
}

/// Seats, until it is dropped.
pub(super) struct Permit {
    level: Arc<Level>,
    seats: Seats,
    since: Instant,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut queues = self.level.queues.lock();
        queues.done(self.seats, self.since.elapsed());
        self.level.dispatch(queues);
    }
}

/// A place in a queue, given up when it is dropped.
struct Place<'a> {
    level: &'a Level,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.level.queues.lock().leave(self.ticket);
    }
}

impl Level {
    pub fn new(settings: Settings) -> Self {
        let queues = Mutex::new(Queues::new(1, settings.queuing));
        Self { settings, queues, waits: Waits::default() }
    }

    /// How many seats there are from now on.
    pub fn limit_to(&self, seats: u32) {
        self.queues.lock().configure(seats, self.settings.queuing);
    }

    /// Seats of the level, those taken, and how many requests wait.
    pub fn state(&self) -> (u32, u32, usize) {
        let queues = self.queues.lock();
        (queues.limit(), queues.taken(), queues.waiting())
    }

    /// Lets those run whose turn it is.
    fn dispatch(self: &Arc<Self>, mut queues: MutexGuard<'_, Queues<oneshot::Sender<Permit>>>) {
        let next: Vec<_> = std::iter::from_fn(|| queues.next()).collect();
        drop(queues);
        let since = Instant::now();
        for (waiting, seats) in next {
            // Who went away meanwhile gives the seats back at once.
            let _ = waiting.send(Permit { level: self.clone(), seats, since });
        }
    }

    fn ask(self: &Arc<Self>, flow: u64, width: u32, sender: oneshot::Sender<Permit>) -> Answer {
        let mut queues = self.queues.lock();
        let answer = queues.ask(flow, width, sender);
        self.dispatch(queues);
        answer
    }

    /// Seats for a request of this width, as soon as it is its turn.
    pub async fn enter(self: &Arc<Self>, flow: u64, width: u32) -> Result<Permit, Refusal> {
        let began = Instant::now();
        let (sender, receiver) = oneshot::channel();
        let ticket = match self.ask(flow, width, sender) {
            Answer::Run(seats) => {
                self.waits.observe(Duration::ZERO);
                return Ok(Permit { level: self.clone(), seats, since: began });
            }
            Answer::Wait(ticket) => ticket,
            Answer::NoSeat => return Err(Refusal::ConcurrencyLimit),
            Answer::Full => return Err(Refusal::QueueFull),
        };
        let place = Place { level: self, ticket };
        let outcome = tokio::time::timeout(PATIENCE, receiver).await;
        drop(place);
        self.waits.observe(began.elapsed());
        match outcome {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refusal::TimeOut),
        }
    }
}
