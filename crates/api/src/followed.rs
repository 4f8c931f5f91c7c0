//! State that follows objects in the store: access rules, custom resource definitions, webhooks.
//!
//! It is brought up to date when it is read, from the store's feed: no task runs for it, an idle server does nothing, and a
//! reader sees every write that was acknowledged before it asked.

use crate::{failure, stored};
use object::{Result, Value};
use std::sync::Arc;
use store::{ListRequest, Revision, Store, StoreError, Watch};
use tokio::sync::{Mutex, MutexGuard};

/// What is derived from the objects under a prefix.
pub(crate) trait State: Send {
    /// The object under `key` is now this one, or gone.
    fn apply(&mut self, key: &str, object: Option<Value>);
    /// Forget everything: the objects follow anew.
    fn clear(&mut self);
}

pub(crate) struct Followed<S> {
    store: Arc<dyn Store>,
    prefix: &'static str,
    inner: Mutex<Inner<S>>,
}

pub(crate) struct Inner<S> {
    pub state: S,
    watch: Option<Box<dyn Watch>>,
}

impl<S: State> Followed<S> {
    pub fn new(store: Arc<dyn Store>, prefix: &'static str, state: S) -> Self {
        Self { store, prefix, inner: Mutex::new(Inner { state, watch: None }) }
    }

    /// The state as of now.
    pub async fn read(&self) -> Result<MutexGuard<'_, Inner<S>>> {
        let mut inner = self.inner.lock().await;
        if !inner.catch_up() {
            let revision = self.reload(&mut inner).await?;
            inner.watch = Some(self.store.watch(self.prefix, revision).await.map_err(failure::store)?);
            inner.catch_up();
        }
        Ok(inner)
    }

    async fn reload(&self, inner: &mut Inner<S>) -> Result<Revision> {
        let request = ListRequest { prefix: self.prefix.into(), ..Default::default() };
        let listing = self.store.list(request).await.map_err(failure::store)?;
        inner.state.clear();
        for entry in &listing.entries {
            inner.state.apply(&entry.key, stored::decode(entry));
        }
        Ok(listing.revision)
    }
}

impl<S: State> Inner<S> {
    /// Applies what happened since the last read; `false` when the feed was lost and everything must be read anew.
    fn catch_up(&mut self) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        loop {
            match watch.try_next() {
                // So far behind that it takes a search: everything anew is as quick, and sure.
                Ok(None) if watch.behind() => {
                    self.watch = None;
                    return false;
                }
                Ok(None) => return true,
                Ok(Some(event)) => {
                    let object =
                        event.value.as_ref().and_then(|v| stored::Stored::new(v)?.parse(event.revision));
                    self.state.apply(&event.key, object);
                }
                Err(error) => {
                    if !matches!(error, StoreError::Compacted(_)) {
                        tracing::warn!(%error, "feed lost");
                    }
                    self.watch = None;
                    return false;
                }
            }
        }
    }
}
