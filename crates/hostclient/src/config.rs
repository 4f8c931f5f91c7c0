//! From a kubeconfig, or from inside of a pod, to a connection.

use crate::HostTransport;
use client::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no way to the host, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

/// A way to a host.
pub struct Connection {
    /// Its API.
    pub client: Client,
    /// The `kube` client underneath, for streams to pods.
    pub kube: kube::Client,
    /// The context's namespace.
    pub namespace: String,
    /// The API server's address.
    pub server: String,
}

/// Connects with a kubeconfig: the file given, else `$KUBECONFIG`, else `~/.kube/config`, else the pod this runs in.
///
/// # Errors
/// When there is no kubeconfig, it is malformed, or it has no such context. Nothing is sent yet.
pub async fn connect(
    file: Option<&Path>,
    context: Option<&str>,
    user_agent: &str,
) -> Result<Connection, HostError> {
    let config = match load(file)? {
        Some((path, config)) => {
            let options =
                KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
            let config = kube::Config::from_custom_kubeconfig(config, &options).await;
            config.map_err(|e| HostError(format!("{}: {e}", path.display())))?
        }
        None => kube::Config::incluster().map_err(|_| {
            HostError("no kubeconfig found: give one with --kubeconfig, or set KUBECONFIG".into())
        })?,
    };
    let (namespace, server) = (config.default_namespace.clone(), config.cluster_url.to_string());
    let kube = kube::Client::try_from(config).map_err(|e| HostError(e.to_string()))?;
    let client = Client::new(Arc::new(HostTransport::new(kube.clone())), user_agent);
    Ok(Connection { client, kube, namespace, server: server.trim_end_matches('/').to_owned() })
}

fn load(file: Option<&Path>) -> Result<Option<(PathBuf, Kubeconfig)>, HostError> {
    let Some(path) = file.map(Path::to_path_buf).or_else(found) else { return Ok(None) };
    if !path.exists() {
        return Err(HostError(format!("{} does not exist", path.display())));
    }
    let config = Kubeconfig::read_from(&path)
        .map_err(|e| HostError(format!("{} is not a kubeconfig: {e}", path.display())))?;
    Ok(Some((path, config)))
}

fn found() -> Option<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
        return std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    Some(home.join(".kube/config")).filter(|p| p.exists())
}
