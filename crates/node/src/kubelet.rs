//! What the API asks of the node that runs a pod.

use crate::metrics::Metrics;
use crate::options::{ExecOptions, LogOptions};
use crate::session::Session;
use bytes::Bytes;
use client::{Body, BodyStream};
use futures::future::BoxFuture;
use object::{ApiError, Result};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// A two-way byte stream: a client's connection, or one into a pod.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A pod's network, open for connections for as long as it is kept.
pub trait PortForward: Send + Sync + 'static {
    /// Connects to `port` inside of the pod; the error is what the client shows.
    fn open(&self, port: u16) -> BoxFuture<'_, std::result::Result<Box<dyn Io>, String>>;
}

/// Reaches the containers of pods, wherever they run. The caller has authorized the request and has seen that the pod
/// exists, has a node and has the container that the options name.
pub trait Kubelet: Send + Sync + 'static {
    /// The container's output, past and (with `follow`) future.
    fn logs(&self, namespace: &str, pod: &str, options: LogOptions) -> BoxFuture<'_, Result<BodyStream>>;

    /// Starts `options.command` in the container.
    fn exec(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>>;

    /// Joins the container's main process; `options.command` is empty.
    fn attach(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>>;

    /// Opens the pod's network.
    fn port_forward(&self, namespace: &str, pod: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>>;

    /// Sends an HTTP request to `port` of the pod. Of its URI only path and query count, and the scheme if it is `https`.
    fn proxy(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let _ = (namespace, port, request);
        let message = format!("error trying to reach service: pod {pod} cannot be proxied to");
        Box::pin(async move { Err(ApiError::ServiceUnavailable(message)) })
    }

    /// What `metrics.k8s.io` can show, if anything is measured here.
    fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        None
    }

    /// Answers a GET of the kubelet's own HTTP API, such as `/stats/summary`, of `node`.
    fn node_get(&self, node: &str, path: &str) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let _ = path;
        let message = format!("error trying to reach service: node {node} cannot be proxied to");
        Box::pin(async move { Err(ApiError::ServiceUnavailable(message)) })
    }
}

/// The kubelet of a cluster whose nodes cannot be reached: refuses everything.
pub struct NoNodes;

fn unreachable<T>(pod: &str) -> BoxFuture<'static, Result<T>> {
    let message = format!("the node of pod {pod} cannot be reached");
    Box::pin(async move { Err(ApiError::Internal(message)) })
}

impl Kubelet for NoNodes {
    fn logs(&self, _: &str, pod: &str, _: LogOptions) -> BoxFuture<'_, Result<BodyStream>> {
        unreachable(pod)
    }

    fn exec(&self, _: &str, pod: &str, _: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        unreachable(pod)
    }

    fn attach(&self, _: &str, pod: &str, _: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        unreachable(pod)
    }

    fn port_forward(&self, _: &str, pod: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>> {
        unreachable(pod)
    }
}
