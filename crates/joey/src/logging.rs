//! Logs: what happened, with names, never with secrets; as text or JSON, to standard error.

use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How much is logged, and how.
#[derive(Args)]
pub(crate) struct Options {
    /// Log more: -v for each request, -vv for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Format of the log.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Starts logging for the whole process.
pub(crate) fn start(options: &Options) {
    let level = match options.verbose {
        0 => "warn,kube_client=off",
        1 => "info,api=debug,kube_client=off",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("JOEY_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let colours = std::io::stderr().is_terminal();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match options.log_format {
        Format::Text => subscriber.init(),
        Format::Json => subscriber.json().init(),
    }
}
