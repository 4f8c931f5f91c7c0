//! The workspace's own chores: `cargo xtask <command>`.

mod facts;
mod facts_kinds;
mod facts_openapi;

use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the tables of built-in types, resources and documents out of Kubernetes' facts.
    Facts {
        /// The folder of facts.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/kubernetes-1.36"))]
        from: PathBuf,
    },
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let result = match Arguments::parse().command {
        Command::Facts { from } => {
            facts::run(&from, &root).and_then(|()| facts_kinds::run(&from, &root).map_err(|e| e.to_string()))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
