//! Logs: what happened, with names, never with secrets; as text or JSON, to standard error.

use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

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
    let usual = match options.verbose {
        0 => "warn,kube_client=off",
        1 => "info,api=debug,kube_client=off",
        _ => "debug",
    };
    let wanted = std::env::var("JOEY_LOG").ok().and_then(|targets| targets.parse().ok());
    let targets: Targets = wanted.unwrap_or_else(|| usual.parse().expect("these are targets and levels"));
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
    let all = tracing_subscriber::registry().with(targets);
    match options.log_format {
        Format::Text => all.with(lines).init(),
        Format::Json => all.with(lines.json()).init(),
    }
}
