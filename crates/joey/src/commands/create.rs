//! `joey create`: a VirtualCluster object, made.

use super::host::{Host, HostArgs};
use crate::telling::Steps;
use crate::telling::say;
use clap::Args;
use client::DeleteOptions;
use deploy::gvr;
use hub::Error;
use object::{ApiError, GroupVersionResource, Map, Value, json, meta, names};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Label of a namespace that `create` made for a virtual cluster, so that `delete` may remove it.
pub(crate) const MADE_FOR: &str = "joey.dev/made-for";

#[derive(Args)]
pub(crate) struct Create {
    /// Name of the virtual cluster.
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// Host namespace; joey-NAME otherwise, made when it is absent.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Wait until its API answers.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Set a field of the spec, such as policy.privileged=true. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Read the VirtualCluster from a YAML file; - is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
}

impl Create {
    pub async fn run(self) -> Result<(), Error> {
        let mut steps = Steps::new();
        let object = self.object()?;
        let (namespace, name) = (meta::namespace(&object).to_owned(), meta::name(&object).to_owned());
        let host = self.host.open().await?;
        let made_here = ensure_namespace(&host, &namespace, &name).await?;
        if let Err(error) = host.client.create_strictly(&gvr(), &object).await {
            if made_here {
                remove_namespace(&host, &namespace).await;
            }
            return Err(match error {
                ApiError::AlreadyExists { .. } => {
                    Error(format!("virtual cluster {name} already exists in namespace {namespace}"))
                }
                error => host.explain(&error),
            });
        }
        steps.done(&format!("virtual cluster {name} made in namespace {namespace}"));
        if self.wait {
            let mut last = String::new();
            let mut progress = |phase: &str| {
                if phase != last {
                    tracing::info!(phase, "virtual cluster");
                    phase.clone_into(&mut last);
                }
            };
            let within = Duration::from_secs(self.timeout);
            let ready = super::wait::ready(&host.client, &namespace, &name, within, &mut progress).await?;
            steps.done(&format!("ready on {}", ready["status"]["address"].as_str().unwrap_or("?")));
        }
        say!("connect to it: joey connect {name}");
        Ok(())
    }

    /// The object to make, from the file and the flags.
    fn object(&self) -> Result<Value, Error> {
        let mut object = match &self.file {
            Some(path) => from_file(path)?,
            None => deploy::virtual_cluster("", "", json!({})),
        };
        if let Some(name) = &self.name {
            meta::set(&mut object, "name", name.clone());
        }
        let name = meta::name(&object).to_owned();
        if let Some(problem) = names::dns1035_label(&name).first() {
            return Err(Error(format!("{name:?} cannot be a virtual cluster's name: {problem}")));
        }
        let namespace = self
            .namespace
            .clone()
            .or_else(|| Some(meta::namespace(&object).to_owned()).filter(|n| !n.is_empty()));
        let namespace = namespace.unwrap_or_else(|| format!("joey-{name}"));
        if let Some(problem) = names::dns1123_label(&namespace).first() {
            return Err(Error(format!("{namespace:?} cannot be a namespace: {problem}")));
        }
        meta::set(&mut object, "namespace", namespace);
        for assignment in &self.set {
            assign(&mut object["spec"], assignment)?;
        }
        Ok(object)
    }
}

/// The VirtualCluster in a YAML file; `-` is standard input.
fn from_file(path: &Path) -> Result<Value, Error> {
    let shown = path.display();
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(path),
    };
    let text = text.map_err(|e| Error(format!("cannot read {shown}: {e}")))?;
    the_one(&text).map_err(|why| Error(format!("{shown} {why}")))
}

/// The one VirtualCluster of a YAML text. Namespaces may stand beside it, as in a file for `kubectl apply`: its own is made
/// anyway.
fn the_one(text: &str) -> Result<Value, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| format!("is not YAML: {}", e.without_snippet()))?;
    let wanted = format!("{}/{}", deploy::GROUP, deploy::VERSION);
    let is_one = |d: &Value| d["kind"] == deploy::KIND && d["apiVersion"] == wanted.as_str();
    let (mut clusters, others): (Vec<_>, Vec<_>) = documents.into_iter().partition(is_one);
    let object = clusters.pop().ok_or_else(|| format!("holds no {} of {wanted}", deploy::KIND))?;
    if !clusters.is_empty() {
        return Err(format!("holds more than one {}: use kubectl apply -f", deploy::KIND));
    }
    if let Some(other) = others.iter().find(|d| !d.is_null() && d["kind"] != "Namespace") {
        let kind = other["kind"].as_str().unwrap_or("document of no kind");
        return Err(format!("holds a {kind} too: use kubectl apply -f"));
    }
    Ok(object)
}

/// Sets `a.b.c=value` in a spec; the value is YAML.
fn assign(spec: &mut Value, assignment: &str) -> Result<(), Error> {
    let (path, value) = assignment.split_once('=').ok_or_else(|| {
        Error(format!("--set {assignment}: write KEY=VALUE, such as policy.privileged=true"))
    })?;
    let value: Value = serde_saphyr::from_str(value).unwrap_or_else(|_| value.into());
    let mut at = spec;
    for field in path.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[field];
    }
    *at = value;
    Ok(())
}

/// Makes the namespace where it is absent; whether it did.
async fn ensure_namespace(host: &Host, namespace: &str, cluster: &str) -> Result<bool, Error> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {MADE_FOR: cluster}}});
    match host.client.create(&namespaces(), &object).await {
        Ok(_) => Ok(true),
        Err(ApiError::AlreadyExists { .. }) => Ok(false),
        // Who may not make namespaces may still use one that is there.
        Err(error) if error.code() == 403 => Ok(false),
        Err(error) => Err(host.explain(&error)),
    }
}

/// Takes back a namespace made for a virtual cluster that was refused: nothing is left of the attempt.
async fn remove_namespace(host: &Host, namespace: &str) {
    let outcome = host.client.delete(&namespaces(), "", namespace, &DeleteOptions::default()).await;
    if let Err(error) = outcome {
        tracing::warn!(namespace, %error, "the namespace that was made is still there");
    }
}

fn namespaces() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "namespaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_nested_fields_by_yaml() {
        let mut spec = json!({});
        assign(&mut spec, "policy.privileged=true").unwrap();
        assign(&mut spec, "controllers=none").unwrap();
        assert_eq!(spec, json!({"policy": {"privileged": true}, "controllers": "none"}));
        assert!(assign(&mut spec, "nothing").is_err());
    }

    #[test]
    fn a_file_holds_one_virtual_cluster() {
        let shown = include_str!("../../../../docs/virtualcluster.yaml");
        assert_eq!(meta::name(&the_one(shown).unwrap()), "team-a");
        let one = "apiVersion: joey.dev/v1alpha1\nkind: VirtualCluster\nmetadata: {name: a}\n";
        let account = "apiVersion: v1\nkind: ServiceAccount\n";
        let rows = [
            (format!("{one}---\n{one}"), "holds more than one VirtualCluster: use kubectl apply -f"),
            (format!("{one}---\n{account}"), "holds a ServiceAccount too: use kubectl apply -f"),
            (account.to_owned(), "holds no VirtualCluster of joey.dev/v1alpha1"),
            ("apiVersion: [".to_owned(), "is not YAML: "),
        ];
        for (text, said) in rows {
            let why = the_one(&text).unwrap_err();
            assert!(why.starts_with(said) && !why.contains('\n'), "{why}");
        }
    }
}
