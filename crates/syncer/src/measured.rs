//! `metrics.k8s.io` of a tenant: the host's figures of that tenant's host pods and no others, under the tenant's names.

use crate::host::Watched;
use crate::resources::PODS;
use futures::future::BoxFuture;
use node::{Metrics, Sample};
use object::Result;
use std::sync::Arc;
use translate::{Cluster, marks};

/// Translates what a host measures.
pub(crate) struct TenantMetrics {
    pub cluster: Cluster,
    pub watched: Arc<Watched>,
    pub inner: Arc<dyn Metrics>,
}

/// What the host does not let joey see is as if it were not measured.
fn seen(samples: Result<Vec<Sample>>) -> Result<Vec<Sample>> {
    match samples {
        Err(error) if error.code() == 403 => Ok(vec![]),
        other => other,
    }
}

impl Metrics for TenantMetrics {
    fn available(&self) -> BoxFuture<'_, bool> {
        self.inner.available()
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<Sample>>> {
        Box::pin(async move { seen(self.inner.nodes().await) })
    }

    fn pods(&self, namespace: &str) -> BoxFuture<'_, Result<Vec<Sample>>> {
        let namespace = namespace.to_owned();
        Box::pin(async move {
            let there = &self.cluster.host_namespace;
            let samples = seen(self.inner.pods(there).await)?;
            let ours = samples.into_iter().filter_map(|sample| {
                let host = self.watched.cache.get(&PODS, there, &sample.name)?;
                let origin = marks::origin(&self.cluster, &host)?;
                let wanted = namespace.is_empty() || origin.namespace == namespace;
                wanted.then_some(Sample { namespace: origin.namespace, name: origin.name, ..sample })
            });
            Ok(ours.collect())
        })
    }
}
