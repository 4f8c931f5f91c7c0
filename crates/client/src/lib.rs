//! How joey's own parts (controllers, syncer, sandbox, command line) speak to a Kubernetes API.
//!
//! A [`Transport`] carries one HTTP request; it is either the in-process pipeline of a joey API server or a connection
//! to any Kubernetes. Everything above it (verbs, errors, informers) is the same for both.

mod transport;

pub use transport::{Body, BodyStream, Transport, TransportError};
