//! The part of SPDY/3.1 that Kubernetes' clients use: they open streams, both sides send data, nobody uses windows.

mod connection;
pub mod frame;
pub mod headers;

pub use connection::{Connection, Stream, StreamSender};
