//! Programs by content: a thousand virtual clusters with the same policy hold each of its programs once.
//!
//! The table holds weak references only; entries that nobody holds any more are swept out when it has doubled.

use crate::environment::Environment;
use crate::error::CompileError;
use crate::program::Program;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Sweeping starts at this many entries.
const FIRST_SWEEP: usize = 64;

static TABLE: LazyLock<Mutex<Table>> =
    LazyLock::new(|| Mutex::new(Table { programs: FxHashMap::default(), sweep_at: FIRST_SWEEP }));

struct Table {
    programs: FxHashMap<[u8; 32], Weak<Program>>,
    sweep_at: usize,
}

impl Program {
    /// The program of `text` that somebody holds, or a new one.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn shared(text: &str, environment: &Environment) -> Result<Arc<Self>, CompileError> {
        let mut hash = Sha256::new();
        hash.update(text);
        hash.update([0]);
        hash.update(format!("{environment:?}"));
        let digest: [u8; 32] = hash.finalize().into();
        let lock = || TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().programs.get(&digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let mut program = Self::compile(text, environment)?;
        program.forget_types();
        let program = Arc::new(program);
        let mut table = lock();
        if table.programs.len() >= table.sweep_at {
            table.programs.retain(|_, program| program.strong_count() > 0);
            table.sweep_at = FIRST_SWEEP.max(table.programs.len() * 2);
        }
        table.programs.insert(digest, Arc::downgrade(&program));
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Decl, Type};

    #[test]
    fn equal_programs_are_one() {
        let with = |ty: Type| Environment::new().with("x", Decl::scalar(ty));
        let first = Program::shared("x == x", &with(Type::Int)).unwrap();
        assert!(Arc::ptr_eq(&first, &Program::shared("x == x", &with(Type::Int)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &Program::shared("x == x", &with(Type::String)).unwrap()));
        assert!(Program::shared("x + 1 == 2", &with(Type::String)).is_err());
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let environment = Environment::new();
        for n in 0..10 * FIRST_SWEEP {
            Program::shared(&format!("{n} == 1"), &environment).unwrap();
        }
        let table = TABLE.lock().unwrap();
        assert!(table.programs.len() <= table.sweep_at);
    }
}
