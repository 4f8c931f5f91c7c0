//! Limits on what may run and what may be disturbed, and the judgement of policies themselves.

pub(crate) mod admission_policy;
pub(crate) mod disruption;
pub mod quota_usage;
pub(crate) mod resource_quota;
mod stale_disruption;
