//! The transport of clients inside this process: the same pipeline, no socket.

use crate::{Api, Peer};
use access::UserInfo;
use bytes::Bytes;
use client::{Body, Transport, TransportError};
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use std::sync::Arc;

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
        Box::pin(async move { Ok(self.api.serve(request, peer).await) })
    }
}
