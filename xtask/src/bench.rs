//! `cargo xtask bench`: builds what is measured with optimisation, and measures.

use crate::process::{cargo, run, target};
use crate::tools;

/// Builds and starts the `bench` program with these arguments.
pub(crate) fn bench(arguments: &[String]) -> Result<(), String> {
    let tools = tools::install()?;
    run(&mut cargo(&["build", "--release", "--package", "joey", "--package", "bench"]))?;
    let folder = target()?.join("release");
    let mut command = std::process::Command::new(folder.join("bench"));
    run(command.args(arguments).env("JOEY", folder.join("joey")).env("KUBECTL", tools.kubectl))
}
