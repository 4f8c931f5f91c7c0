//! Who is told what everybody does: flags of `joey serve`, named as kube-apiserver's.

use super::files::read;
use audit::{Audit, LogFile, Policy, Rotation, Sink};
use clap::Args;
use hub::{AuditWebhook, Error};
use std::path::PathBuf;
use std::sync::Arc;

/// A log file's size when nothing else is said, as with kube-apiserver.
const MEGABYTES: u64 = 100;

#[derive(Args)]
#[command(next_help_heading = "Audit, as for kube-apiserver")]
pub(crate) struct Auditing {
    /// Policy of audit.k8s.io/v1: how much of which request is kept.
    #[arg(long, value_name = "FILE")]
    audit_policy_file: Option<PathBuf>,
    /// Write audit events there, a line of JSON each; - for the standard output.
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    audit_log_path: Option<PathBuf>,
    /// Put the file aside when it has so many megabytes; 0 for 100.
    #[arg(long, value_name = "MB", default_value_t = 0)]
    audit_log_maxsize: u64,
    /// Keep so many files that were put aside; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    audit_log_maxbackup: usize,
    /// Keep them for so many days; 0 for ever.
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    audit_log_maxage: u32,
    /// kubeconfig of a server that audit events are posted to.
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    audit_webhook_config_file: Option<PathBuf>,
}

impl Auditing {
    /// Opens what events are written to.
    pub fn audit(&self) -> Result<Option<Arc<Audit>>, Error> {
        let Some(path) = &self.audit_policy_file else { return Ok(None) };
        let policy = Policy::parse(&read(path)?).map_err(|e| Error(format!("{}: {e}", path.display())))?;
        let mut sinks: Vec<Arc<dyn Sink>> = vec![];
        if let Some(path) = &self.audit_log_path {
            let megabytes = if self.audit_log_maxsize == 0 { MEGABYTES } else { self.audit_log_maxsize };
            let rotation = Rotation {
                max_bytes: megabytes.saturating_mul(1 << 20),
                max_backups: self.audit_log_maxbackup,
                max_days: self.audit_log_maxage,
            };
            let log = LogFile::open(path, rotation);
            sinks.push(Arc::new(log.map_err(|e| Error(format!("cannot write {}: {e}", path.display())))?));
        }
        if let Some(path) = &self.audit_webhook_config_file {
            sinks.push(AuditWebhook::start(path)?);
        }
        if sinks.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Audit { policy: Arc::new(policy), sinks })))
    }
}
