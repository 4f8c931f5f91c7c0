//! The transport of clients inside this process: the same pipeline, no socket.

use crate::{Api, Peer, keys};
use access::UserInfo;
use bytes::Bytes;
use client::{Body, Transport, TransportError};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use object::GroupVersionResource;
use std::sync::Arc;
use store::{Revision, Watch};

/// Marks requests that never left the process: their watches need no periodic bookmarks. Never taken from the network.
pub(crate) const MARK: HeaderName = HeaderName::from_static("x-joey-in-process");

/// Speaks to an [`Api`] as one user, authorized like anyone.
pub struct InProcess {
    api: Arc<Api>,
    user: UserInfo,
}

impl InProcess {
    /// A transport for `user`.
    pub fn new(api: Arc<Api>, user: UserInfo) -> Self {
        Self { api, user }
    }
}

impl Transport for InProcess {
    fn send(&self, mut request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        request.headers_mut().insert(MARK, HeaderValue::from_static("1"));
        let peer = Peer { user: Some(self.user.clone()), ..Peer::default() };
        Box::pin(self.api.serve(request, peer).map(Ok))
    }

    fn touched(&self, gvr: &GroupVersionResource, after: u64) -> Option<BoxFuture<'static, u64>> {
        Some(Box::pin(first_change(self.api.clone(), gvr.clone(), after)))
    }
}

/// The revision before the next change of a resource. What cannot be followed answers at once: a watch will tell why.
async fn first_change(api: Arc<Api>, gvr: GroupVersionResource, after: u64) -> u64 {
    let watch = Box::pin(follow(&api, &gvr, after)).await;
    drop((api, gvr));
    match watch {
        Some(mut watch) => watch.next().await.map_or(after, |event| event.revision.0 - 1),
        None => after,
    }
}

async fn follow(api: &Api, gvr: &GroupVersionResource, after: u64) -> Option<Box<dyn Watch>> {
    let registry = api.registry().await.ok()?;
    let resource = registry.get(&gvr.group, &gvr.version, &gvr.resource)?;
    api.store.watch(&keys::prefix(resource, ""), Revision(after)).await.ok()
}
