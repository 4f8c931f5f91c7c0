//! `joey pause` and `joey resume`: a virtual cluster sleeps, and wakes.

use super::host::HostArgs;
use crate::telling::say;
use clap::Args;
use client::Patch;
use deploy::gvr;
use hub::Error;
use object::{json, meta};
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Pause {
    /// Name of the virtual cluster.
    name: String,
    /// Its host namespace.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    of: Pause,
    /// Wait until its API answers.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

impl Pause {
    pub async fn run(self) -> Result<(), Error> {
        let name = self.name.clone();
        self.set(true, None).await?;
        say!("virtual cluster {name} is put to sleep; joey resume {name} wakes it");
        Ok(())
    }

    async fn set(self, paused: bool, wait: Option<Duration>) -> Result<(), Error> {
        let host = self.host.open().await?;
        let cluster = host.cluster(&self.name, self.namespace.as_deref()).await?;
        let namespace = meta::namespace(&cluster);
        let patch = Patch::Merge(json!({"spec": {"paused": paused}}));
        let patched = host.client.patch(&gvr(), namespace, &self.name, "", &patch).await;
        patched.map_err(|e| host.explain(&e))?;
        if let Some(within) = wait {
            super::wait::ready(&host.client, namespace, &self.name, within, &mut |_| {}).await?;
        }
        Ok(())
    }
}

impl Resume {
    pub async fn run(self) -> Result<(), Error> {
        let name = self.of.name.clone();
        let wait = self.wait.then(|| Duration::from_secs(self.timeout));
        self.of.set(false, wait).await?;
        say!("virtual cluster {name} is woken");
        Ok(())
    }
}
