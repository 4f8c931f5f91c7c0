//! Label selectors.

/// A label selector.
#[derive(Clone, Debug)]
pub struct LabelSelector;
