//! What is known of a pod's containers before they start.

use super::probes::Probes;
use crate::shell::Files;
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
    /// What else is known of a container, by its name.
    pub details: BTreeMap<String, Details>,
    /// Why the volumes cannot be mounted.
    pub mount_error: Option<String>,
}

impl Prepared {
    /// Whether nothing is missing.
    pub fn complete(&self) -> bool {
        self.mount_error.is_none() && self.containers.values().all(Result::is_ok)
    }
}

/// What a container's run finds and leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// What its probes find.
    pub probes: Probes,
    /// What is known of its end, if that is by itself: its termination message.
    pub message: String,
    /// Files of its empty volumes when it starts, by absolute path.
    pub found: Files,
    /// Which run this is about: the container's restarts before it.
    pub run: i64,
}
