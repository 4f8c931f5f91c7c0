//! How joey speaks to people: one clear message for what went wrong.

use std::process::ExitCode;

/// Prints an error and gives the exit code for it.
pub(crate) fn failed(error: &hub::Error) -> ExitCode {
    eprintln!("joey: {error}");
    ExitCode::from(1)
}
