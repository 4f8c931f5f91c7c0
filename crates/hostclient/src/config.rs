//! From a kubeconfig, or from inside of a pod, to a connection.

use crate::HostTransport;
use client::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
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
    let config =
        read(&path).map_err(|why| HostError(format!("{} is not a kubeconfig: {why}", path.display())))?;
    Ok(Some((path, config)))
}

fn read(path: &Path) -> Result<Kubeconfig, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    parse(&text, path.parent().unwrap_or(Path::new("")))
}

/// The kubeconfig of a text that stands in `folder`: what `Kubeconfig::read_from` does, by way of JSON values. It has the YAML
/// reader compiled once more for each of its types.
///
/// # Errors
/// Says why the text is none.
pub fn parse(text: &str, folder: &Path) -> Result<Kubeconfig, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| e.without_snippet().to_string())?;
    let mut all = Kubeconfig::default();
    for mut document in documents.into_iter().filter(|d| !d.is_null()) {
        anchor(&mut document, folder);
        let config = serde_json::from_value(document).map_err(|e| without_values(&e.to_string()))?;
        all = all.merge(config).map_err(|e| e.to_string())?;
    }
    Ok(all)
}

/// What a reader says, without what it found: that may be a key, or all of a file that is something else.
fn without_values(said: &str) -> String {
    match said.rsplit_once(", expected ") {
        Some((_, wanted)) => format!("something in it should be {wanted}"),
        None => said.to_owned(),
    }
}

/// Files that a kubeconfig names are looked for beside it; so are commands, unless they are bare names.
fn anchor(config: &mut Value, folder: &Path) {
    let absolute = |at: Option<&mut Value>, may: fn(&str) -> bool| {
        if let Some(Value::String(path)) = at
            && !path.is_empty()
            && Path::new(path).is_relative()
            && may(path)
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    };
    let mut each = |list: &str, pointer: &str, may| {
        for named in config.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            absolute(named.pointer_mut(pointer), may);
        }
    };
    each("clusters", "/cluster/certificate-authority", |_| true);
    for file in ["/user/client-certificate", "/user/client-key", "/user/tokenFile"] {
        each("users", file, |_| true);
    }
    each("users", "/user/exec/command", |command| command.contains('/'));
}

fn found() -> Option<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
        return std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    Some(home.join(".kube/config")).filter(|p| p.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_is_said_of_a_broken_kubeconfig_holds_nothing_of_it() {
        for text in ["hunter2", "users: hunter2", "users: [{name: a, user: hunter2}]", "token: hunter2\na: ["]
        {
            let said = parse(text, Path::new("")).unwrap_err();
            assert!(!said.is_empty() && !said.contains("hunter2"), "{text}: {said}");
        }
    }

    #[test]
    fn files_are_looked_for_beside_the_kubeconfig() {
        let folder = Path::new("/etc/joey");
        let mut config = serde_json::json!({
            "clusters": [{"name": "a", "cluster": {"certificate-authority": "ca.crt", "server": "https://a"}}],
            "users": [
                {"name": "a", "user": {"client-certificate": "/elsewhere/a.crt", "client-key": "keys/a", "tokenFile": ""}},
                {"name": "b", "user": {"exec": {"command": "bin/login"}}},
                {"name": "c", "user": {"exec": {"command": "aws"}}},
            ],
        });
        anchor(&mut config, folder);
        let users = config["users"].as_array().unwrap().iter().map(|u| u["user"].to_string());
        let said = format!("{}\n{}", config["clusters"][0]["cluster"], users.collect::<Vec<_>>().join("\n"));
        expect![[r#"
            {"certificate-authority":"/etc/joey/ca.crt","server":"https://a"}
            {"client-certificate":"/elsewhere/a.crt","client-key":"/etc/joey/keys/a","tokenFile":""}
            {"exec":{"command":"/etc/joey/bin/login"}}
            {"exec":{"command":"aws"}}"#]]
        .assert_eq(&said);
    }
}
