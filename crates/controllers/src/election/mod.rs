//! Leader election through a Lease, as client-go does it: of several processes that serve one cluster, one does what must
//! be done once. Who cannot renew its Lease in time stops before another may begin; who is stopped gives it up at once.
//!
//! A control plane that is alone on its data needs none of this, and does not use it.

mod decide;

use crate::Clock;
use crate::resources::{EVENTS, LEASES};
use client::Client;
use decide::Observed;
pub use decide::Rules;
use futures::future::BoxFuture;
use object::{ApiError, Value};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Stops what was begun with a term, and waits for its end.
pub type EndTerm = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// Begins what a leader does. Called once for each term. What fails to begin ends the term.
pub type BeginTerm = Box<dyn FnMut() -> BoxFuture<'static, Result<EndTerm, String>> + Send>;

/// A candidate. Dropping it stops it without giving the Lease up.
pub struct Election {
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Election {
    /// Stands for election until stopped; `begin` is called whenever it is won.
    pub fn start(client: Client, clock: Clock, rules: Rules, begin: BeginTerm) -> Self {
        let (stop, stopped) = oneshot::channel();
        let candidate = Candidate { client, clock, rules, seen: Observed::default(), lease: Value::Null };
        Self { stop: Some(stop), task: Some(tokio::spawn(candidate.run(begin, stopped))) }
    }

    /// Ends the term, if there is one, gives the Lease up, and waits for all of it.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Candidate {
    client: Client,
    clock: Clock,
    rules: Rules,
    seen: Observed,
    /// As it was last read or written.
    lease: Value,
}

impl Candidate {
    async fn run(mut self, mut begin: BeginTerm, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                () = self.acquire() => {}
                _ = &mut stopped => return,
            }
            self.tell("became leader").await;
            let ended = match begin().await {
                Ok(end) => {
                    let ended = tokio::select! {
                        () = self.keep() => false,
                        _ = &mut stopped => true,
                    };
                    end().await;
                    ended
                }
                Err(error) => {
                    tracing::error!(error, "cannot do what a leader does; others may try");
                    false
                }
            };
            self.release().await;
            self.tell("stopped leading").await;
            if ended {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(self.rules.retry_period) => {}
                _ = &mut stopped => return,
            }
        }
    }

    /// Waits until the Lease is ours.
    async fn acquire(&mut self) {
        loop {
            let attempt = tokio::time::timeout(self.rules.renew_deadline, self.attempt()).await;
            if matches!(attempt, Ok(Ok(true))) {
                return;
            }
            if let Ok(Err(error)) = attempt {
                tracing::debug!(error = %error.message(), "cannot stand for election");
            }
            // Not all candidates at once.
            let jitter = 1.0 + 1.2 * f64::from(self.clock.now().subsec_nanosecond()) / 1e9;
            tokio::time::sleep(self.rules.retry_period.mul_f64(jitter)).await;
        }
    }

    /// Renews the Lease for as long as that can be done in time.
    async fn keep(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.rules.retry_period).await;
            let left = self.rules.renew_deadline.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => {
                    tracing::error!(now = self.seen.holder(), "the leader's Lease is somebody else's");
                    return;
                }
                Ok(Err(_)) if renewed.elapsed() < self.rules.renew_deadline => {}
                Ok(Err(_)) | Err(_) => {
                    tracing::error!("the leader's Lease could not be renewed in time");
                    return;
                }
            }
        }
    }

    /// Takes or renews the Lease; says whether it is ours now.
    async fn attempt(&mut self) -> Result<bool, ApiError> {
        if self.seen.holder() == self.rules.identity {
            // Usually nobody has touched it.
            let wanted = decide::held(&self.rules, &self.lease, self.clock.now());
            if let Ok(lease) = self.client.update(&LEASES, &wanted).await {
                self.see(lease);
                return Ok(true);
            }
        }
        let found = self.client.find(&LEASES, &self.rules.namespace, &self.rules.name).await?;
        let written = match found {
            None => self.client.create(&LEASES, &decide::first(&self.rules, self.clock.now())).await,
            Some(lease) => {
                self.see(lease);
                if self.seen.is_anothers(&self.rules, Instant::now()) {
                    return Ok(false);
                }
                let wanted = decide::held(&self.rules, &self.lease, self.clock.now());
                self.client.update(&LEASES, &wanted).await
            }
        };
        self.see(written?);
        Ok(true)
    }

    fn see(&mut self, lease: Value) {
        self.seen.see(&lease, Instant::now());
        self.lease = lease;
    }

    /// Gives the Lease up, if it is still ours.
    async fn release(&mut self) {
        if self.seen.holder() != self.rules.identity {
            return;
        }
        let released = decide::released(&self.lease, self.clock.now());
        let updating = self.client.update(&LEASES, &released);
        match tokio::time::timeout(RELEASE, updating).await {
            Ok(Ok(lease)) => self.see(lease),
            _ => tracing::debug!("the Lease could not be given up: it runs out by itself"),
        }
    }

    async fn tell(&self, what: &str) {
        tracing::info!(identity = self.rules.identity, "{what}");
        let event = decide::event(&self.rules, &self.lease, what, self.clock.now());
        if let Ok(Err(error)) = tokio::time::timeout(RELEASE, self.client.create(&EVENTS, &event)).await {
            tracing::debug!(error = %error.message(), "an event could not be written");
        }
    }
}

/// How long what is said at the end of a term may take.
const RELEASE: Duration = Duration::from_secs(2);
