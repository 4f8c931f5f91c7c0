//! Lists and watches every tracked resource, all on one task.

use super::entry::version_of;
use super::{Cache, Store};
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

pub(super) enum Command {
    /// List and watch this store's resource from now on.
    Start(Arc<Store>),
}

/// Fills a [`Cache`]. Dropping the future of [`run`](Self::run) ends all watches.
pub struct Reflectors {
    client: Client,
    cache: Cache,
    commands: mpsc::UnboundedReceiver<Command>,
}

type Reflecting = Abortable<BoxFuture<'static, ()>>;

impl Reflectors {
    pub(super) fn new(client: Client, cache: &Cache, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self { client, cache: cache.clone(), commands }
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
        let one = Reflector { client: self.client.clone(), cache: self.cache.clone(), store };
        Abortable::new(Box::pin(one.run()), registration)
    }
}

struct Reflector {
    client: Client,
    cache: Cache,
    store: Arc<Store>,
}

impl Reflector {
    /// Lists, watches, and starts again where it has to. The parts that are over soon are boxed: what stays while the
    /// resource is idle is only the watch.
    async fn run(self) {
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        let mut version: Option<u64> = None;
        loop {
            let from = match version {
                Some(version) => Ok(version),
                None => Box::pin(self.relist()).await,
            };
            let outcome = match from {
                Ok(from) => {
                    version = Some(from);
                    match Box::pin(self.connect(from)).await {
                        Ok(mut watch) => {
                            let began = Instant::now();
                            let ended = self.follow(&mut watch, &mut version, &mut backoff).await;
                            // Servers end quiet watches after a while: nothing is wrong with that.
                            if began.elapsed() > LASTED {
                                backoff.reset();
                            }
                            ended
                        }
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                if error.is_expired() || error.is_not_found() {
                    version = None;
                }
                tracing::debug!(resource = %self.store.gvr().group_resource(), error = %error.message(), "watch interrupted");
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    async fn connect(&self, from: u64) -> Result<WatchStream> {
        let options =
            WatchOptions { resource_version: from.to_string(), bookmarks: true, ..WatchOptions::default() };
        self.client.watch(self.store.gvr(), "", &options).await
    }

    async fn follow(
        &self,
        watch: &mut WatchStream,
        version: &mut Option<u64>,
        backoff: &mut Backoff,
    ) -> Result<()> {
        while let Some(frame) = watch.next().await {
            let frame = frame?;
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
                FrameType::Added | FrameType::Modified => {
                    self.store.read(&frame.object).and_then(|entry| self.store.put(entry, true))
                }
            };
            if let Some(change) = change {
                self.cache.notify(&change);
            }
        }
        Ok(())
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
        let mut options = ListOptions { limit, ..ListOptions::default() };
        let mut entries = vec![];
        let version = loop {
            let bytes = self.client.list_bytes(gvr, "", &options).await?;
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
