//! What several controllers share.

pub(crate) mod conditions;
pub(crate) mod hash;
pub(crate) mod owners;
pub(crate) mod pods;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod words;
