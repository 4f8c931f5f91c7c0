//! `joey connect` and `joey disconnect`: contexts in the kubeconfig, and the way back.

use super::host::{Host, HostArgs};
use crate::telling::{self, say};
use clap::Args;
use hub::{Error, kubeconfig};
use object::{GroupVersionResource, Value, meta};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

#[derive(Args)]
pub(crate) struct Connect {
    /// Name of the virtual cluster.
    name: String,
    /// Its host namespace.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Print the kubeconfig instead of changing any.
    #[arg(long, conflicts_with = "command")]
    print: bool,
    /// Run this command with the virtual cluster's kubeconfig, and change none.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    host: HostArgs,
}

impl Connect {
    pub async fn run(self) -> Result<(), Error> {
        let host = self.host.open().await?;
        let cluster = host.cluster(&self.name, self.namespace.as_deref()).await?;
        let own = fetch(&host, &cluster).await?;
        if self.print {
            telling::text(&kubeconfig::to_text(&own)?);
            return Ok(());
        }
        if !self.command.is_empty() {
            return run_with(&own, &self.command).await;
        }
        let context = own["current-context"].as_str().unwrap_or("").to_owned();
        let mut config = kubeconfig::read(&host.file)?;
        if kubeconfig::is_foreign(&config, &context) {
            return Err(Error(format!(
                "{} has a context, cluster or user {context} that is not joey's: rename it, or give another file with --kubeconfig",
                host.file.display()
            )));
        }
        kubeconfig::merge(&mut config, &own);
        kubeconfig::set_host(&mut config, &context, &host.context);
        config["current-context"] = context.clone().into();
        kubeconfig::write(&host.file, &config)?;
        say!(
            "switched to context {context} in {}; `joey disconnect` goes back to {}",
            host.file.display(),
            host.context
        );
        Ok(())
    }
}

async fn fetch(host: &Host, cluster: &Value) -> Result<Value, Error> {
    let name = cluster["status"]["kubeconfigSecret"].as_str().unwrap_or("");
    if name.is_empty() {
        let phase = cluster["status"]["phase"].as_str().unwrap_or("Pending");
        return Err(Error(format!("virtual cluster {} is not ready ({phase})", meta::name(cluster))));
    }
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let secret =
        host.client.get(&secrets, meta::namespace(cluster), name).await.map_err(|e| host.explain(&e))?;
    kubeconfig::from_secret(&secret)
}

/// Runs a command with a kubeconfig of its own, and ends as it ends.
async fn run_with(config: &Value, command: &[String]) -> Result<(), Error> {
    // A folder that only this user may enter: nobody else can put something in the file's place.
    let folder = tempfile::Builder::new().prefix("joey-").tempdir();
    let folder = folder.map_err(|e| Error::file("make a folder in", &std::env::temp_dir(), &e))?;
    let file = folder.path().join("kubeconfig");
    kubeconfig::write(&file, config)?;
    let status = spawn(&file, command).await;
    drop(folder);
    match exit_code(status?) {
        0 => Ok(()),
        code => std::process::exit(code),
    }
}

async fn spawn(file: &Path, command: &[String]) -> Result<ExitStatus, Error> {
    let mut child = tokio::process::Command::new(&command[0]);
    child.args(&command[1..]).env("KUBECONFIG", file).stdin(Stdio::inherit());
    let mut child = child.spawn().map_err(|e| Error(format!("cannot run {}: {e}", command[0])))?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(|e| Error(format!("cannot wait for {}: {e}", command[0]))),
            // The terminal asks the command as well; how it ends is its affair.
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// As shells tell it: 128 and the signal, for a command that a signal ended.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[derive(Args)]
pub(crate) struct Disconnect {
    #[command(flatten)]
    host: HostArgs,
}

impl Disconnect {
    pub fn run(self) -> Result<(), Error> {
        let file = self.host.file()?;
        let mut config = kubeconfig::read(&file)?;
        let current = config["current-context"].as_str().unwrap_or("").to_owned();
        let Some(host) = kubeconfig::host_of(&config, &current).filter(|h| *h != current).map(str::to_owned)
        else {
            return Err(Error(format!(
                "the current context ({current}) is not a virtual cluster that joey connected to"
            )));
        };
        config["current-context"] = host.clone().into();
        kubeconfig::write(&file, &config)?;
        say!("switched to context {host}");
        Ok(())
    }
}
