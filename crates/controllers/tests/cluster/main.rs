//! All controllers against joey's own API server, in process, with pods run by a kubelet of a few lines.

// The harness is outside of any test function, where unwrapping would be allowed.
#![allow(clippy::unwrap_used)]

mod batch;
mod chaos;
mod election;
mod garbage;
mod harness;
mod namespaces;
mod policy;
mod scale;
mod sets;
mod workloads;
