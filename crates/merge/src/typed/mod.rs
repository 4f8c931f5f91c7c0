//! Values with their types: the operations server-side apply is made of.
//!
//! A [`Type`] sees a [`Schema`] as structured-merge-diff does: scalars, lists that are atomic or associative, maps that are
//! atomic or granular. Values without a schema get a deduced type: maps granular, lists atomic. `None` stands for absence,
//! which differs from an explicit `null`.

mod compare;
mod items;
mod key;
mod merge;
mod named;
mod reconcile;
mod remove;
mod to_set;
mod types;
mod validate;

pub(crate) use compare::{Comparison, compare};
pub(crate) use merge::merge;
pub(crate) use named::with_named_fields;
pub(crate) use reconcile::reconcile;
pub(crate) use remove::remove;
pub(crate) use to_set::to_set;
pub(crate) use types::{Type, is_builtin};
pub(crate) use validate::{TypeErrors, validate};
