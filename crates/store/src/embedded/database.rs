//! The redb database on its storage: opening, loading, snapshots, and errors in the store's terms.

use super::cache::ValueCache;
use super::disk::Disk;
use super::expiry::Expiries;
use super::index::{Index, Version};
use super::record::{COMPACTED, FORMAT, LOG, META, REVISION, Record, SWEPT, VALUES, decode_value};
use crate::{Entry, Revision, StoreError};
use bytes::Bytes;
use redb::{Builder, Database, ReadOnlyTable, ReadableDatabase, ReadableTable};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The tables as one commit left them. Cheap to hold, but keeps that commit's pages from being reused.
pub(super) struct Snapshot {
    pub(super) log: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) values: ReadOnlyTable<u64, &'static [u8]>,
    cache: Arc<ValueCache>,
}

impl Snapshot {
    /// The newest state of the database.
    pub(super) fn take(database: &Database, cache: &Arc<ValueCache>) -> Result<Self, StoreError> {
        let read = database.begin_read().map_err(failed)?;
        let log = read.open_table(LOG).map_err(failed)?;
        let values = read.open_table(VALUES).map_err(failed)?;
        Ok(Self { log, values, cache: cache.clone() })
    }

    /// The value written at `revision`, which must be one that is kept.
    pub(super) fn value(&self, revision: Revision) -> Result<Bytes, StoreError> {
        if let Some(value) = self.cache.get(revision) {
            return Ok(value);
        }
        let value = self.stored(revision)?;
        self.cache.put(revision, value.clone());
        Ok(value)
    }

    /// The entries of these keys, which are part of a list of `total`, up to that with which they are `most` bytes.
    pub(super) fn entries(
        &self,
        keys: &[(Arc<str>, Version)],
        total: usize,
        most: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        // a list that does not fit anyway must not drive out what does
        let keep = self.cache.would_hold(total);
        let cached = self.cache.get_all(keys.iter().map(|(_, version)| version.revision));
        let entry =
            |((key, version), cached): (&(Arc<str>, Version), Option<Bytes>)| -> Result<Entry, StoreError> {
                let value = match cached {
                    Some(value) => value,
                    None if keep => self.value(version.revision)?,
                    None => self.stored(version.revision)?,
                };
                Ok(version.entry(key.clone(), value))
            };
        let mut entries = Vec::new();
        let mut bytes = 0;
        for item in keys.iter().zip(cached) {
            let found = entry(item)?;
            bytes += found.value.len();
            entries.push(found);
            if bytes >= most {
                break;
            }
        }
        Ok(entries)
    }

    /// The bytes of all values.
    pub(super) fn count(&self) -> Result<u64, StoreError> {
        let mut all = 0;
        for item in self.values.iter().map_err(failed)? {
            all += item.map_err(failed)?.1.value().len() as u64;
        }
        Ok(all)
    }

    /// The value written at `revision`, from the disk.
    pub(super) fn stored(&self, revision: Revision) -> Result<Bytes, StoreError> {
        let stored = self.values.get(revision.0).map_err(failed)?;
        let stored = stored
            .ok_or_else(|| StoreError::Corrupt(format!("value of revision {} is missing", revision.0)))?;
        decode_value(revision.0, stored.value())
    }
}

/// The numbers kept beside the data. The revision is that of the last log record, unless that was swept away: so a
/// commit that only appends need not write them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) swept: Revision,
}

impl Meta {
    pub(super) fn read(database: &impl ReadableDatabase) -> Result<Self, StoreError> {
        let read = database.begin_read().map_err(failed)?;
        let table = read.open_table(META).map_err(failed)?;
        let number = |name: &str| -> Result<u64, StoreError> {
            Ok(table.get(name).map_err(failed)?.map_or(0, |number| number.value()))
        };
        let format = number(FORMAT.0)?;
        if format != FORMAT.1 {
            return Err(StoreError::Io(format!("format {format} is not known to this version of joey")));
        }
        let log = read.open_table(LOG).map_err(failed)?;
        let last = log.last().map_err(failed)?.map_or(0, |(revision, _)| revision.value());
        Ok(Self {
            revision: Revision(number(REVISION)?.max(last)),
            compacted: Revision(number(COMPACTED)?),
            swept: Revision(number(SWEPT)?),
        })
    }

    pub(super) fn write(&self, transaction: &redb::WriteTransaction) -> Result<(), StoreError> {
        let mut table = transaction.open_table(META).map_err(failed)?;
        for (name, number) in
            [FORMAT, (REVISION, self.revision.0), (COMPACTED, self.compacted.0), (SWEPT, self.swept.0)]
        {
            table.insert(name, number).map_err(failed)?;
        }
        Ok(())
    }
}

/// Opens the database on the storage, and makes it when the storage is empty.
pub(super) fn open(disk: &Disk, cache_bytes: usize) -> Result<Database, StoreError> {
    guarded(|| {
        let database =
            Builder::new().set_cache_size(cache_bytes).create_with_backend(disk.clone()).map_err(failed)?;
        if is_new(&database)? {
            let transaction = database.begin_write().map_err(failed)?;
            transaction.open_table(LOG).map_err(failed)?;
            transaction.open_table(VALUES).map_err(failed)?;
            Meta::default().write(&transaction)?;
            transaction.commit().map_err(failed)?;
        }
        Ok(database)
    })
}

fn is_new(database: &Database) -> Result<bool, StoreError> {
    let read = database.begin_read().map_err(failed)?;
    Ok(read.list_tables().map_err(failed)?.next().is_none())
}

/// What is held in memory of a database.
pub(super) struct Loaded {
    pub(super) meta: Meta,
    pub(super) index: Index,
    pub(super) expiries: Expiries,
    pub(super) snapshot: Snapshot,
}

/// Reads the log. Values that are read later are kept in `cache`.
pub(super) fn load(database: &Database, cache: &Arc<ValueCache>) -> Result<Loaded, StoreError> {
    guarded(|| {
        let meta = Meta::read(database)?;
        let snapshot = Snapshot::take(database, cache)?;
        let mut index = Index::default();
        let mut expiries = Expiries::default();
        let mut replaced: Vec<Arc<str>> = Vec::new();
        for item in ReadableTable::iter(&snapshot.log).map_err(failed)? {
            let (revision, stored) = item.map_err(failed)?;
            let revision = Revision(revision.value());
            if revision > meta.revision {
                return Err(StoreError::Corrupt(format!(
                    "log goes on after its last revision {}",
                    meta.revision.0
                )));
            }
            let record = Record::decode(revision.0, stored.value())?;
            let create = if record.deleted { Revision(0) } else { record.create };
            let key = index.apply(&record.key.into(), Version { revision, create });
            expiries.set(&key, record.expires);
            if revision <= meta.compacted && (record.previous.0 > 0 || record.deleted) {
                replaced.push(key);
            }
        }
        for key in replaced {
            index.prune(&key, meta.compacted);
        }
        Ok(Loaded { meta, index, expiries, snapshot })
    })
}

/// Runs `work` on the database; redb panics on some damaged pages, which is told as corruption.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unreadable page");
        Err(StoreError::Corrupt(format!("database structure is damaged: {what}")))
    })
}

/// A database error in the store's terms.
pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(what) => StoreError::Corrupt(what),
        redb::Error::Io(error)
            if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            StoreError::Corrupt(error.to_string())
        }
        redb::Error::Io(error) => StoreError::Io(error.to_string()),
        redb::Error::UpgradeRequired(version) => {
            StoreError::Io(format!("file format {version} is not known to this version of joey"))
        }
        error @ (redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)) => StoreError::Corrupt(error.to_string()),
        error => StoreError::Io(error.to_string()),
    }
}
