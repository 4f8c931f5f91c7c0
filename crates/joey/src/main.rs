//! The `joey` command: virtual Kubernetes clusters.

mod allocator;
mod commands;
mod logging;
mod telling;

use clap::Parser;
use commands::Command;
use std::process::ExitCode;

/// Virtual Kubernetes clusters: each looks like a cluster of its own and lives in one namespace of a shared one.
///
/// Exit codes: 0 done; 1 it failed, and a message says why; 2 the command line is wrong.
#[derive(Parser)]
#[command(name = "joey", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    logging: logging::Options,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.command.runs_clusters() {
        allocator::settle();
    }
    logging::start(&cli.logging);
    telling::of_panics();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return telling::failed(&hub::Error(format!("cannot start: {error}"))),
    };
    match runtime.block_on(cli.command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => telling::failed(&error),
    }
}
