//! Sets of field paths: what a field manager owns, and the FieldsV1 JSON that says so.
//!
//! The model and its spelling are those of structured-merge-diff: a parent's ownership does not imply that of its
//! children, nor the other way round.

mod element;
mod fields_v1;
mod filter;
#[cfg(test)]
mod laws;
mod set;
pub(crate) mod value_order;

pub use element::PathElement;
pub use fields_v1::FieldsV1Error;
pub use filter::{FieldFilter, PathPattern};
pub use set::FieldSet;

use std::fmt;

/// A path from an object's root to one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<PathElement>);

impl FieldPath {
    /// A path of field names only, such as `["metadata", "labels"]`.
    pub fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| PathElement::field(name)).collect())
    }
}

/// As messages spell it: `.spec.ports[port=80].name`.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| write!(f, "{element}"))
    }
}
