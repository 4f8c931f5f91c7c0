//! What is known of a pod's containers before they start.

use std::collections::BTreeMap;

/// What a container's command does.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Runs until it is told to stop.
    Runs,
    /// Ends by itself.
    Exits {
        /// Exit code.
        code: i32,
        /// Seconds after its start.
        after: f64,
    },
}

/// The result of reading a pod's volumes and environment.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// By container: what it does, or why it cannot be configured.
    pub containers: BTreeMap<String, Result<Outcome, String>>,
    /// Why the volumes cannot be mounted.
    pub mount_error: Option<String>,
}

impl Prepared {
    /// Whether nothing is missing.
    pub fn complete(&self) -> bool {
        self.mount_error.is_none() && self.containers.values().all(Result::is_ok)
    }
}
