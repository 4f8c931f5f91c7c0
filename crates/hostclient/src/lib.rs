//! The way to any Kubernetes: kubeconfigs, credentials and connections by the `kube` crate, behind joey's own [`Transport`].
//!
//! Logs, exec, attach, port-forward, proxying and metrics of its pods are [`RemoteKubelet`]'s.

mod config;
mod kubelet;
mod measured;

pub use config::{Connection, HostError, connect, parse};
pub use kubelet::RemoteKubelet;

use bytes::Bytes;
use client::{Body, Transport, TransportError};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use kube::client::Body as KubeBody;

/// Answers longer than this are handed on piece by piece.
const STREAMED: [&str; 2] = ["watch=", "follow="];

/// Carries requests to a Kubernetes API server over the network.
#[derive(Clone)]
pub struct HostTransport(kube::Client);

impl HostTransport {
    /// Speaks through `client`, with its credentials.
    pub fn new(client: kube::Client) -> Self {
        Self(client)
    }

    async fn carry(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
        let failed = |e: &dyn std::fmt::Display| TransportError(e.to_string());
        let query = request.uri().query().unwrap_or("");
        let streamed = STREAMED.iter().any(|s| query.contains(s));
        let (parts, body) = request.into_parts();
        let request = http::Request::from_parts(parts, KubeBody::from(body));
        let response = self.0.send(request).await.map_err(|e| failed(&explain(&e)))?;
        let (parts, body) = response.into_parts();
        let body = if streamed {
            let frames = body.into_data_stream().map_err(|e| TransportError(e.to_string()));
            Body::Stream(frames.boxed())
        } else {
            Body::Full(body.collect().await.map_err(|e| failed(&e))?.to_bytes())
        };
        Ok(http::Response::from_parts(parts, body))
    }
}

/// The innermost cause says most: `connection refused`, not `client error (Connect)`.
fn explain(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl Transport for HostTransport {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        Box::pin(self.carry(request))
    }
}
