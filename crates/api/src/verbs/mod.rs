//! The verbs, one file each. Every kind walks through these; what a kind does differently is asked of its strategy.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod large;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod update;
pub(crate) mod watch;
