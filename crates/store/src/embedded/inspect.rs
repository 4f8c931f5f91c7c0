//! Looks at a database before it is opened for good, without changing a byte of it: what redb repairs, it repairs in an
//! [`Overlay`] that is thrown away. So a damaged file is refused as it was found, and never silently rolled back.

use super::database::{Meta, failed, guarded};
use super::disk::Disk;
use crate::{Revision, StoreError};
use parking_lot::RwLock;
use redb::{Builder, DatabaseError, StorageBackend};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// Files up to this size are verified page by page whenever they are opened (a second takes about a gigabyte); larger
/// ones only after a crash, apart from the checksums of what is read.
const VERIFIED: u64 = 32 << 20;
const CACHE: usize = 1 << 20;
const BLOCK: u64 = 4_096;

/// Fails when the database on the storage is damaged. An empty storage is fine.
pub(super) fn inspect(disk: &Disk) -> Result<(), StoreError> {
    let length = disk.len().map_err(|error| StoreError::Io(error.to_string()))?;
    if length == 0 {
        return Ok(());
    }
    let overlay = Overlay {
        below: disk.clone(),
        state: Arc::new(RwLock::new(State { length, blocks: HashMap::new() })),
    };
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

/// A storage whose changes are kept in memory.
#[derive(Clone, Debug)]
struct Overlay {
    below: Disk,
    state: Arc<RwLock<State>>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// Blocks that were changed.
    blocks: HashMap<u64, Vec<u8>>,
}

impl Overlay {
    /// A block as it is below, with zeros after its end.
    fn block_below(&self, number: u64) -> io::Result<Vec<u8>> {
        let mut block = vec![0; BLOCK as usize];
        let end = self.below.len()?;
        let start = number * BLOCK;
        if start < end {
            let length = (end - start).min(BLOCK) as usize;
            self.below.read(start, &mut block[..length])?;
        }
        Ok(block)
    }
}

/// The parts of `length` bytes from `offset` on, block by block: block, start in it, start in the whole, length.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = (at % BLOCK) as usize;
        let part = (length - done).min(BLOCK as usize - start);
        let whole = done;
        done += part;
        (part > 0).then_some((at / BLOCK, start, whole, part))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.read().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.read();
        let end = offset + out.len() as u64;
        if end > state.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let changed = (offset / BLOCK..=end / BLOCK).any(|number| state.blocks.contains_key(&number));
        if !changed && end <= self.below.len()? {
            return self.below.read(offset, out);
        }
        for (number, start, whole, length) in parts(offset, out.len()) {
            match state.blocks.get(&number) {
                Some(block) => out[whole..whole + length].copy_from_slice(&block[start..start + length]),
                None => out[whole..whole + length]
                    .copy_from_slice(&self.block_below(number)?[start..start + length]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.write();
        // what is cut off must read as zeros when the file grows again
        for number in len.div_ceil(BLOCK)..state.length.div_ceil(BLOCK) {
            state.blocks.insert(number, vec![0; BLOCK as usize]);
        }
        state.length = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.write();
        for (number, start, whole, length) in parts(offset, data.len()) {
            if !state.blocks.contains_key(&number) {
                state.blocks.insert(number, self.block_below(number)?);
            }
            if let Some(block) = state.blocks.get_mut(&number) {
                block[start..start + length].copy_from_slice(&data[whole..whole + length]);
            }
        }
        Ok(())
    }
}
