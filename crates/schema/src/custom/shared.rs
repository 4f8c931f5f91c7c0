//! Compiled schemas by content: thousands of virtual clusters with the same definition hold one compiled schema.
//!
//! The table holds weak references only; an entry that nobody holds any more is swept out when the table has doubled.

use super::Compiled;
use crate::{NodeId, Types};
use object::Value;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Sweeping starts at this many entries.
const FIRST_SWEEP: usize = 64;

static TABLE: LazyLock<Mutex<Table>> =
    LazyLock::new(|| Mutex::new(Table { entries: FxHashMap::default(), sweep_at: FIRST_SWEEP }));

struct Table {
    entries: FxHashMap<[u8; 32], (Weak<Types>, NodeId)>,
    sweep_at: usize,
}

/// The compiled form of `schema` that somebody holds, or a new one.
pub(super) fn get_or_compile(schema: &Value, compile: impl FnOnce() -> Compiled) -> Compiled {
    let digest: [u8; 32] = Sha256::digest(schema.to_string()).into();
    let known = || {
        let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        let (types, root) = table.entries.get(&digest)?;
        Some(Compiled { types: types.upgrade()?, root: *root })
    };
    if let Some(compiled) = known() {
        return compiled;
    }
    let compiled = compile();
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if table.entries.len() >= table.sweep_at {
        table.entries.retain(|_, (types, _)| types.strong_count() > 0);
        table.sweep_at = FIRST_SWEEP.max(table.entries.len() * 2);
    }
    table.entries.insert(digest, (Arc::downgrade(&compiled.types), compiled.root));
    compiled
}
