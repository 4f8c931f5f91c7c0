//! Dynamic resource allocation: classes, claims and slices of devices.

pub mod claims;
pub mod slices;
