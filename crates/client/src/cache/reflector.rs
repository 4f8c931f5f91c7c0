//! Lists and watches every tracked resource, all on one task.

use super::part::version_of;
use super::{Cache, Scope, Store};
use crate::backoff::Backoff;
use crate::client::Client;
use crate::options::{ListOptions, WatchOptions};
use crate::watch::{FrameType, WatchStream};
use futures::future::{AbortHandle, Abortable, Aborted, BoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use object::{ApiError, GroupVersionResource, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Objects per page of a list.
const PAGE: u32 = 500;
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(30);
/// A watch that lasted so long had not failed.
const LASTED: Duration = Duration::from_secs(10);

/// A watch of a server that offers less than a watch is given up after so long without a change.
const QUIET: Duration = Duration::from_secs(1);

pub(super) enum Command {
    /// List and watch this store's resource from now on.
    Start(Arc<Store>),
}

/// Fills a [`Cache`]. Dropping the future of [`run`](Self::run) ends all watches.
pub struct Reflectors {
    client: Client,
    cache: Cache,
    commands: mpsc::UnboundedReceiver<Command>,
    scope: Scope,
}

type Reflecting = Abortable<BoxFuture<'static, ()>>;

impl Reflectors {
    pub(super) fn new(
        client: Client,
        cache: &Cache,
        commands: mpsc::UnboundedReceiver<Command>,
        scope: Scope,
    ) -> Self {
        Self { client, cache: cache.clone(), commands, scope }
    }

    /// Lists and watches until dropped.
    pub async fn run(mut self) {
        let mut running: FuturesUnordered<Reflecting> = FuturesUnordered::new();
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Start(store)) => running.push(self.start(store)),
                    None => return,
                },
                Some(ended) = running.next(), if !running.is_empty() => {
                    // Only an untracked resource ends.
                    let _: std::result::Result<(), Aborted> = ended;
                }
            }
        }
    }

    fn start(&self, store: Arc<Store>) -> Reflecting {
        let (handle, registration) = AbortHandle::new_pair();
        store.set_task(handle);
        let scope = self.scope.clone();
        let one = Reflector { client: self.client.clone(), cache: self.cache.clone(), store, scope };
        Abortable::new(Box::pin(one.run()), registration)
    }
}

/// Why a watch is over, if nothing went wrong.
enum Ended {
    ByServer,
    /// Nothing happened for a while: less than a watch will do.
    Quiet,
}

struct Reflector {
    client: Client,
    cache: Cache,
    store: Arc<Store>,
    scope: Scope,
}

impl Reflector {
    /// Lists, watches, and starts again where it has to. What is not needed while the resource is quiet is boxed: then
    /// only the wait for a change is kept, where the server offers one.
    async fn run(self) {
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        let mut version: Option<u64> = None;
        loop {
            let outcome = match version {
                None => Box::pin(self.relist()).await.map(|from| {
                    version = Some(from);
                    Ended::Quiet
                }),
                Some(from) => {
                    let touched = self.client.touched(self.store.gvr(), from);
                    let dozes = touched.is_some();
                    if let Some(mut touched) = touched {
                        let from = match Box::pin(tokio::time::timeout(QUIET, &mut touched)).await {
                            Ok(from) => from,
                            Err(_) => {
                                self.cache.cool();
                                touched.await
                            }
                        };
                        self.store.advance(from);
                        version = Some(from);
                    }
                    Box::pin(self.watch(&mut version, dozes, &mut backoff)).await
                }
            };
            match outcome {
                Ok(Ended::Quiet) => continue,
                Ok(Ended::ByServer) => {}
                Err(error) => {
                    if error.is_expired() || error.is_not_found() {
                        version = None;
                    }
                    tracing::debug!(resource = %self.store.gvr().group_resource(), error = %error.message(), "watch interrupted");
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    async fn watch(&self, version: &mut Option<u64>, dozes: bool, backoff: &mut Backoff) -> Result<Ended> {
        let mut watch = self.connect(version.unwrap_or(0)).await?;
        let began = Instant::now();
        let ended = self.follow(&mut watch, version, dozes, backoff).await;
        // Servers end quiet watches after a while: nothing is wrong with that.
        if began.elapsed() > LASTED {
            backoff.reset();
        }
        ended
    }

    async fn connect(&self, from: u64) -> Result<WatchStream> {
        let options = WatchOptions {
            resource_version: from.to_string(),
            bookmarks: true,
            label_selector: (self.scope.labels)(self.store.gvr()).to_owned(),
            ..WatchOptions::default()
        };
        self.client.watch(self.store.gvr(), &self.scope.namespace, &options).await
    }

    async fn follow(
        &self,
        watch: &mut WatchStream,
        version: &mut Option<u64>,
        dozes: bool,
        backoff: &mut Backoff,
    ) -> Result<Ended> {
        loop {
            let next = if dozes {
                match tokio::time::timeout(QUIET, watch.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok(Ended::Quiet),
                }
            } else {
                watch.next().await
            };
            let Some(frame) = next.transpose()? else { return Ok(Ended::ByServer) };
            backoff.reset();
            if let Some(seen) = version_of(&frame.object) {
                *version = Some(seen);
            }
            let change = match frame.kind {
                FrameType::Bookmark => {
                    self.store.advance(version.unwrap_or(0));
                    None
                }
                FrameType::Deleted => self.store.read(&frame.object).and_then(|last| self.store.remove(last)),
                FrameType::Added | FrameType::Modified if version.is_some_and(|v| self.store.is_own(v)) => {
                    None
                }
                FrameType::Added | FrameType::Modified => {
                    self.store.read(&frame.object).and_then(|entry| self.store.put_watched(entry))
                }
            };
            if let Some(change) = change {
                self.cache.notify(&change);
            }
        }
    }

    /// Lists everything, puts it in, answers the version to watch from.
    async fn relist(&self) -> Result<u64> {
        let mut limit = PAGE;
        loop {
            match self.list(limit).await {
                // A page's token may expire before the next is asked for: then all at once.
                Err(error) if error.is_expired() && limit > 0 => limit = 0,
                answer => return answer,
            }
        }
    }

    async fn list(&self, limit: u32) -> Result<u64> {
        let gvr: &GroupVersionResource = self.store.gvr();
        let labels = (self.scope.labels)(gvr);
        let mut options = ListOptions { limit, ..ListOptions::labels(labels) };
        let mut entries = vec![];
        let version = loop {
            let bytes = self.client.list_bytes(gvr, &self.scope.namespace, &options).await?;
            let page: Page<'_> = serde_json::from_slice(&bytes).map_err(|error| {
                ApiError::Internal(format!("the list of {} is not JSON: {error}", gvr.group_resource()))
            })?;
            if let Some(kind) = page.kind.as_deref().and_then(|kind| kind.strip_suffix("List")) {
                self.store.name_kind(kind);
            }
            entries.extend(
                page.items.into_iter().flatten().filter_map(|item| self.store.read(item.get().as_bytes())),
            );
            let of = page.metadata.unwrap_or_default();
            match of.continue_token {
                Some(token) if !token.is_empty() => options.continue_token = token.into_owned(),
                _ => break of.resource_version.parse().unwrap_or(0),
            }
        };
        for change in self.store.replace(entries, version) {
            self.cache.notify(&change);
        }
        if self.store.set_synced() {
            self.cache.notify_synced();
        } else {
            self.cache.notify_relisted(self.store.gvr());
        }
        Ok(version)
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<PageMetadata<'a>>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata<'a> {
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(borrow, rename = "continue")]
    continue_token: Option<Cow<'a, str>>,
}
