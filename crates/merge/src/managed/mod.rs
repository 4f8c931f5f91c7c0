//! `metadata.managedFields`: who owns which field, kept as the Kubernetes API server keeps it.
//!
//! [`FieldManager`] knows one endpoint (kind, version, subresource). [`FieldManager::update`] is for create, update and the
//! patches that are not apply; [`FieldManager::apply`] merges an applied configuration. Both are functions of values: the
//! time comes from the caller, objects are in the endpoint's version, and what they return still has to be decoded,
//! defaulted and validated like any other object.

mod cap;
mod conflict;
mod entries;
mod last_applied;
mod manager;
mod name;
mod reset;
mod scale;
mod timestamps;
mod updater;
mod validation;
mod versions;

pub use manager::{FieldManager, ManagerInfo};
pub use name::{default_manager_name, validate_field_manager};
pub use reset::reset_filter;
pub use scale::{scale_to_parent, scale_to_subresource};
pub use timestamps::ignore_timestamps;
pub use validation::validate_managed_fields;
pub use versions::{SeveralVersions, SingleVersion, Versions};

#[cfg(test)]
mod tests;
