//! `joey backup` and `joey restore`: a data folder, or one virtual cluster in it, to a file and back.

use crate::telling::say;
use clap::Args;
use hub::Error;
use hub::backup::{self, Summary};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Backup {
    /// The file to write; it must not exist.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data folder of joey up, serve or operator. A joey that runs on it goes on running.
    #[arg(long, value_name = "DIR", env = "JOEY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Only this virtual cluster.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    cluster: Option<String>,
}

impl Backup {
    pub async fn run(self) -> Result<(), Error> {
        let part = self.cluster.as_deref().map(backup::part_of).transpose()?;
        let folder = folder(self.data_dir)?;
        let summary = backup::backup(&folder, part.as_deref(), &self.file).await?;
        say!("backed up {} to {}", told(summary), self.file.display());
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct Restore {
    /// A file that joey backup wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data folder to make; of a backup of one virtual cluster, the folder to add it to.
    #[arg(long, value_name = "DIR", env = "JOEY_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl Restore {
    pub async fn run(self) -> Result<(), Error> {
        let folder = folder(self.data_dir)?;
        let (file, to) = (self.file.clone(), folder.clone());
        let restoring = tokio::task::spawn_blocking(move || backup::restore(&file, &to));
        let summary = restoring.await.map_err(|e| Error(e.to_string()))??;
        say!("restored {} to {}", told(summary), folder.display());
        Ok(())
    }
}

fn folder(given: Option<PathBuf>) -> Result<PathBuf, Error> {
    given.map_or_else(super::up::default_folder, Ok)
}

fn told(summary: Summary) -> String {
    let stores = summary.stores;
    let planes = if stores == 1 { "control plane" } else { "control planes" };
    format!("{stores} {planes} ({:.1} MB)", summary.bytes as f64 / 1e6)
}
