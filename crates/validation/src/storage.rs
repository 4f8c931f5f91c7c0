//! Volumes, claims, classes, drivers and attachments.

pub mod claims;
pub mod classes;
pub mod csi;
pub mod volumes;
