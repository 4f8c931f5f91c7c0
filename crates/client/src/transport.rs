//! The one thing a client needs of a server: send a request, get an answer whose body may go on for ever.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object::GroupVersionResource;

/// A streamed body: chunks as they come. For a watch, each chunk is one or more whole frames (JSON lines).
pub type BodyStream = BoxStream<'static, Result<Bytes, TransportError>>;

/// An answer's body.
pub enum Body {
    /// Complete.
    Full(Bytes),
    /// Comes piece by piece (watch, logs).
    Stream(BodyStream),
}

/// The server could not be reached, or went away in mid-answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(pub String);

/// Carries requests to one API server, as one identity. The request's URI is path and query only.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` and returns the answer's head; dropping the body ends a stream.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>>;

    /// Waits, for less than a watch costs, until an object of a resource changes after a resourceVersion; answers the one
    /// to watch from. `None`: this server can only be watched.
    fn touched(&self, gvr: &GroupVersionResource, after: u64) -> Option<BoxFuture<'static, u64>> {
        let _ = (gvr, after);
        None
    }
}
