//! Many requests at once for a while, and what they cost the server.

use super::connection::{Address, Asked, Connection};
use super::target::Target;
use crate::sample::percentile;
use futures::future::try_join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 4;
/// Requests at once on each connection.
const STREAMS: usize = 8;

/// What a load was like.
#[derive(Clone, Default)]
pub(crate) struct Taken {
    pub operations: f64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// The server's processor seconds.
    pub processor: f64,
    /// Of each operation, in milliseconds.
    pub latencies: Vec<f64>,
    /// Operations that should have been and were not.
    pub missed: f64,
}

impl Taken {
    pub fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.seconds += other.seconds;
        self.processor += other.processor;
        self.latencies.extend(other.latencies);
        self.missed += other.missed;
    }

    pub fn per_second(&self) -> f64 {
        self.operations / self.seconds
    }

    pub fn per_processor_second(&self) -> f64 {
        self.operations / self.processor
    }

    pub fn p99(&self) -> f64 {
        percentile(&self.latencies, 0.99)
    }
}

/// The `n`th request of a load.
pub(crate) type Make = Arc<dyn Fn(u64) -> Asked + Send + Sync>;

/// Opens the connections of a load.
pub(crate) async fn connections(address: &Address) -> Result<Vec<Connection>, String> {
    try_join_all((0..CONNECTIONS).map(|_| Connection::open(address))).await
}

/// Asks for as long as `lasting`, starting with request number `from`.
pub(crate) async fn during(
    target: &Target,
    make: &Make,
    from: u64,
    lasting: Duration,
) -> Result<Taken, String> {
    let until = Instant::now() + lasting;
    run(target, make, from, move |_| Instant::now() < until).await
}

/// Makes the requests `from..to`.
pub(crate) async fn range(target: &Target, make: &Make, from: u64, to: u64) -> Result<Taken, String> {
    run(target, make, from, move |number| number < to).await
}

async fn run(
    target: &Target,
    make: &Make,
    from: u64,
    goes_on: impl Fn(u64) -> bool + Clone + Send + 'static,
) -> Result<Taken, String> {
    let next = Arc::new(AtomicU64::new(from));
    let connections = connections(&target.address).await?;
    let (before, began) = (target.processor()?, Instant::now());
    let workers = connections.iter().flat_map(|c| std::iter::repeat_n(c, STREAMS)).map(|connection| {
        let (connection, make, next, goes_on) =
            (connection.clone(), make.clone(), next.clone(), goes_on.clone());
        tokio::spawn(async move {
            let mut latencies = vec![];
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if !goes_on(number) {
                    return Ok(latencies);
                }
                let asked = Instant::now();
                connection.ask(make(number)).await?;
                latencies.push(asked.elapsed().as_secs_f64() * 1e3);
            }
        })
    });
    let mut taken = Taken::default();
    for worker in workers.collect::<Vec<_>>() {
        let latencies: Result<Vec<f64>, String> = worker.await.map_err(|e| e.to_string())?;
        taken.latencies.extend(latencies?);
    }
    taken.operations = taken.latencies.len() as f64;
    taken.seconds = began.elapsed().as_secs_f64();
    taken.processor = target.processor()? - before;
    Ok(taken)
}
