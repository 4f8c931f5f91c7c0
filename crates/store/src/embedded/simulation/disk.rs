//! A disk in memory that dies where it is told to, forgets what was not synced (in parts, in any order), fills up, and
//! fails now and then. Everything follows from a seed.

use parking_lot::{Mutex, MutexGuard};
use redb::StorageBackend;
use std::collections::HashSet;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

/// What a disk writes at once.
const SECTOR: usize = 512;
/// What counts against the space of a disk.
const BLOCK: usize = 4_096;

/// Pseudo-random numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next one.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug)]
struct State {
    /// What readers see.
    current: Vec<u8>,
    /// What is safe.
    durable: Vec<u8>,
    /// Changes since the last sync.
    pending: Vec<Change>,
    /// Operations that change something, so far.
    operations: usize,
    /// The operation during which the power goes.
    dies_at: usize,
    dead: bool,
    random: Random,
    used: HashSet<usize>,
    /// Blocks the disk has.
    space: usize,
    /// The next syncs fail, whether or not data reached the disk.
    failing_syncs: usize,
    failing_reads: usize,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    /// A disk that holds `image`.
    pub fn new(image: Vec<u8>, seed: u64) -> Self {
        let used = (0..image.len().div_ceil(BLOCK)).collect();
        Self(Arc::new(Mutex::new(State {
            current: image.clone(),
            durable: image,
            pending: Vec::new(),
            operations: 0,
            dies_at: usize::MAX,
            dead: false,
            random: Random(seed),
            used,
            space: usize::MAX,
            failing_syncs: 0,
            failing_reads: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Lets the power go during this operation, counted from now.
    pub fn die_in(&self, operations: usize) {
        let mut state = self.state();
        state.dies_at = state.operations + operations;
    }

    /// The power goes now.
    pub fn die(&self) {
        self.state().dead = true;
    }

    /// Whether the power is gone.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Operations that changed something, so far.
    pub fn operations(&self) -> usize {
        self.state().operations
    }

    /// Leaves room for this many further blocks.
    pub fn leave_space(&self, blocks: usize) {
        let mut state = self.state();
        state.space = state.used.len().saturating_add(blocks);
    }

    /// Lets the next syncs fail, whether or not data reaches the disk.
    pub fn fail_syncs(&self, count: usize) {
        self.state().failing_syncs = count;
    }

    /// Lets the next reads fail.
    pub fn fail_reads(&self, count: usize) {
        self.state().failing_reads = count;
    }

    /// What is found after the power came back: all that was synced, and any part of what was not.
    pub fn after_crash(&self) -> Vec<u8> {
        let mut state = self.state();
        let State { durable, pending, random, .. } = &mut *state;
        let mut image = durable.clone();
        // often all or nothing, else each sector by itself
        let keep = random.below(4);
        for change in pending.drain(..) {
            match change {
                Change::Length(length) if keep != 0 && (keep == 1 || random.below(2) == 0) => {
                    image.resize(length, 0)
                }
                Change::Length(_) => {}
                Change::Write(offset, data) => {
                    for (number, sector) in data.chunks(SECTOR).enumerate() {
                        if keep == 1 || keep > 1 && random.below(2) == 0 {
                            place(&mut image, offset + number * SECTOR, sector);
                        }
                    }
                }
            }
        }
        image
    }

    /// What a well-behaved shutdown leaves.
    pub fn image(&self) -> Vec<u8> {
        self.state().current.clone()
    }
}

fn place(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if image.len() < offset + data.len() {
        image.resize(offset + data.len(), 0);
    }
    image[offset..offset + data.len()].copy_from_slice(data);
}

impl State {
    fn alive(&self) -> Result<()> {
        if self.dead { Err(Error::other("the power is gone")) } else { Ok(()) }
    }

    /// Counts an operation; true when the power goes during it.
    fn count(&mut self) -> Result<bool> {
        self.alive()?;
        self.operations += 1;
        self.dead = self.operations > self.dies_at;
        Ok(self.dead)
    }

    fn change(&mut self, change: Change) {
        match &change {
            Change::Write(offset, data) => place(&mut self.current, *offset, data),
            Change::Length(length) => self.current.resize(*length, 0),
        }
        self.pending.push(change);
    }
}

impl StorageBackend for SimulatedDisk {
    fn len(&self) -> Result<u64> {
        let state = self.state();
        state.alive()?;
        Ok(state.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut state = self.state();
        state.alive()?;
        if state.failing_reads > 0 {
            state.failing_reads -= 1;
            return Err(Error::other("unreadable sector"));
        }
        let start = offset as usize;
        let part = state.current.get(start..start + out.len());
        out.copy_from_slice(part.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = self.state();
        if state.count()? {
            return state.alive();
        }
        state.change(Change::Length(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.state();
        if state.count()? {
            return state.alive();
        }
        let fails = state.failing_syncs > 0;
        if fails {
            state.failing_syncs -= 1;
        }
        if !fails || state.random.below(2) == 0 {
            for change in std::mem::take(&mut state.pending) {
                match change {
                    Change::Write(offset, data) => place(&mut state.durable, offset, &data),
                    Change::Length(length) => state.durable.resize(length, 0),
                }
            }
        }
        if fails { Err(Error::other("sync failed")) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.state();
        let dies = state.count()?;
        let offset = offset as usize;
        let mut room = data.len();
        for block in offset / BLOCK..=(offset + data.len().max(1) - 1) / BLOCK {
            if !state.used.contains(&block) {
                if state.used.len() >= state.space {
                    room = (block * BLOCK).saturating_sub(offset);
                    break;
                }
                state.used.insert(block);
            }
        }
        state.change(Change::Write(offset, data[..room].to_vec()));
        if dies {
            return state.alive();
        }
        if room < data.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
