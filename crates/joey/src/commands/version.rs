//! `joey version`.

use crate::telling::{self, say};
use clap::{Args, ValueEnum};
use hub::Error;
use object::json;

/// The Kubernetes that virtual clusters say they are.
const KUBERNETES: &str = "v1.36.2";

#[derive(Args)]
pub(crate) struct Version {
    /// Output format.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

impl Version {
    pub fn print(&self) -> Result<(), Error> {
        let joey = env!("CARGO_PKG_VERSION");
        let object = json!({"joeyVersion": joey, "kubernetesVersion": KUBERNETES});
        match self.output {
            None => say!("joey {joey} (Kubernetes {KUBERNETES})"),
            Some(Format::Json) => say!("{object:#}"),
            Some(Format::Yaml) => {
                telling::text(&serde_saphyr::to_string(&object).map_err(|e| Error(e.to_string()))?);
            }
        }
        Ok(())
    }
}
