//! A tiny shell with a handful of programs, which is all that a simulated container can run.
//!
//! It decides what a container's command does (finishes, with what code, after how long, saying what), and it answers
//! `exec`. Text goes in and out through [`Io`], which also owns time: a dry run skips sleeps, a replayed log skips the
//! past, a session waits. Nesting, output and work without rest are bounded.

mod arithmetic;
mod parse;
mod programs;
mod run;
mod tar;

pub use parse::{Node, parse};
pub use run::{Shell, Stop, Unknown};

use futures::future::BoxFuture;

/// Standard output or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The world of a running command.
pub trait Io: Send {
    /// Takes output; fails when nobody is there any more.
    fn write<'a>(&'a mut self, stream: Stream, text: &'a str) -> BoxFuture<'a, Result<(), Stop>>;

    /// Passes time.
    fn sleep(&mut self, seconds: f64) -> BoxFuture<'_, Result<(), Stop>>;

    /// Standard input, whole; empty where there is none.
    fn read_all(&mut self) -> BoxFuture<'_, Result<String, Stop>> {
        Box::pin(async { Ok(String::new()) })
    }

    /// Takes output that is no text.
    fn write_bytes<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), Stop>> {
        Box::pin(async move { self.write(Stream::Out, &String::from_utf8_lossy(bytes)).await })
    }

    /// Standard input, whole, that may be no text.
    fn read_bytes(&mut self) -> BoxFuture<'_, Result<Vec<u8>, Stop>> {
        Box::pin(async { Ok(self.read_all().await?.into_bytes()) })
    }

    /// The next line of standard input; `None` at its end.
    fn read_line(&mut self) -> BoxFuture<'_, Result<Option<String>, Stop>> {
        Box::pin(async { Ok(None) })
    }

    /// What an interactive shell says before it reads a line.
    fn prompt(&self) -> &'static str {
        ""
    }
}

/// The files of a container that anything is known of, by absolute path.
pub type Files = std::collections::BTreeMap<String, Vec<u8>>;
