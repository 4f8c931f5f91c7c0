//! Who did what, when: audit events of `audit.k8s.io/v1`, which of them are kept, and the file they are written to.
//!
//! [`Policy`] decides how much of a request is kept, [`Recording`] gathers it, a [`Sink`] takes what was gathered, stage by
//! stage. Nothing here knows HTTP or asks for the time. Bodies are only ever handed over for levels that keep them.

mod log_file;
mod policy;
mod recording;
mod stage;

pub use log_file::{LogFile, Rotation};
pub use policy::{Kept, Policy};
pub use recording::{Asked, Recording};
pub use stage::{Level, Stage};

use object::Value;
use std::sync::Arc;

/// Takes events. Must not block for longer than writing a file takes.
pub trait Sink: Send + Sync {
    /// One event.
    fn record(&self, event: &Value);
}

/// A policy and where its events go.
#[derive(Clone)]
pub struct Audit {
    /// How much of each request is kept.
    pub policy: Arc<Policy>,
    /// All that take events.
    pub sinks: Vec<Arc<dyn Sink>>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("policy", &self.policy).field("sinks", &self.sinks.len()).finish()
    }
}
