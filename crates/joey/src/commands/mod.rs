//! The subcommands, one file each.

mod serve;
mod up;
mod wait;

use clap::Subcommand;
use hub::Error;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a sandbox host and a virtual cluster in it, in this process.
    Up(up::Up),
    /// Serve one control plane with no host: an API server and controllers, no nodes.
    Serve(serve::Serve),
}

impl Command {
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Up(up) => up.run().await,
            Self::Serve(serve) => serve.run().await,
        }
    }
}

/// Waits for Ctrl-C or a request to terminate.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
