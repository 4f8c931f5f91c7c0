//! The etcd engine: a prefix of a real etcd (3.5 or later), which several processes may serve at the same time.
//!
//! Revisions are etcd's, so they also grow when others write. One etcd watch on the whole prefix feeds all watchers of
//! this process ([`follow`]). Reads are linearizable. Keys with a ttl hang on leases ([`lease`]), which etcd ends.
//! The API is spoken with messages of our own ([`messages`]).

mod client;
mod convert;
mod follow;
mod lease;
mod messages;
#[cfg(test)]
mod tests;

use crate::feed::{Feed, History, Limits};
use crate::{Entry, Expect, ListRequest, Listing, Revision, Store, StoreError, Watch, Write};
use client::Client;
use convert::{Keys, number, revision_of};
use futures::FutureExt;
use futures::future::BoxFuture;
use lease::Leases;
use messages::{
    Compare, CompareResult, CompareTarget, CompareTo, DeleteRangeRequest, PutRequest, RangeRequest,
    RangeResponse, Request, RequestOp, Response, TxnRequest, TxnResponse,
};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for our own watch to show what we wrote.
const SHOWN: Duration = Duration::from_secs(5);

/// Which etcd, and which part of it.
#[derive(Clone)]
pub struct Options {
    /// `http://host:2379` or `https://…`, one or more members of one cluster.
    pub endpoints: Vec<String>,
    /// All keys are kept under this, with or without a slash at its end. Stores meet when one's prefix is a parent of the
    /// other's.
    pub prefix: String,
    /// Certificates (PEM) that sign the members'. Needed for `https`: no other authority is trusted.
    pub ca: Option<Vec<u8>>,
    /// Client certificate and key (PEM), for `https`.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name to expect in the members' certificates, when it is not the endpoint's.
    pub server_name: Option<String>,
    /// User name and password.
    pub user: Option<(String, String)>,
    /// How long old revisions are kept, by [`Store::maintain`]; `None` leaves compaction to others.
    pub history: Option<Duration>,
    /// Recent changes kept in memory for watchers.
    pub recent: Limits,
}

impl Options {
    /// These endpoints and this prefix, without TLS; five minutes of history.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>, prefix: impl Into<String>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            prefix: prefix.into(),
            ca: None,
            identity: None,
            server_name: None,
            user: None,
            history: Some(Duration::from_secs(300)),
            recent: Limits::default(),
        }
    }
}

/// A store in etcd. Dropping it ends its watches with [`StoreError::Closed`].
pub struct EtcdStore {
    engine: Arc<Engine>,
    follower: JoinHandle<()>,
}

struct Engine {
    client: Client,
    keys: Keys,
    history: Option<Duration>,
    feed: Arc<Feed>,
    /// The feed's head, for who waits for it.
    shown: watch::Sender<Revision>,
    /// The highest revision any answer told.
    seen: AtomicU64,
    /// What is known to be compacted.
    compacted: AtomicU64,
    leases: Leases,
    age: Mutex<Age>,
}

/// How old history is.
#[derive(Default)]
struct Age {
    /// Times and the revisions that were current then.
    samples: VecDeque<(Instant, Revision)>,
    /// When a mark was last written.
    marked: Option<Instant>,
}

impl EtcdStore {
    /// Connects, and fails when no member answers in time.
    pub async fn connect(options: Options) -> Result<Arc<Self>, StoreError> {
        let place = options.endpoints.join(",");
        let located = |error| match error {
            StoreError::Io(what) => StoreError::Io(format!("etcd at {place}: {what}")),
            error => error,
        };
        let client = Client::new(&options).map_err(located)?;
        let keys = Keys::new(&options.prefix);
        let probe = RangeRequest { key: keys.sync_key(), count_only: true, ..RangeRequest::default() };
        let head = revision_of(client.range(probe).await.map_err(located)?.header);
        let engine = Arc::new(Engine {
            client,
            leases: Leases::default(),
            keys,
            history: options.history,
            feed: Arc::new(Feed::new(head, options.recent)),
            shown: watch::Sender::new(head),
            seen: AtomicU64::new(head.0),
            compacted: AtomicU64::new(0),
            age: Mutex::default(),
        });
        let follower = tokio::spawn(follow::follow(Arc::downgrade(&engine), head));
        Ok(Arc::new(Self { engine, follower }))
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.follower.abort();
        self.engine.feed.end(StoreError::Closed);
    }
}

impl Engine {
    /// Notes a revision that etcd told.
    fn see(&self, revision: Revision) -> Revision {
        self.seen.fetch_max(revision.0, Ordering::AcqRel);
        revision
    }

    fn seen(&self) -> Revision {
        Revision(self.seen.load(Ordering::Acquire)).max(self.feed.head())
    }

    /// Asks etcd for its revision.
    async fn ask(&self) -> Result<Revision, StoreError> {
        let request = RangeRequest { key: self.keys.sync_key(), count_only: true, ..RangeRequest::default() };
        let answer = self.client.range(request).await?;
        Ok(self.see(revision_of(answer.header)))
    }

    /// Fills in what etcd's errors do not tell.
    async fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Compacted(_) => {
                // a watch from the start is told what is left
                let oldest = follow::oldest(self).await.unwrap_or_default();
                self.compacted.fetch_max(oldest.0, Ordering::AcqRel);
                StoreError::Compacted(Revision(self.compacted.load(Ordering::Acquire)))
            }
            StoreError::Future(_) => StoreError::Future(self.ask().await.unwrap_or(self.seen())),
            error => error,
        }
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        match self.client.range(request).await {
            Ok(answer) => {
                self.see(revision_of(answer.header));
                Ok(answer)
            }
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn get(&self, key: &str) -> Result<(Option<Entry>, Revision), StoreError> {
        let answer = self.range(RangeRequest { key: self.keys.key(key), ..RangeRequest::default() }).await?;
        let entry = answer.kvs.first().and_then(|found| self.keys.entry(found));
        Ok((entry, revision_of(answer.header)))
    }

    async fn list(&self, request: ListRequest) -> Result<Listing, StoreError> {
        let (mut from, to) = self.keys.range(&request.prefix);
        if let Some(after) = &request.after {
            let mut next = self.keys.key(after);
            next.push(0);
            from = from.max(next);
        }
        if from >= to {
            let revision = self.ask().await?;
            return Ok(Listing { revision: request.at.unwrap_or(revision), ..Listing::default() });
        }
        let range = RangeRequest {
            key: from,
            range_end: to,
            limit: i64::try_from(request.limit).unwrap_or(i64::MAX),
            // 0 is now
            revision: number(request.at.unwrap_or_default()),
            count_only: false,
        };
        let answer = self.range(range).await?;
        let count = usize::try_from(answer.count).unwrap_or(0);
        let mut left = if request.most_bytes == 0 { usize::MAX } else { request.most_bytes };
        let wanted = answer.kvs.iter().take_while(|found| {
            let more = left > 0;
            left = left.saturating_sub(found.value.len());
            more
        });
        let wanted: Vec<_> = wanted.collect();
        let remaining = count.saturating_sub(wanted.len());
        let entries = wanted.into_iter().filter_map(|found| self.keys.entry(found)).collect();
        let revision = request.at.unwrap_or_else(|| revision_of(answer.header));
        Ok(Listing { entries, revision, remaining })
    }

    async fn write(&self, write: Write) -> Result<Revision, StoreError> {
        let key = self.keys.key(&write.key);
        let compare = |result: CompareResult, to: CompareTo| {
            let target = match to {
                CompareTo::Create(_) => CompareTarget::Create,
                CompareTo::Mod(_) => CompareTarget::Mod,
            };
            Compare { result: result.into(), target: target.into(), key: key.clone(), to: Some(to) }
        };
        let compare = match write.expect {
            Expect::Absent => vec![compare(CompareResult::Equal, CompareTo::Create(0))],
            Expect::At(revision) => vec![
                compare(CompareResult::Equal, CompareTo::Mod(number(revision))),
                // a key that is absent has revision 0
                compare(CompareResult::Greater, CompareTo::Create(0)),
            ],
        };
        let success = match (write.value, write.expect) {
            (Some(value), _) => {
                let lease = match write.ttl {
                    Some(ttl) => self.leases.lease(&self.client, ttl).await?,
                    None => 0,
                };
                Some(Request::Put(PutRequest { key: key.clone(), value, lease }))
            }
            (None, Expect::At(_)) => Some(Request::Delete(DeleteRangeRequest { key: key.clone() })),
            (None, Expect::Absent) => None,
        };
        let changes = success.is_some();
        let operation = |request| RequestOp { request: Some(request) };
        let failure = Request::Range(RangeRequest { key, ..RangeRequest::default() });
        let request = TxnRequest {
            compare,
            success: success.map(operation).into_iter().collect(),
            failure: vec![operation(failure)],
        };
        let answer = self.client.txn(request).await?;
        let revision = self.see(revision_of(answer.header));
        if !answer.succeeded {
            return Err(StoreError::Conflict(self.held(&answer)));
        }
        if changes {
            self.show(revision).await;
        }
        Ok(revision)
    }

    /// Waits until the feed has what was written at `revision`: whoever is told of a write finds its effects in all that
    /// follows the feed. The write is durable already, so a watch that is broken delays the answer, no more.
    async fn show(&self, revision: Revision) {
        let mut shown = self.shown.subscribe();
        let reached = shown.wait_for(|shown| *shown >= revision);
        if tokio::time::timeout(SHOWN, reached).await.is_err() {
            tracing::warn!(revision = revision.0, "the watch on etcd does not show what was written");
        }
    }

    /// What a refused transaction found.
    fn held(&self, answer: &TxnResponse) -> Option<Entry> {
        answer.responses.iter().find_map(|operation| match &operation.response {
            Some(Response::Range(found)) => found.kvs.first().and_then(|found| self.keys.entry(found)),
            _ => None,
        })
    }

    async fn watch(self: Arc<Self>, prefix: String, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        if from > self.seen() {
            // another process may have written and told its client
            let now = self.ask().await?;
            if from > now {
                return Err(StoreError::Future(now));
            }
        }
        let compacted = Revision(self.compacted.load(Ordering::Acquire));
        if from < compacted {
            return Err(StoreError::Compacted(compacted));
        }
        let history: Arc<dyn History> = self.clone();
        Ok(Box::new(self.feed.watch(&prefix, from, Arc::downgrade(&history))))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        if revision.0 == 0 {
            return Ok(());
        }
        match self.client.compact(number(revision)).await {
            Ok(_) | Err(StoreError::Compacted(_)) => {
                self.compacted.fetch_max(revision.0, Ordering::AcqRel);
                Ok(())
            }
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Writes a mark: watchers come to know the revision, also when nobody but others on the same etcd writes.
    async fn mark(&self) -> Result<Revision, StoreError> {
        let mark = PutRequest { key: self.keys.sync_key(), ..PutRequest::default() };
        Ok(self.see(revision_of(self.client.put(mark).await?.header)))
    }

    /// Keeps watchers from falling behind what is compacted, and compacts what is older than the history to keep. Says
    /// when there is more to do.
    async fn grow_old(&self) -> Result<Option<Duration>, StoreError> {
        let Some(history) = self.history else { return Ok(None) };
        let now = Instant::now();
        let watched = self.feed.watchers() > 0;
        let unmarked = self.age.lock().marked.is_none_or(|marked| now.duration_since(marked) >= history / 4);
        if watched && unmarked {
            self.mark().await?;
            self.age.lock().marked = Some(now);
        }
        let last = self.seen();
        let old = self.age.lock().pass(now, last, history);
        if let Some(revision) = old {
            self.compact(revision).await?;
        }
        let next = self.age.lock().samples.front().map(|(time, _)| history.saturating_sub(time.elapsed()));
        let next = next.unwrap_or(history);
        Ok(Some(if watched { next.min(history / 4) } else { next }))
    }
}

impl Age {
    /// Notes that `last` is current now; returns the revision that became too old.
    fn pass(&mut self, now: Instant, last: Revision, history: Duration) -> Option<Revision> {
        let mut old = None;
        while let Some((time, revision)) = self.samples.front()
            && now.duration_since(*time) >= history
        {
            old = Some(*revision);
            self.samples.pop_front();
        }
        let stale = |(time, revision): &(Instant, Revision)| {
            *revision < last && now.duration_since(*time) >= history / 8
        };
        if self.samples.back().is_none_or(stale) && old.is_none_or(|old| old < last) {
            self.samples.push_back((now, last));
        }
        old
    }
}

impl Store for EtcdStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(Option<Entry>, Revision), StoreError>> {
        self.engine.get(key).boxed()
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, StoreError>> {
        self.engine.list(request).boxed()
    }

    fn count<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<usize, StoreError>> {
        async move {
            let (from, to) = self.engine.keys.range(prefix);
            let request =
                RangeRequest { key: from, range_end: to, count_only: true, ..RangeRequest::default() };
            let answer = self.engine.range(request).await?;
            Ok(usize::try_from(answer.count).unwrap_or(0))
        }
        .boxed()
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.engine.write(write).boxed()
    }

    fn watch(&self, prefix: &str, from: Revision) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
        self.engine.clone().watch(prefix.to_owned(), from).boxed()
    }

    fn revision(&self) -> Revision {
        self.engine.seen()
    }

    fn latest(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.engine.ask().boxed()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.engine.compact(revision).boxed()
    }

    fn maintain(&self) -> BoxFuture<'_, Result<Option<Duration>, StoreError>> {
        async move {
            self.engine.feed.shrink(Limits { events: 256, bytes: 64 << 10 });
            self.engine.grow_old().await
        }
        .boxed()
    }
}
