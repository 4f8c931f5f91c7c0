//! The file below the database, and the seam where tests put a faulty one.

use crate::StoreError;
use redb::StorageBackend;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A storage that outlives the database on it: after an I/O error the database is opened again on the same storage, and
/// the lock stays ours all the while.
#[derive(Clone, Debug)]
pub(super) struct Disk(pub(super) Arc<dyn StorageBackend>);

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

/// A file that only this process uses; the lock is released when it is dropped.
#[derive(Debug)]
pub(super) struct LockedFile {
    file: File,
    /// Nothing in it matters yet: it is not waited for until it does.
    unfinished: AtomicBool,
}

impl LockedFile {
    /// Opens the file and makes it when it is absent.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Io(format!("open {}: {error}", path.display()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, unfinished: AtomicBool::new(false) }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Opens an existing file for reading only, beside other readers.
    pub(super) fn read_only(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Io(format!("open {}: {error}", path.display()));
        let file = File::open(path).map_err(failed)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { file, unfinished: AtomicBool::new(false) }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Empties the file. What is written from now on is durable once it is [`finish`](Self::finish)ed.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.unfinished.store(true, Ordering::Release);
        self.file.set_len(0)
    }

    /// Makes durable what was written, and all that will be.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.unfinished.store(false, Ordering::Release);
        self.file.sync_data()
    }

    /// Lets others open the file. For the end, when the database on it was closed.
    pub(super) fn release(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

impl StorageBackend for LockedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.unfinished.load(Ordering::Acquire) { Ok(()) } else { self.file.sync_data() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

/// Makes a folder's entries durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
