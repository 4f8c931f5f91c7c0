//! The way to any Kubernetes: kubeconfigs, credentials and connections by the `kube` crate, behind joey's own [`Transport`].
//!
//! Logs, exec, attach, port-forward, proxying and metrics of its pods are [`RemoteKubelet`]'s.

mod config;
mod kubelet;
mod links;
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
        let query = request.uri().query().unwrap_or("");
        if STREAMED.iter().any(|s| query.contains(s)) {
            return self.stream(request).await;
        }
        let (parts, body) = self.answer(request).await?.into_parts();
        let body = body.collect().await.map_err(|e| TransportError(e.to_string()))?.to_bytes();
        Ok(http::Response::from_parts(parts, Body::Full(body)))
    }

    /// As [`Transport::send`], but the answer always comes piece by piece: what tenants' programs say has any length.
    async fn stream(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
        Ok(self.answer(request).await?.map(|body| {
            let frames = body.into_data_stream().map_err(|e| TransportError(e.to_string()));
            Body::Stream(frames.boxed())
        }))
    }

    async fn answer(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<KubeBody>, TransportError> {
        self.0.send(request.map(KubeBody::from)).await.map_err(|e| TransportError(explain(&e)))
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
