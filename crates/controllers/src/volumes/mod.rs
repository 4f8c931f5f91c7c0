//! Volumes and claims: who belongs to whom, and who may not go yet.

pub(crate) mod binder;
pub(crate) mod ephemeral;
pub(crate) mod expansion;
pub(crate) mod protection;
