//! Looks at a database before it is opened for good, without changing a byte of it: what redb repairs, it repairs in an
//! [`Overlay`] that is thrown away. So a damaged file is refused as it was found, and never silently rolled back.

use super::database::{Meta, failed, guarded};
use super::disk::Disk;
use super::overlay::Overlay;
use crate::{Revision, StoreError};
use redb::{Builder, DatabaseError, StorageBackend};

/// Files up to this size are verified page by page whenever they are opened (a second takes about a gigabyte); larger
/// ones only after a crash, apart from the checksums of what is read.
const VERIFIED: u64 = 32 << 20;
const CACHE: usize = 1 << 20;

/// Fails when the database on the storage is damaged. An empty storage is fine.
pub(super) fn inspect(disk: &Disk) -> Result<(), StoreError> {
    let length = disk.len().map_err(|error| StoreError::Io(error.to_string()))?;
    if length == 0 {
        return Ok(());
    }
    let overlay = Overlay::on(disk.clone()).map_err(|error| StoreError::Io(error.to_string()))?;
    let verified = guarded(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(length <= VERIFIED);
        let database = builder.create_with_backend(overlay).map_err(failed)?;
        Meta::read(&database)
    })?;
    match guarded(|| clean_revision(disk))? {
        Some(revision) if revision > verified.revision => {
            let (last, left) = (revision.0, verified.revision.0);
            Err(StoreError::Corrupt(format!(
                "pages of revision {last} are damaged (intact is revision {left})"
            )))
        }
        _ => Ok(()),
    }
}

/// The last revision according to a database that was closed; `None` after a crash.
fn clean_revision(disk: &Disk) -> Result<Option<Revision>, StoreError> {
    match Builder::new().set_cache_size(CACHE).open_read_only_with_backend(disk.clone()) {
        Ok(database) => Ok(Some(Meta::read(&database)?.revision)),
        Err(DatabaseError::RepairAborted) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
