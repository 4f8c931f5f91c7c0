//! How joey's own parts (controllers, syncer, sandbox, command line) speak to a Kubernetes API.
//!
//! A [`Transport`] carries one HTTP request; it is either the in-process pipeline of a joey API server or a connection
//! to any Kubernetes. Everything above it is the same for both: [`Client`] has the verbs, [`Cache`] keeps copies of
//! what is listed and watched, [`discovery`] tells what there is.

pub mod backoff;
pub mod cache;
mod client;
pub mod discovery;
mod options;
mod path;
mod transport;
mod watch;

pub use cache::{Cache, Change, Entry, Keep, Owner, Reflectors, Scope, Store};
pub use client::{Client, Encoded, List};
pub use options::{DeleteOptions, ListOptions, Patch, Propagation, WatchOptions};
pub use transport::{Body, BodyStream, Transport, TransportError};
pub use watch::{Frame, FrameType, WatchStream};
