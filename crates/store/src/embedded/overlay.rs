//! A storage on top of another that is only read: changes stay in memory and go with it.

use super::disk::Disk;
use parking_lot::RwLock;
use redb::StorageBackend;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;

const BLOCK: u64 = 4_096;

/// A storage whose changes are kept in memory.
#[derive(Debug)]
pub(super) struct Overlay {
    below: Disk,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// Blocks that were changed.
    blocks: HashMap<u64, Vec<u8>>,
}

impl Overlay {
    /// An overlay that shows what `below` holds now.
    pub(super) fn on(below: Disk) -> io::Result<Self> {
        let length = below.len()?;
        Ok(Self { below, state: RwLock::new(State { length, blocks: HashMap::new() }) })
    }

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
            let block = match state.blocks.entry(number) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.block_below(number)?),
            };
            block[start..start + length].copy_from_slice(&data[whole..whole + length]);
        }
        Ok(())
    }
}
