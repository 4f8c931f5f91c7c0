//! Carries a virtual cluster's pods, services, claims and what they refer to over to its host, and brings back what became of
//! them. Deciding what a host object looks like is the `translate` crate's; here is when.
//!
//! One [`Host`] is shared by all virtual clusters of a process: one client, and one watch per kind where the host allows it. Each virtual cluster has a
//! [`Syncer`] with a queue of its own, so that a busy tenant does not hold up another. An idle one runs nothing but a timer for
//! the next token to renew.

mod addresses;
mod carried;
mod claims;
mod config;
mod endpoints;
mod events;
mod host;
mod ingresses;
mod kubelet;
mod measured;
mod network_policies;
mod nodes;
mod objects;
mod pods;
mod queue;
pub mod resources;
mod rights;
mod services;
mod syncer;
mod tokens;
mod turns;

pub use addresses::Addresses;
pub use host::Host;
pub use kubelet::HostKubelet;
pub use rights::Rights;
pub use syncer::{Observe, Options, Syncer};
