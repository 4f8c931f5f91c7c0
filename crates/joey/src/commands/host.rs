//! The host that commands speak to: a kubeconfig and a context in it.

use clap::Args;
use client::{Client, ListOptions};
use deploy::gvr;
use hub::{Error, kubeconfig};
use object::{ApiError, Value, meta};
use std::path::PathBuf;

/// Which host.
#[derive(Args)]
pub(crate) struct HostArgs {
    /// The kubeconfig; otherwise $KUBECONFIG, ~/.kube/config, or the one `joey up` wrote.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The host's context; otherwise the current one, or the host of the virtual cluster it leads to.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// An open way to the host.
pub(crate) struct Host {
    pub client: Client,
    /// The kubeconfig file in use.
    pub file: PathBuf,
    /// The context of the host.
    pub context: String,
    pub server: String,
}

impl HostArgs {
    /// Connects. Nothing is sent yet.
    pub async fn open(&self) -> Result<Host, Error> {
        let file = self.file()?;
        let config = kubeconfig::read(&file)?;
        let current = config["current-context"].as_str().unwrap_or("");
        let context = match &self.context {
            Some(context) => context.clone(),
            None => kubeconfig::host_of(&config, current).unwrap_or(current).to_owned(),
        };
        if context.is_empty() {
            let is = if file.exists() { "has no current context" } else { "does not exist" };
            return Err(Error(format!(
                "{} {is}: give another with --kubeconfig or --context",
                file.display()
            )));
        }
        let connection =
            hostclient::connect(Some(&file), Some(&context), concat!("joey/", env!("CARGO_PKG_VERSION")))
                .await;
        let connection = connection.map_err(|e| Error(e.0))?;
        Ok(Host { client: connection.client, file, context, server: connection.server })
    }

    /// The kubeconfig in use.
    pub fn file(&self) -> Result<PathBuf, Error> {
        if let Some(file) = &self.kubeconfig {
            return if file.exists() {
                Ok(file.clone())
            } else {
                Err(Error(format!("{} does not exist", file.display())))
            };
        }
        if let Some(list) = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
            let files: Vec<_> = std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect();
            // As kubectl has it, the first file that says which context is current decides.
            let decides = |file: &&PathBuf| {
                kubeconfig::read(file)
                    .is_ok_and(|c| c["current-context"].as_str().is_some_and(|n| !n.is_empty()))
            };
            let file =
                files.iter().find(decides).or_else(|| files.iter().find(|f| f.exists())).or(files.first());
            return file.cloned().ok_or_else(|| Error("KUBECONFIG names no file".into()));
        }
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .map(|h| h.join(".kube/config"))
            .filter(|p| p.exists());
        let of_up = super::up::default_folder().ok().map(|f| f.join("kubeconfig")).filter(|p| p.exists());
        home.or(of_up).ok_or_else(|| {
            Error("no kubeconfig found: start with `joey up`, or give one with --kubeconfig".into())
        })
    }
}

impl Host {
    /// What a refused or failed request means to a person.
    pub fn explain(&self, error: &ApiError) -> Error {
        let server = &self.server;
        Error(match error {
            error if error.code() == 404 => format!(
                "{} (context {}) knows no VirtualClusters: is this the host, and does `joey up` or `joey operator` run for it?",
                server, self.context
            ),
            ApiError::Unauthorized => {
                format!(
                    "{server} does not accept the credentials of context {} in {}: get new ones from whoever runs it",
                    self.context,
                    self.file.display()
                )
            }
            error if error.code() == 403 => {
                format!("{server} does not allow context {} to do this: {error}", self.context)
            }
            ApiError::ServiceUnavailable(_) | ApiError::Timeout(_) => {
                format!(
                    "cannot reach {server} (context {} of {}): {error}; is it running, and is this its address?",
                    self.context,
                    self.file.display()
                )
            }
            other => other.to_string(),
        })
    }

    /// All virtual clusters, or those of one namespace.
    pub async fn clusters(&self, namespace: &str) -> Result<Vec<Value>, Error> {
        let list = self.client.list_all(&gvr(), namespace, &ListOptions::default()).await;
        Ok(list.map_err(|e| self.explain(&e))?.items)
    }

    /// The virtual cluster `name`, wherever it is unless a namespace is given.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn cluster(&self, name: &str, namespace: Option<&str>) -> Result<Value, Error> {
        let mut found = self.clusters(namespace.unwrap_or("")).await?;
        found.retain(|c| meta::name(c) == name);
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (None, _) => Err(Error(format!(
                "there is no virtual cluster {name}{}: see `joey list`",
                in_namespace(namespace)
            ))),
            (Some(one), false) => {
                let mut places: Vec<_> = found.iter().chain([&one]).map(meta::namespace).collect();
                places.sort_unstable();
                Err(Error(format!(
                    "{name} is in several namespaces ({}): give one with --namespace",
                    places.join(", ")
                )))
            }
        }
    }
}

fn in_namespace(namespace: Option<&str>) -> String {
    namespace.map(|n| format!(" in namespace {n}")).unwrap_or_default()
}
