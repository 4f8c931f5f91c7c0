//! Resource quantities.

/// A quantity.
#[derive(Clone, Debug)]
pub struct Quantity;
