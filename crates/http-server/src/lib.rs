//! The only place that knows sockets, TLS and HTTP's wire: listens for one virtual cluster and hands whole requests to a
//! [`Handler`].
//!
//! An idle listener is one task and a socket; nothing is shared between listeners. Everything a client can make grow is
//! bounded by [`Limits`]; what happens at each bound is written beside it.

mod body;
mod connection;
mod cork;
mod gzip;
mod handler;
mod limits;
mod response;
mod server;
mod stall;
mod streamed;
mod tls;
mod turns;

pub use handler::{Handler, Peer};
pub use limits::Limits;
pub use server::{Server, serve};
pub use tls::{Tls, TlsError};
