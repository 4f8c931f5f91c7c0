//! The workspace's own chores: `cargo xtask <command>`.

mod bench;
mod etcd;
mod facts;
mod facts_kinds;
mod facts_openapi;
mod fuzz;
mod golden;
mod layers;
mod process;
mod tally;
mod test;
mod tidy;
mod tools;

use clap::{Parser, Subcommand};
use process::{cargo, root, run};
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that has to hold before a change lands: fmt, clippy, tidy, fuzz, test.
    Ci,
    /// Run unit, integration and end-to-end tests and the golden transcripts; print one summary.
    Test,
    /// Run the end-to-end tests alone.
    E2e {
        /// Names of tests, as `cargo test` takes them.
        filter: Vec<String>,
    },
    /// Replay recorded conversations of a real API server and compare.
    Golden {
        /// Write the list of steps known to fail anew.
        #[arg(long)]
        update: bool,
        /// Also tell how many steps pass when messages and managedFields are compared.
        #[arg(long)]
        exact: bool,
        /// The store to replay against: embedded or etcd.
        #[arg(long, value_parser = ["embedded", "etcd"], default_value = "embedded")]
        store: String,
    },
    /// Measure a release build: `bench first-light`.
    Bench {
        /// What to measure.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Give every parser hostile input for a while.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Parts of the names of targets.
        targets: Vec<String>,
    },
    /// Check layers, file sizes, leftovers and dependencies.
    Tidy,
    /// Install kubectl, helm and etcd into .tools/bin.
    Tools,
    /// Write the tables of built-in types, resources and documents out of Kubernetes' facts.
    Facts {
        /// The folder of facts.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/kubernetes-1.36"))]
        from: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Ci => ci(),
        Command::Test => test::all(),
        Command::E2e { filter } => test::e2e(&filter),
        Command::Golden { update, exact, store } => golden(update, exact, &store),
        Command::Bench { arguments } => bench::bench(&arguments),
        Command::Fuzz { seconds, targets } => fuzz::fuzz(seconds, &targets),
        Command::Tidy => tidy::run(),
        Command::Tools => tools::install().map(drop),
        Command::Facts { from } => facts::run(&from, &root())
            .and_then(|()| facts_kinds::run(&from, &root()).map_err(|e| e.to_string())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Tests have told already, in their last line.
            if !error.is_empty() {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Seconds that each fuzz target runs for before a change lands.
const FUZZED: u64 = 60;

/// The cheap checks first; each failure is told, and the tests run all the same, so that one run tells everything.
fn ci() -> Result<(), String> {
    let mut failures = vec![];
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets"]);
    clippy.args(["--features", "store/etcd", "--", "--deny", "warnings"]);
    for mut command in [cargo(&["fmt", "--all", "--check"]), clippy] {
        failures.extend(run(&mut command).err());
    }
    failures.extend(tidy::run().err());
    failures.extend(fuzz::fuzz(FUZZED, &[]).err());
    for failure in &failures {
        eprintln!("error: {failure}");
    }
    test::all()?;
    match failures.len() {
        0 => Ok(()),
        _ => Err(format!("the tests passed, but:\n{}", failures.join("\n"))),
    }
}

fn golden(update: bool, exact: bool, store: &str) -> Result<(), String> {
    let joey = test::build()?;
    let etcd = if store == "etcd" { Some(tools::install()?.etcd) } else { None };
    let subject = golden::Subject { joey: &joey, etcd: etcd.as_deref() };
    if update {
        golden::update(&subject)?;
    }
    if exact {
        golden::exact(&subject)?;
    }
    match golden::check(&subject)?.failed {
        0 => Ok(()),
        new => Err(format!("{new} steps fail that are not on the list")),
    }
}
