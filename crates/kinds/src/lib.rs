//! Kinds are data: what resources an API server serves, and what each kind does differently.
//!
//! [`Resource`] describes one resource in one version, built in or custom; [`builtin`] lists those of Kubernetes 1.36.

mod resource;

pub use resource::{Resource, SchemaRef, Scope, Subresource, Verb};
