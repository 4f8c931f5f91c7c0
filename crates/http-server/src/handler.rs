//! Who answers requests.

use bytes::Bytes;
use client::Body;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who is at the other end of the connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// DER of the client's certificate; its chain was verified against the listener's client CA.
    pub certificate: Option<Arc<[u8]>>,
    /// DER of the certificates that lead from it to an authority.
    pub intermediates: Arc<[Box<[u8]>]>,
    /// Where it connects from.
    pub address: SocketAddr,
}

/// Answers requests whose body is complete. For requests that want to upgrade, [`node::Upgrade`] is in the extensions.
/// Never fails: what goes wrong is a `Status`.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request; dropped when the client goes away first.
    fn handle(&self, request: http::Request<Bytes>, peer: Peer) -> BoxFuture<'_, http::Response<Body>>;
}

impl<F, Fut> Handler for F
where
    F: Fn(http::Request<Bytes>, Peer) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = http::Response<Body>> + Send + 'static,
{
    fn handle(&self, request: http::Request<Bytes>, peer: Peer) -> BoxFuture<'_, http::Response<Body>> {
        Box::pin(self(request, peer))
    }
}
