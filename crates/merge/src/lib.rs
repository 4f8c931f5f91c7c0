//! Changing an object by a patch, and knowing who owns which of its fields.
//!
//! Three ways to patch a document: [`json_patch()`] (RFC 6902), [`merge_patch()`] (RFC 7386) and
//! [`strategic_merge_patch`], which merges lists by the keys that the schema names. Server-side apply and the
//! `managedFields` that every write keeps are [`FieldManager`]'s.
//!
//! All of it is functions of untyped values and a [`schema::Schema`]: no clock, no IO, and nothing here knows HTTP or
//! stored objects. Errors are Kubernetes' own, word for word where clients read them.

mod convert;
mod error;
pub mod fields;
mod go;
#[cfg(test)]
mod hostile;
pub mod json_patch;
mod managed;
pub mod merge_patch;
mod strategic;
mod typed;

pub use convert::to_typed;
pub use fields::{FieldFilter, FieldPath, FieldSet};
pub use go::plain as go_map;
pub use json_patch::{json_patch, json_type};
pub use managed::{
    FieldManager, ManagerInfo, SeveralVersions, SingleVersion, Versions, default_manager_name,
    ignore_timestamps, reset_filter, scale_to_parent, scale_to_subresource, validate_field_manager,
    validate_managed_fields,
};
pub use merge_patch::merge_patch;
pub use strategic::strategic_merge_patch;
