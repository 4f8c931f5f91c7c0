//! Limits on what may run and what may be disturbed.

pub(crate) mod disruption;
pub mod quota_usage;
pub(crate) mod resource_quota;
