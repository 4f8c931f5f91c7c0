//! How joey speaks to people: steps as they are done, and one clear message for what went wrong.

use std::fmt::Arguments;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Says a line to whoever still listens: a closed output is no reason to fail.
pub(crate) fn line(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Says text as it is, without a line end of its own.
pub(crate) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// As `println!`, but never fails.
macro_rules! say {
    ($($text:tt)*) => { $crate::telling::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Prints an error and gives the exit code for it.
pub(crate) fn failed(error: &hub::Error) -> ExitCode {
    eprintln!("joey: {error}");
    ExitCode::from(1)
}

/// A fault of joey's own is logged with its place, instead of a dump on the terminal; what it was part of fails, the rest
/// goes on.
pub(crate) fn of_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
        tracing::error!(place, "a fault in joey, please report it: {text}");
    }));
}

/// Says each step when it is done, and how long it took.
pub(crate) struct Steps(Instant);

impl Steps {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    pub fn done(&mut self, what: &str) {
        say!("{:>6} ms  {what}", self.0.elapsed().as_millis());
        self.0 = Instant::now();
    }
}
