//! Field selectors.

/// A field selector.
#[derive(Clone, Debug)]
pub struct FieldSelector;
