//! The subcommands, one file each.

mod backup;
mod completion;
mod connect;
mod create;
mod delete;
mod describe;
mod host;
mod list;
mod operator;
mod output;
mod pause;
mod serve;
mod up;
mod version;
mod wait;

use clap::Subcommand;
use hub::Error;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a sandbox host and a virtual cluster in it, in this process.
    Up(up::Up),
    /// Make a virtual cluster on the host of the current context.
    Create(create::Create),
    /// List virtual clusters.
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show one virtual cluster in detail.
    Describe(describe::Describe),
    /// Add a virtual cluster's context to the kubeconfig and switch to it, or run a command with it.
    Connect(connect::Connect),
    /// Switch back to the host's context.
    Disconnect(connect::Disconnect),
    /// Let a virtual cluster sleep: its pods go, its data stays.
    Pause(pause::Pause),
    /// Wake a virtual cluster that sleeps.
    Resume(pause::Resume),
    /// Remove a virtual cluster and everything it made on the host.
    Delete(delete::Delete),
    /// Follow the VirtualClusters of a host and run them, from outside of it.
    Operator(operator::Operate),
    /// Serve one control plane with no host: an API server and controllers, no nodes.
    Serve(Box<serve::Serve>),
    /// Write all data of a data folder to a file, also while a joey runs on it.
    Backup(backup::Backup),
    /// Make a data folder of a backup.
    Restore(backup::Restore),
    /// Print the version.
    Version(version::Version),
    /// Print a completion script for a shell.
    Completion(completion::Completion),
}

impl Command {
    /// Whether it is to run for long, with virtual clusters in this process.
    pub fn runs_clusters(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Operator(_))
    }

    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Up(up) => up.run().await,
            Self::Create(create) => create.run().await,
            Self::List(list) => list.run().await,
            Self::Describe(describe) => describe.run().await,
            Self::Connect(connect) => connect.run().await,
            Self::Disconnect(disconnect) => disconnect.run(),
            Self::Pause(pause) => pause.run().await,
            Self::Resume(resume) => resume.run().await,
            Self::Delete(delete) => delete.run().await,
            Self::Operator(operate) => operate.run().await,
            Self::Serve(serve) => serve.run().await,
            Self::Backup(backup) => backup.run().await,
            Self::Restore(restore) => restore.run().await,
            Self::Version(version) => version.print(),
            Self::Completion(completion) => {
                completion.print();
                Ok(())
            }
        }
    }
}

/// Waits for Ctrl-C or a request to terminate. Whoever asks again while things are being stopped gets an end at once.
pub(crate) async fn interrupted() {
    asked_to_stop().await;
    tokio::spawn(async {
        asked_to_stop().await;
        std::process::exit(INTERRUPTED);
    });
}

/// What shells report of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

async fn asked_to_stop() {
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

/// Does `work` unless it is interrupted: then what runs already is stopped as after any failure.
pub(crate) async fn unless_interrupted<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        outcome = work => outcome,
        () = interrupted() => Err(Error("stopped before it was ready; the next start goes on from here".into())),
    }
}
