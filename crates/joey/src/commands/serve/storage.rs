//! Where `joey serve` keeps its data: the flags, named as kube-apiserver names them.

use clap::{Args, ValueEnum};
use hub::{Error, Storage};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A stand-alone server has the machine to itself.
const CACHE_BYTES: usize = 32 << 20;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A file in the data folder, for one joey.
    Embedded,
    /// An etcd (3.5 or later), which several joeys may serve at a time.
    Etcd,
}

#[derive(Args)]
#[command(next_help_heading = "Storage")]
pub(super) struct Flags {
    /// Where data is kept.
    #[arg(long, value_enum, default_value = "embedded")]
    store: Kind,
    /// Members of the etcd, such as https://10.0.0.5:2379.
    #[arg(
        long,
        value_name = "URL",
        alias = "etcd-servers",
        value_delimiter = ',',
        required_if_eq("store", "etcd")
    )]
    etcd_endpoints: Vec<String>,
    /// Certificates (PEM) that sign the members'.
    #[arg(long, value_name = "FILE")]
    etcd_cafile: Option<PathBuf>,
    /// Client certificate (PEM) for etcd.
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile")]
    etcd_certfile: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    etcd_keyfile: Option<PathBuf>,
    /// All keys in etcd are kept under this; each cluster needs one of its own.
    #[arg(long, value_name = "PREFIX", default_value = "/joey")]
    etcd_prefix: String,
    /// How long old revisions are kept in etcd; 0s leaves compaction to others.
    #[arg(long, value_name = "DURATION", default_value = "5m0s", value_parser = duration)]
    etcd_compaction_interval: Duration,
    /// Folder with ca.crt, ca.key and service-account.key, the same for all joeys of an etcd; without it these keys are kept in etcd.
    #[arg(long, value_name = "DIR")]
    shared_keys: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let nanoseconds = object::time::duration::parse(text)?;
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| "a duration must not be negative".into())
}

impl Flags {
    /// What the flags ask for.
    pub(super) fn storage(&self) -> Result<Storage, Error> {
        if self.store == Kind::Embedded {
            let stray =
                !self.etcd_endpoints.is_empty() || self.etcd_cafile.is_some() || self.shared_keys.is_some();
            return match stray {
                true => Err(Error("flags for etcd are given, but not --store etcd".into())),
                false => Ok(Storage::Embedded { cache_bytes: Some(CACHE_BYTES), most_bytes: None }),
            };
        }
        let file = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        let mut options = hub::EtcdOptions::new(&self.etcd_endpoints, &self.etcd_prefix);
        options.ca = file(&self.etcd_cafile)?;
        options.identity = file(&self.etcd_certfile)?.zip(file(&self.etcd_keyfile)?);
        options.history = (!self.etcd_compaction_interval.is_zero()).then_some(self.etcd_compaction_interval);
        if options.ca.is_none() && self.etcd_endpoints.iter().any(|url| url.starts_with("https:")) {
            return Err(Error("--etcd-cafile is needed for https: no other authority is trusted".into()));
        }
        Ok(Storage::Etcd { options: Box::new(options), keys: self.shared_keys.clone() })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::file("read", path, &e))
}
