//! Logs, exec, attach, port-forward, proxying and metrics of a tenant's pods: the host's, of that tenant's host pods and no others.

use crate::host::{Host, Watched};
use crate::measured::TenantMetrics;
use crate::resources::PODS;
use bytes::Bytes;
use client::{Body, BodyStream};
use futures::future::BoxFuture;
use node::{ExecOptions, Kubelet, LogOptions, Metrics, PortForward, Session};
use object::{ApiError, GroupResource, Result};
use std::sync::Arc;
use translate::{Cluster, marks, names};

/// Leads from virtual pods to host pods.
pub struct HostKubelet {
    cluster: Cluster,
    watched: Arc<Watched>,
    inner: Arc<dyn Kubelet>,
    metrics: Option<Arc<dyn Metrics>>,
}

impl HostKubelet {
    /// A kubelet for `cluster` on `host`, whose own pods `inner` reaches.
    pub fn new(cluster: Cluster, host: &Host, inner: Arc<dyn Kubelet>) -> Self {
        let watched = host.watched(&cluster.host_namespace);
        let metrics = inner.metrics().map(|inner| {
            let (cluster, watched) = (cluster.clone(), watched.clone());
            Arc::new(TenantMetrics { cluster, watched, inner }) as Arc<dyn Metrics>
        });
        Self { cluster, watched, inner, metrics }
    }

    /// The host pod of a virtual one, if it is this cluster's.
    fn host_pod(&self, namespace: &str, pod: &str) -> Result<String> {
        let name = names::host(&self.cluster, namespace, pod);
        let held = self.watched.cache.get(&PODS, &self.cluster.host_namespace, &name);
        let origin = held.and_then(|h| marks::origin(&self.cluster, &h));
        match origin.filter(|o| o.namespace == namespace && o.name == pod) {
            Some(_) => Ok(name),
            None => {
                Err(ApiError::NotFound { resource: GroupResource::new("", "pods"), name: pod.to_owned() })
            }
        }
    }
}

impl Kubelet for HostKubelet {
    fn logs(&self, namespace: &str, pod: &str, options: LogOptions) -> BoxFuture<'_, Result<BodyStream>> {
        let name = self.host_pod(namespace, pod);
        Box::pin(async move { self.inner.logs(&self.cluster.host_namespace, &name?, options).await })
    }

    fn exec(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let name = self.host_pod(namespace, pod);
        Box::pin(async move { self.inner.exec(&self.cluster.host_namespace, &name?, options).await })
    }

    fn attach(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let name = self.host_pod(namespace, pod);
        Box::pin(async move { self.inner.attach(&self.cluster.host_namespace, &name?, options).await })
    }

    fn port_forward(&self, namespace: &str, pod: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>> {
        let name = self.host_pod(namespace, pod);
        Box::pin(async move { self.inner.port_forward(&self.cluster.host_namespace, &name?).await })
    }

    fn proxy(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let name = self.host_pod(namespace, pod);
        Box::pin(async move { self.inner.proxy(&self.cluster.host_namespace, &name?, port, request).await })
    }

    fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        self.metrics.clone()
    }
}
