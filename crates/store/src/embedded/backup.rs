//! Backup of an open store to one file, and restore of such a file as a store.
//!
//! A backup is a database of the same layout as of one revision, with history. Nothing that exists is overwritten;
//! what is half written has another name until it is complete and on disk.

use super::cache::ValueCache;
use super::database::{Meta, Snapshot, failed, guarded, load, open};
use super::disk::{Disk, LockedFile, sync_folder};
use super::engine::locate;
use super::overlay::Overlay;
use super::record::Record;
use super::record::{LOG, VALUES};
use super::{EmbeddedStore, FILE};
use crate::{Revision, StoreError};
use redb::{Database, Durability, ReadableTable, StorageBackend};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Log records copied per transaction.
const STEP: u64 = 1_000;
/// Page cache while copying.
const CACHE: usize = 4 << 20;
/// Revisions that a restored store passes over: more than a store can have come to after its backup was made.
const LEAP: u64 = 1_000_000_000;

impl EmbeddedStore {
    /// Writes all data, as of now and with its history, to the file `to`, which must not exist, and says the revision.
    /// The store goes on meanwhile.
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<Revision, StoreError> {
        let (snapshot, meta) = {
            let state = self.engine.state.read();
            // what was swept is not known here: sweeping again from the start does no harm
            let meta = Meta { revision: state.revision, compacted: state.compacted, swept: Revision(0) };
            (state.snapshot.clone(), meta)
        };
        let to = to.into();
        let copied = tokio::task::spawn_blocking(move || {
            let _held = snapshot.clone();
            create(&to, |database| copy(&snapshot, meta, database))
        });
        copied.await.map_err(|_| StoreError::Closed)??;
        Ok(meta.revision)
    }

    /// Makes a store in the folder `path` from a backup, after checking all of it, and says the revision it goes on from.
    /// Fails when the folder has a store. Blocks on the disk.
    ///
    /// That revision lies far beyond the backup's, and everything before it counts as compacted: revisions do not go back
    /// for clients that saw writes which the backup does not have, and their watches end, so that they list anew.
    pub fn restore(backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<Revision, StoreError> {
        let (backup, path) = (backup.as_ref(), path.as_ref());
        let place = backup.display().to_string();
        let located = |error| locate(&place, error);
        let disk = Disk(Arc::new(LockedFile::read_only(backup)?));
        super::inspect::inspect(&disk).map_err(located)?;
        // the backup itself is not written to
        let overlay = Overlay::on(disk).map_err(|error| located(StoreError::Io(error.to_string())))?;
        let database = open(&Disk(Arc::new(overlay)), CACHE).map_err(located)?;
        let loaded = load(&database, &Arc::new(ValueCache::new(0))).map_err(located)?;
        std::fs::create_dir_all(path)
            .map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
        let revision = Revision(loaded.meta.revision.0 + LEAP);
        let meta = Meta { revision, compacted: revision, swept: loaded.meta.swept };
        create(&path.join(FILE), |database| copy(&loaded.snapshot, meta, database))?;
        Ok(revision)
    }
}

/// Makes a database under a temporary name, fills it, and gives it its name.
fn create(to: &Path, fill: impl FnOnce(&Database) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let place = to.display().to_string();
    let io = |error: std::io::Error| StoreError::Io(format!("{place}: {error}"));
    if to.try_exists().map_err(io)? {
        return Err(StoreError::Io(format!("{place} exists already")));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let made = (|| {
        let disk = Disk(Arc::new(LockedFile::open(&partial)?));
        // what one that was killed left there may hold keys that are gone since
        disk.set_len(0).map_err(io)?;
        let database = open(&disk, CACHE)?;
        fill(&database)?;
        drop(database);
        disk.sync_data().map_err(io)?;
        // a name that came to exist meanwhile is not replaced, unlike with rename
        std::fs::hard_link(&partial, to).map_err(io)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(folder).map_err(io)
    })();
    let removed = std::fs::remove_file(&partial).map_err(io);
    made.map_err(|error| locate(&place, error))?;
    removed
}

/// Copies the log and all values, checking each.
fn copy(snapshot: &Snapshot, meta: Meta, database: &Database) -> Result<(), StoreError> {
    guarded(|| {
        let last = snapshot.log.last().map_err(failed)?.map_or(0, |(revision, _)| revision.value());
        let mut from = 1;
        while from <= last {
            let until = last.min(from.saturating_add(STEP - 1));
            copy_part(snapshot, from..=until, database)?;
            from = until + 1;
        }
        let transaction = database.begin_write().map_err(failed)?;
        meta.write(&transaction)?;
        transaction.commit().map_err(failed)
    })
}

fn copy_part(snapshot: &Snapshot, part: RangeInclusive<u64>, database: &Database) -> Result<(), StoreError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    // the last transaction of the copy makes all of it durable
    transaction.set_durability(Durability::None).map_err(failed)?;
    {
        let mut log = transaction.open_table(LOG).map_err(failed)?;
        let mut values = transaction.open_table(VALUES).map_err(failed)?;
        for item in snapshot.log.range(part).map_err(failed)? {
            let (revision, record) = item.map_err(failed)?;
            let revision = revision.value();
            log.insert(revision, record.value()).map_err(failed)?;
            if !Record::decode(revision, record.value())?.deleted {
                let value = snapshot.stored(Revision(revision))?;
                values.insert(revision, super::record::encode_value(&value).as_slice()).map_err(failed)?;
            }
        }
    }
    transaction.commit().map_err(failed)
}
