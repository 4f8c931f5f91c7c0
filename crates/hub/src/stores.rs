//! What the stores of one process have in common: the one task that keeps them tidy, and the list by which a backup finds
//! them.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use store::embedded::{EmbeddedStore, Options};
use store::{Cared, Store, StoreError, Upkeep};

/// The stores of a process. Dropped with the last control plane.
pub struct Stores {
    upkeep: Upkeep,
    open: Mutex<HashMap<PathBuf, Weak<EmbeddedStore>>>,
}

impl Stores {
    /// None yet. Needs a tokio runtime.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { upkeep: Upkeep::start(), open: Mutex::default() })
    }

    /// Keeps a store tidy.
    pub(crate) fn care_for(&self, store: &Arc<dyn Store>) -> Cared {
        self.upkeep.add(store)
    }

    /// Opens the store in a folder. Blocks on the disk.
    pub(crate) fn open(&self, folder: &Path, options: Options) -> Result<Arc<EmbeddedStore>, StoreError> {
        let store = EmbeddedStore::open(folder, options)?;
        let mut open = self.open.lock();
        open.retain(|_, store| store.strong_count() > 0);
        open.insert(real(folder), Arc::downgrade(&store));
        Ok(store)
    }

    /// The store of a folder, if this process has it open.
    pub(crate) fn find(&self, folder: &Path) -> Option<Arc<EmbeddedStore>> {
        self.open.lock().get(&real(folder)).and_then(Weak::upgrade)
    }
}

/// However the folder is called.
fn real(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}
