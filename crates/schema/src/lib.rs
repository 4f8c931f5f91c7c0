//! What an object may look like: one tree of [`Schema`] nodes for built-in kinds and custom ones alike.
//!
//! Built-in types come from the fact tables in `facts/` ([`builtin`]); custom ones are compiled from the structural
//! schema of a CustomResourceDefinition. Everything that walks an object by its shape (decoding, pruning, defaulting,
//! patching, server-side apply, protobuf, printing of OpenAPI) walks this tree and never asks which of the two it is.

mod types;

pub use types::{Field, ListType, Node, NodeId, PatchStrategy, Scalar, Schema, Shape, Types};

use std::sync::LazyLock;

static BUILTIN: LazyLock<Types> = LazyLock::new(Types::default);

/// The types of Kubernetes 1.36, by their OpenAPI names (`io.k8s.api.core.v1.Pod`).
pub fn builtin() -> &'static Types {
    &BUILTIN
}
