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
        let removed = async {
            if self.wait || made_here {
                wait_gone(&host, &gvr(), &cluster).await?;
            }
            if made_here {
                remove_namespace(&host, &namespace, self.wait).await?;
            }
            Ok::<(), Error>(())
        };
        let gone = tokio::time::timeout(Duration::from_secs(self.timeout), removed).await;
        gone.map_err(|_| Error(format!("{} is not gone after {} seconds", self.name, self.timeout)))??;
        say!("virtual cluster {} deleted", self.name);
        Ok(())
    }
}

async fn remove_namespace(host: &Host, name: &str, wait: bool) -> Result<(), Error> {
    let namespaces = GroupVersionResource::new("", "v1", "namespaces");
    let found = host.client.get(&namespaces, "", name).await.map_err(|e| host.explain(&e))?;
    let options = DeleteOptions::uid(meta::uid(&found));
    host.client.delete(&namespaces, "", name, &options).await.map_err(|e| host.explain(&e))?;
    if wait { wait_gone(host, &namespaces, &found).await } else { Ok(()) }
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

async fn wait_gone(host: &Host, resource: &GroupVersionResource, object: &Value) -> Result<(), Error> {
    let (namespace, name) = (meta::namespace(object), meta::name(object));
    let fields = format!("metadata.name={name}");
    loop {
        let list = host
            .client
            .list(resource, namespace, &ListOptions::fields(&fields))
            .await
            .map_err(|e| host.explain(&e))?;
        if list.items.iter().all(|c| meta::uid(c) != meta::uid(object)) {
            return Ok(());
        }
        let options = WatchOptions {
            resource_version: list.resource_version,
            field_selector: fields.clone(),
            ..WatchOptions::default()
        };
        let mut watch =
            host.client.watch(resource, namespace, &options).await.map_err(|e| host.explain(&e))?;
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
