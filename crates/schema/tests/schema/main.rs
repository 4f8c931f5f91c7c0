//! Against what a real API server wrote (recorded answers and fixtures, kept beside the project), and against laws.

// Tests stop at the first thing that is not as they expect.
#![allow(clippy::unwrap_used)]

mod golden;
mod laws;
mod roundtrip;
