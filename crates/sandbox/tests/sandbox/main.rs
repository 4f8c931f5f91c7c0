//! A sandbox on an API server in memory.

mod kubectl;
mod pods;
mod world;
