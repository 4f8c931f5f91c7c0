//! Controllers of the cluster as a whole.

pub(crate) mod certificates;
pub(crate) mod cluster_roles;
pub(crate) mod node_lifecycle;
pub(crate) mod pod_garbage;
pub(crate) mod taint_eviction;
