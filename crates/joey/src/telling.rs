//! How joey speaks to people: steps as they are done, and one clear message for what went wrong.

use std::process::ExitCode;
use std::time::Instant;

/// Prints an error and gives the exit code for it.
pub(crate) fn failed(error: &hub::Error) -> ExitCode {
    eprintln!("joey: {error}");
    ExitCode::from(1)
}

/// Says each step when it is done, and how long it took.
pub(crate) struct Steps(Instant);

impl Steps {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    pub fn done(&mut self, what: &str) {
        println!("{:>6} ms  {what}", self.0.elapsed().as_millis());
        self.0 = Instant::now();
    }
}
