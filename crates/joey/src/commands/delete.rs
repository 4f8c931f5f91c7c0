//! `joey delete`.

use super::create::MADE_FOR;
use super::host::{Host, HostArgs};
use crate::telling::say;
use clap::Args;
use client::{DeleteOptions, FrameType, ListOptions, WatchOptions};
use deploy::gvr;
use hub::{Error, kubeconfig};
use object::{GroupVersionResource, Value, meta};
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Delete {
    /// Name of the virtual cluster.
    name: String,
    /// Its host namespace.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Wait until nothing of it is left.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    #[command(flatten)]
    host: HostArgs,
}

impl Delete {
    pub async fn run(self) -> Result<(), Error> {
        let host = self.host.open().await?;
        let cluster = host.cluster(&self.name, self.namespace.as_deref()).await?;
        let namespace = meta::namespace(&cluster).to_owned();
        let options = DeleteOptions::uid(meta::uid(&cluster));
        host.client.delete(&gvr(), &namespace, &self.name, &options).await.map_err(|e| host.explain(&e))?;
        forget_context(&host, &self.name)?;
        let made_here = namespace_made_for(&host, &namespace, &self.name).await;
        if self.wait || made_here {
            let gone =
                tokio::time::timeout(Duration::from_secs(self.timeout), wait_gone(&host, &cluster)).await;
            gone.map_err(|_| Error(format!("{} is not gone after {} seconds", self.name, self.timeout)))??;
        }
        if made_here {
            let namespaces = GroupVersionResource::new("", "v1", "namespaces");
            let outcome = host.client.delete(&namespaces, "", &namespace, &DeleteOptions::default()).await;
            outcome.map_err(|e| host.explain(&e))?;
        }
        say!("virtual cluster {} deleted", self.name);
        Ok(())
    }
}

/// Whether `joey create` made the namespace for this virtual cluster and nobody else lives in it.
async fn namespace_made_for(host: &Host, namespace: &str, cluster: &str) -> bool {
    let namespaces = GroupVersionResource::new("", "v1", "namespaces");
    let made = match host.client.get(&namespaces, "", namespace).await {
        Ok(object) => meta::label(&object, MADE_FOR) == Some(cluster),
        Err(_) => false,
    };
    made && host.clusters(namespace).await.is_ok_and(|all| all.iter().all(|c| meta::name(c) == cluster))
}

async fn wait_gone(host: &Host, cluster: &Value) -> Result<(), Error> {
    let (namespace, name) = (meta::namespace(cluster), meta::name(cluster));
    let fields = format!("metadata.name={name}");
    loop {
        let list = host
            .client
            .list(&gvr(), namespace, &ListOptions::fields(&fields))
            .await
            .map_err(|e| host.explain(&e))?;
        if list.items.iter().all(|c| meta::uid(c) != meta::uid(cluster)) {
            return Ok(());
        }
        let options = WatchOptions {
            resource_version: list.resource_version,
            field_selector: fields.clone(),
            ..WatchOptions::default()
        };
        let mut watch = host.client.watch(&gvr(), namespace, &options).await.map_err(|e| host.explain(&e))?;
        while let Some(Ok(frame)) = watch.next().await {
            if frame.kind == FrameType::Deleted {
                return Ok(());
            }
        }
    }
}

/// A kubeconfig that was switched to the virtual cluster goes back to the host.
fn forget_context(host: &Host, name: &str) -> Result<(), Error> {
    let mut config = kubeconfig::read(&host.file)?;
    let context = format!("joey-{name}");
    if kubeconfig::host_of(&config, &context) != Some(&host.context) {
        return Ok(());
    }
    if config["current-context"] == context.as_str() {
        config["current-context"] = host.context.clone().into();
    }
    kubeconfig::remove(&mut config, &context);
    kubeconfig::write(&host.file, &config)
}
