//! `joey completion`.

use crate::Cli;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Args)]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    pub fn print(&self) {
        clap_complete::generate(self.shell, &mut Cli::command(), "joey", &mut std::io::stdout());
    }
}
