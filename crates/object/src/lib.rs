//! The vocabulary of joey: what a Kubernetes object, name, selector, quantity and error is.
//!
//! Everything is a function of values: no IO, no clock (callers pass the time), no HTTP. Objects are untyped
//! [`Value`]s; their shape is known to the `schema` crate, not here.

pub mod error;
pub mod field_selector;
pub mod group;
pub mod label_selector;
pub mod meta;
pub mod names;
pub mod path;
pub mod quantity;
pub mod status;
pub mod time;

pub use error::{ApiError, Cause, FieldError, FieldErrorKind};
pub use field_selector::FieldSelector;
pub use group::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
pub use label_selector::LabelSelector;
pub use path::Path;
pub use quantity::Quantity;
pub use serde_json::{Map, Value, json};

/// The result of anything an API request can fail in.
pub type Result<T> = std::result::Result<T, ApiError>;
