//! `joey completion`.

use crate::{Cli, telling};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Args)]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    pub fn print(&self) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "joey", &mut script);
        telling::text(&String::from_utf8_lossy(&script));
    }
}
