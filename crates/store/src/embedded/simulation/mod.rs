//! A store on a disk that dies, fills up and fails where it is told to: for tests of whatever stands on a store.
//!
//! Commits run as tasks, after a moment of tokio's time: where that is paused, no thread and no clock of the machine takes
//! part. What is under way when the runtime is dropped was never acknowledged.

mod disk;
#[cfg(test)]
mod tests;

pub use disk::{Random, SimulatedDisk};

use super::disk::Disk;
use super::{EmbeddedStore, Options};
use crate::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// How long a commit takes; writes that come meanwhile share it.
const COMMIT: Duration = Duration::from_millis(2);

impl EmbeddedStore {
    /// Opens the store on a simulated disk, and makes it when the disk is empty.
    pub fn simulated(disk: &SimulatedDisk, options: Options) -> Result<Arc<Self>, StoreError> {
        Self::on(Disk(Arc::new(disk.clone())), None, Some(COMMIT), "simulated", options)
    }
}
