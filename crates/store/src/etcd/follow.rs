//! Watching etcd: one stream that feeds all watchers, and one now and then for a watcher that lags.

use super::Engine;
use super::client::{TIMEOUT, WatchStream, failed};
use super::convert::{number, revision, revision_of};
use super::messages::{WatchCreateRequest, WatchResponse};
use crate::feed::{Changes, History};
use crate::{Event, Revision, StoreError};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Waits between attempts to follow again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Changes and bytes a lagging watcher reads at a time.
const CHUNK: (usize, usize) = (2_048, 4 << 20);

/// Publishes every change after `head`, for as long as the engine lives. Failures are retried: watchers just wait.
pub(super) async fn follow(engine: Weak<Engine>, head: Revision) {
    let mut head = head;
    let mut wait = RETRY.0;
    loop {
        let Some(live) = engine.upgrade() else { return };
        let opened = open(&live, head).await;
        drop(live);
        let before = head;
        let error = match opened {
            Ok(stream) => copy(&engine, stream, &mut head).await,
            Err(error) => error,
        };
        match error {
            StoreError::Closed => return,
            StoreError::Compacted(oldest) => {
                // what was missed is gone; each watcher learns it from history
                let Some(live) = engine.upgrade() else { return };
                head = head.max(oldest);
                live.compacted.fetch_max(oldest.0, Ordering::AcqRel);
                live.feed.publish::<()>(head, || Err(()));
                live.shown.send_replace(head);
            }
            error => {
                tracing::warn!(%error, revision = head.0, "the watch on etcd ended; watching again");
                let Some(live) = engine.upgrade() else { return };
                live.client.forget_token();
            }
        }
        wait = if head > before { RETRY.0 } else { (wait * 2).min(RETRY.1) };
        tokio::time::sleep(wait).await;
    }
}

/// A stream of all changes after `after`, the engine's own included.
async fn open(engine: &Engine, after: Revision) -> Result<WatchStream, StoreError> {
    let (key, range_end) = engine.keys.everything();
    let start_revision = number(Revision(after.0 + 1));
    engine.client.watch(WatchCreateRequest { key, range_end, start_revision, prev_kv: true }).await
}

/// The next message of a stream that has changes.
async fn receive(stream: &mut WatchStream) -> Result<WatchResponse, StoreError> {
    loop {
        let message = stream.message().await.map_err(|status| failed(&status))?;
        let message = message.ok_or_else(|| StoreError::Io("etcd ended the watch".into()))?;
        if message.compact_revision > 0 {
            return Err(StoreError::Compacted(revision(message.compact_revision)));
        }
        if message.canceled {
            return Err(StoreError::Io(format!("etcd cancelled the watch: {}", message.cancel_reason)));
        }
        if !message.events.is_empty() {
            return Ok(message);
        }
    }
}

/// Publishes what the stream brings until it fails.
async fn copy(engine: &Weak<Engine>, mut stream: WatchStream, head: &mut Revision) -> StoreError {
    loop {
        let message = match receive(&mut stream).await {
            Ok(message) => message,
            Err(error) => return error,
        };
        let Some(engine) = engine.upgrade() else { return StoreError::Closed };
        // a message holds whole revisions
        let Some(last) = last_revision(&message) else { continue };
        engine.see(revision_of(message.header));
        let events = || Ok::<_, ()>(events(&engine, &message));
        engine.feed.publish(last.max(*head), events);
        *head = last.max(*head);
        engine.shown.send_replace(*head);
    }
}

fn last_revision(message: &WatchResponse) -> Option<Revision> {
    message
        .events
        .iter()
        .filter_map(|event| event.kv.as_ref())
        .map(|found| revision(found.mod_revision))
        .max()
}

fn events(engine: &Engine, message: &WatchResponse) -> Vec<Arc<Event>> {
    message.events.iter().filter_map(|event| engine.keys.event(event)).collect()
}

/// The oldest revision etcd still has.
pub(super) async fn oldest(engine: &Engine) -> Option<Revision> {
    let mut stream = open(engine, Revision(0)).await.ok()?;
    match tokio::time::timeout(TIMEOUT, receive(&mut stream)).await.ok()? {
        Err(StoreError::Compacted(oldest)) => Some(oldest),
        _ => None,
    }
}

impl Engine {
    /// Changes under `prefix` after `after`, up to a mark made now: only what comes after the mark in a stream of
    /// everything shows that nothing is missing before it.
    async fn past(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        // first the mark: that also replaces a token that ran out, of which a watch would only say "permission denied"
        let mark = self.mark().await?;
        let mut stream = open(self, after).await?;
        let mut changes = Changes { events: Vec::new(), through: after };
        let mut bytes = 0;
        while changes.through < mark && changes.events.len() < CHUNK.0 && bytes < CHUNK.1 {
            let message = receive(&mut stream).await?;
            let found = events(self, &message).into_iter().filter(|event| event.key.starts_with(prefix));
            for event in found {
                bytes += event.value.as_ref().map_or(0, |value| value.len());
                changes.events.push(event);
            }
            changes.through = changes.through.max(last_revision(&message).unwrap_or_default());
        }
        Ok(changes)
    }
}

impl History for Engine {
    fn changes(
        self: Arc<Self>,
        prefix: Arc<str>,
        after: Revision,
    ) -> BoxFuture<'static, Result<Changes, StoreError>> {
        async move {
            match self.past(&prefix, after).await {
                Err(error @ StoreError::Compacted(oldest)) => {
                    self.compacted.fetch_max(oldest.0, Ordering::AcqRel);
                    Err(error)
                }
                result => result,
            }
        }
        .boxed()
    }
}
