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
    // With one thread alone, nobody could be kept from having it all the time.
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return telling::failed(&hub::Error(format!("cannot start: {error}"))),
    };
    match runtime.block_on(cli.command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => telling::failed(&error),
    }
}
