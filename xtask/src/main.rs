//! The workspace's own chores: `cargo xtask <command>`.

mod facts_kinds;

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let facts = root.join("../shared/kubernetes-1.36");
    let result = match std::env::args().nth(1).as_deref() {
        Some("facts-kinds") => facts_kinds::run(&facts, &root),
        _ => {
            eprintln!("usage: cargo xtask facts-kinds");
            return ExitCode::FAILURE;
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
