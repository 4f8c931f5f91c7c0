//! Simulated nodes of a server: begun and ended with each term, where there are terms; the way into their pods stays.

use client::{BodyStream, Client};
use controllers::election::{BeginTerm, EndTerm};
use futures::FutureExt;
use futures::future::BoxFuture;
use hub::ControlPlane;
use node::{ExecOptions, Kubelet, LogOptions, Metrics, NoNodes, PortForward, Session};
use object::Result;
use parking_lot::RwLock;
use sandbox::{Handle, Options, Sandbox};
use std::sync::Arc;

/// What the nodes call themselves.
pub(super) const CLIENT: &str = "joey-sandbox";

/// Simulated nodes that may be started again and again.
#[derive(Clone)]
pub(super) struct Nodes {
    count: u16,
    current: Arc<RwLock<Arc<dyn Kubelet>>>,
}

impl Nodes {
    pub(super) fn new(count: u16) -> Self {
        Self { count, current: Arc::new(RwLock::new(Arc::new(NoNodes))) }
    }

    /// The way into the pods, wherever these run at the time.
    pub(super) fn kubelet(&self) -> Arc<dyn Kubelet> {
        Arc::new(Current(self.current.clone()))
    }

    pub(super) async fn start(&self, client: Client) -> std::result::Result<Handle, String> {
        let options = Options { nodes: self.count, ..Options::default() };
        // Without nodes of its own only the scheduler is wanted: storage and metrics are somebody else's.
        let sandbox = Sandbox::new(if self.count > 0 { options } else { options.scheduler_only() });
        let kubelet = sandbox.kubelet();
        let started = sandbox.start(client).await.map_err(|e| format!("sandbox: {e}"))?;
        *self.current.write() = kubelet;
        Ok(started)
    }
}

/// Starts the nodes with each term and stops them at its end.
pub(super) fn terms(nodes: Option<Nodes>, plane: &ControlPlane) -> BeginTerm {
    let client = plane.client(CLIENT);
    Box::new(move || {
        let (nodes, client) = (nodes.clone(), client.clone());
        async move {
            let running = match &nodes {
                Some(nodes) => Some(nodes.start(client).await?),
                None => None,
            };
            let end = move || {
                async move {
                    if let (Some(running), Some(nodes)) = (running, nodes) {
                        *nodes.current.write() = Arc::new(NoNodes);
                        running.stop().await;
                    }
                }
                .boxed()
            };
            Ok(Box::new(end) as EndTerm)
        }
        .boxed()
    })
}

/// Passes everything on to the nodes that there are.
struct Current(Arc<RwLock<Arc<dyn Kubelet>>>);

impl Kubelet for Current {
    fn logs(&self, namespace: &str, pod: &str, options: LogOptions) -> BoxFuture<'_, Result<BodyStream>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        let kubelet = self.0.read().clone();
        async move { kubelet.logs(&namespace, &pod, options).await }.boxed()
    }

    fn exec(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        let kubelet = self.0.read().clone();
        async move { kubelet.exec(&namespace, &pod, options).await }.boxed()
    }

    fn attach(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        let kubelet = self.0.read().clone();
        async move { kubelet.attach(&namespace, &pod, options).await }.boxed()
    }

    fn port_forward(&self, namespace: &str, pod: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        let kubelet = self.0.read().clone();
        async move { kubelet.port_forward(&namespace, &pod).await }.boxed()
    }

    fn proxy(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        request: http::Request<bytes::Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<client::Body>>> {
        let (namespace, pod) = (namespace.to_owned(), pod.to_owned());
        let kubelet = self.0.read().clone();
        async move { kubelet.proxy(&namespace, &pod, port, request).await }.boxed()
    }

    fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        self.0.read().metrics()
    }

    fn node_get(&self, node: &str, path: &str) -> BoxFuture<'_, Result<http::Response<client::Body>>> {
        let (node, path) = (node.to_owned(), path.to_owned());
        let kubelet = self.0.read().clone();
        async move { kubelet.node_get(&node, &path).await }.boxed()
    }
}
