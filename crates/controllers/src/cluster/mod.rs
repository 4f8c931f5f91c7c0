//! Controllers of the cluster as a whole.

pub(crate) mod bootstrap_tokens;
pub(crate) mod certificates;
pub(crate) mod cluster_roles;
pub(crate) mod node_lifecycle;
pub(crate) mod node_ttl;
pub(crate) mod pod_garbage;
pub(crate) mod resource_claims;
pub(crate) mod taint_eviction;
