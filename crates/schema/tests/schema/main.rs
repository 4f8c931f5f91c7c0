//! Against what a real API server wrote (recorded answers and fixtures, kept beside the project), and against laws.

mod golden;
mod laws;
mod roundtrip;
