//! Every bound of a listener.

use std::time::Duration;

/// Bounds of one listener, and what happens beyond.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one request body; a longer one is answered 413.
    pub body: usize,
    /// Bytes of all bodies being read at once; a request beyond is answered 429.
    pub bodies: usize,
    /// Bytes of all complete answers that were not sent yet, but for small ones; an answer beyond is a 429 instead.
    pub answers: usize,
    /// Open connections; more wait in the kernel's backlog.
    pub connections: usize,
    /// Requests at once on one HTTP/2 connection; the protocol makes the client wait.
    pub streams: u32,
    /// Threads that connections may keep busy at once; more is done later. `None`: all there are.
    pub threads: Option<usize>,
    /// For the TLS handshake; a slower client is hung up on.
    pub handshake: Duration,
    /// From the first wish for a request to its whole header, also idling between requests of HTTP/1.1; a slower client
    /// is hung up on.
    pub header: Duration,
    /// For a request's body, and less while others need the room; a slower client is answered 408.
    pub body_read: Duration,
    /// For the client to take at least some bytes of an answer; a slower client is hung up on.
    pub stall: Duration,
    /// For requests under way when the listener shuts down; then they are dropped.
    pub drain: Duration,
    /// Complete answers of at least this many bytes are compressed for clients that accept it.
    pub gzip: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 3 << 20,
            bodies: 96 << 20,
            answers: 256 << 20,
            connections: 4096,
            streams: 250,
            threads: None,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(90),
            body_read: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            drain: Duration::from_secs(5),
            gzip: 128 << 10,
        }
    }
}
