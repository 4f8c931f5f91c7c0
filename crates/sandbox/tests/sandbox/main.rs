//! A sandbox on an API server in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod kubectl;
mod pods;
mod scale;
mod world;
