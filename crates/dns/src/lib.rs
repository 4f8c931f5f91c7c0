//! The DNS server of one virtual cluster: names of its services, endpoints and pods, as Kubernetes' DNS specification (1.1.0)
//! has them; everything else is asked of the host's servers.
//!
//! What always holds:
//! - nothing is kept: a question is answered from the virtual cluster's API at that moment, so an idle server is two parked
//!   tasks and two sockets, and an answer is never older than the store;
//! - names under the cluster's domain are never forwarded, nor are reverse names of private addresses: the host's own names
//!   and those of other tenants stay there;
//! - questions in flight, connections and their waiting time are bounded ([`server`]).
//!
//! It knows no sockets of the API server and no host; `hub` gives it both.

mod forward;
mod message;
mod name;
mod records;
mod resolver;
mod server;
#[cfg(test)]
mod tests;

pub use forward::Forwarder;
pub use resolver::Resolver;
pub use server::{Listener, serve};
