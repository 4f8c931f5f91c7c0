//! Kinds are data: what resources an API server serves, and what each kind does differently.
//!
//! [`Resource`] describes one resource in one version, built in or custom; [`builtin`] lists those of Kubernetes 1.36;
//! [`Registry`] is what one server serves.

mod builtin;
pub mod convert;
pub mod custom;
pub mod defaulting;
mod disabled;
pub mod jsonpath;
pub mod printing;
mod registry;
mod resource;
pub mod scale;
pub mod selectors;
pub mod version;

pub use builtin::{BuiltinVersion, builtin, builtin_versions, storage_version_hash, type_name};
pub use disabled::drop_disabled;
pub use registry::{CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY, Group, Registry, Version, priorities};
pub use resource::{Resource, SchemaRef, Scope, Subresource, Verb};
