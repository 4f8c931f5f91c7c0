//! Calls to servers outside of this process. The pipeline has no sockets: whoever opens it brings them.

use bytes::Bytes;
use futures::future::BoxFuture;
use std::time::Duration;

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `https://name.namespace.svc:443/path?timeout=10s`: what is asked, and who must prove to be there.
    pub url: String,
    /// The host and port to connect to, when not those of the URL.
    pub connect: Option<(String, u16)>,
    /// PEM of the CAs to trust; the system's when absent.
    pub ca_bundle: Option<Vec<u8>>,
}

/// Makes calls.
pub trait Outbound: Send + Sync {
    /// Posts JSON; the answer's body, or what went wrong (`Post "<url>": …`).
    fn post(&self, to: Destination, body: Bytes, timeout: Duration) -> BoxFuture<'_, Result<Bytes, String>>;
}
