//! Streaming to and from pods: logs, exec, attach, port-forward and proxying.
//!
//! [`Kubelet`] is what a node (simulated, or the host behind a syncer) can do for its pods; [`connect`] answers the
//! connect verbs of the API with it and speaks what clients speak: WebSocket channels, SPDY/3.1 and SPDY inside a
//! WebSocket. Nothing here opens a socket: an [`Upgrade`] brings the client's connection, and every task that serves
//! one belongs to the listener that made the [`Upgrade`]. All channels are bounded; a slow side slows the other.

pub mod connect;
mod container;
mod forward;
mod forward_channels;
mod kubelet;
mod metrics;
pub mod one_way;
mod options;
pub mod proxy;
mod query;
mod session;
pub mod spdy;
mod spdy_exec;
mod upgrade;
mod ws;

pub use connect::Request;
pub use container::choose as choose_container;
pub use kubelet::{Io, Kubelet, NoNodes, PortForward};
pub use metrics::{Metrics, Sample};
pub use options::{ExecOptions, LogOptions, LogStream, PortForwardOptions, Streams};
pub use query::Query;
pub use session::{Process, Session, TerminalSize, exit_status, failure};
pub use upgrade::{Upgrade, Upgrader};
