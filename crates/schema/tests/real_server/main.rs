//! Against what a real API server wrote: recorded answers and fixtures, kept beside the project.

mod golden;
mod roundtrip;
