//! What pods and nodes use, as `metrics.k8s.io` shows it.

use futures::future::BoxFuture;
use object::{Result, Value};

/// What one pod or node was seen to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The pod's namespace; empty for nodes.
    pub namespace: String,
    /// Name of the pod or node.
    pub name: String,
    /// The end of the time that was looked at, as objects hold it.
    pub timestamp: String,
    /// How long that was: `15s`.
    pub window: String,
    /// For a pod its containers, `{"name", "usage"}` each; for a node its `usage`, quantities by resource.
    pub usage: Value,
}

/// Where samples come from: the simulated nodes, or the metrics server of a host.
pub trait Metrics: Send + Sync + 'static {
    /// Whether there are any. Asked whenever a client looks for the API, so the answer should be at hand.
    fn available(&self) -> BoxFuture<'_, bool>;

    /// The latest sample of every node.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<Sample>>>;

    /// The latest samples of the pods of a namespace; of all, when it is empty. Those of pods that the API does not know
    /// are not shown.
    fn pods(&self, namespace: &str) -> BoxFuture<'_, Result<Vec<Sample>>>;
}
