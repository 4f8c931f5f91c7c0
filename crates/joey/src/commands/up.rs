//! `joey up`: a host, a virtual cluster in it, and the way in, from nothing.

use crate::telling::Steps;
use crate::telling::say;
use clap::Args;
use client::Client;
use deploy::gvr;
use hub::backup::BackupSocket;
use hub::{ControlPlane, Error, FolderLock, Operator, Place, SandboxHost, Stores, kubeconfig};
use object::{ApiError, GroupVersionResource, Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use syncer::Host;

const CLUSTER: &str = "demo";
const NAMESPACE: &str = "joey-demo";
const CONTEXT: &str = "joey-demo";
const HOST_CONTEXT: &str = "joey-host";
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[derive(Args)]
pub(crate) struct Up {
    /// Folder for keys and data.
    #[arg(long, value_name = "DIR", env = "JOEY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Start afresh: forget everything kept in the data folder.
    #[arg(long)]
    reset: bool,
    /// Add the contexts to this kubeconfig instead of one in the data folder.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How many nodes to simulate.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: u16,
}

impl Up {
    pub async fn run(self) -> Result<(), Error> {
        let folder = match &self.data_dir {
            Some(folder) => folder.clone(),
            None => default_folder()?,
        };
        let file = self.kubeconfig.clone().unwrap_or_else(|| folder.join("kubeconfig"));
        // What can be refused is refused before anything is made.
        let _lock = FolderLock::take(&folder)?;
        ours(&file, &kubeconfig::read(&file)?)?;
        let mut steps = Steps::new();
        if self.reset {
            reset(&folder, &file)?;
            steps.done("forgot what was kept");
        }
        let sandbox = super::unless_interrupted(self.host(&folder.join("host"))).await?;
        steps.done(&format!(
            "sandbox host on https://{} ({} simulated nodes)",
            sandbox.plane.address(),
            self.nodes
        ));
        let outcome = serve(&sandbox, &folder, &file, steps).await;
        sandbox.stop().await;
        outcome
    }

    async fn host(&self, folder: &Path) -> Result<SandboxHost, Error> {
        let listener = hub::bind((LOOPBACK, 0).into(), folder).await?;
        let options = sandbox::Options { nodes: self.nodes, ..sandbox::Options::default() };
        SandboxHost::start(folder.to_owned(), Stores::new(), listener, options).await
    }
}

/// Runs the virtual clusters of the host until somebody asks to stop.
async fn serve(sandbox: &SandboxHost, folder: &Path, file: &Path, mut steps: Steps) -> Result<(), Error> {
    let host = Host::new(sandbox.plane.client("joey-syncer"));
    let place = Place {
        folder: folder.join("clusters"),
        stores: sandbox.stores.clone(),
        listen: (LOOPBACK, 0).into(),
        advertise: None,
        fenced: false,
        names: None,
    };
    let _backups = BackupSocket::listen(folder, sandbox.stores.clone())?;
    let starting = Operator::start(host, place, sandbox.kubelet.clone(), &[]);
    let operator = super::unless_interrupted(starting).await?;
    let outcome = super::unless_interrupted(demo(sandbox, &operator, file, &mut steps)).await;
    if outcome.is_ok() {
        say!("{}", hints(file));
        super::interrupted().await;
        say!("stopping; the data stays in {}", folder.display());
    }
    operator.stop().await;
    outcome
}

/// The virtual cluster, and the contexts that lead to it and to the host.
async fn demo(
    sandbox: &SandboxHost,
    operator: &Operator,
    file: &Path,
    steps: &mut Steps,
) -> Result<(), Error> {
    let client = sandbox.plane.client("joey");
    make_demo(&client).await?;
    let address = operator.running(NAMESPACE, CLUSTER).await?;
    steps.done(&format!("virtual cluster {CLUSTER} in namespace {NAMESPACE}, on https://{address}"));
    write_contexts(file, &sandbox.plane, &client).await?;
    steps.done(&format!("contexts {HOST_CONTEXT} and {CONTEXT} in {}", file.display()));
    Ok(())
}

fn hints(file: &Path) -> String {
    let file = file.display();
    format!(
        "\nThe containers here are simulated: they report, log and answer as real ones would, and run nothing. On a real\n\
         cluster (joey operator) they are real.\n\n\
         Try:\n  export KUBECONFIG={file}\n  kubectl --context joey-demo create deployment web --image=nginx --replicas=3\n  \
         kubectl --context joey-demo get pods -o wide\n  kubectl --context joey-host get pods -A\n\nCtrl-C stops; the next `joey up` goes on from here."
    )
}

/// `$XDG_DATA_HOME/joey`, or `~/.local/share/joey`.
pub(crate) fn default_folder() -> Result<PathBuf, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|h| h.join(".local/share")));
    base.map(|b| b.join("joey"))
        .ok_or_else(|| Error("no home folder is known: give one with --data-dir".into()))
}

/// Removes what an earlier `up` made in the folder, and the contexts that led there; nothing else.
fn reset(folder: &Path, file: &Path) -> Result<(), Error> {
    for part in ["host", "clusters"] {
        let path = folder.join(part);
        match std::fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::file("remove", &path, &e)),
        }
    }
    let mut config = kubeconfig::read(file)?;
    let stale: Vec<String> = kubeconfig::contexts_of(&config, HOST_CONTEXT).map(str::to_owned).collect();
    if stale.is_empty() {
        return Ok(());
    }
    for context in &stale {
        kubeconfig::remove(&mut config, context);
        if config["current-context"] == context.as_str() {
            config["current-context"] = Value::from("");
        }
    }
    kubeconfig::write(file, &config)
}

async fn make_demo(client: &Client) -> Result<(), Error> {
    let namespaces = GroupVersionResource::new("", "v1", "namespaces");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let demo = deploy::virtual_cluster(NAMESPACE, CLUSTER, json!({}));
    for (gvr, object) in [(&namespaces, &namespace), (&gvr(), &demo)] {
        match client.create(gvr, object).await {
            Ok(_) | Err(ApiError::AlreadyExists { .. }) => {}
            Err(error) => return Err(Error(format!("cannot make the virtual cluster: {error}"))),
        }
    }
    Ok(())
}

/// Fails when a kubeconfig has something of its own where the contexts go.
fn ours(file: &Path, config: &Value) -> Result<(), Error> {
    match [HOST_CONTEXT, CONTEXT].into_iter().find(|context| kubeconfig::is_foreign(config, context)) {
        None => Ok(()),
        Some(context) => Err(Error(format!(
            "{} has a context, cluster or user {context} that is not joey's: rename it, or choose another file with --kubeconfig",
            file.display()
        ))),
    }
}

/// Adds the contexts to a kubeconfig; what else is in it stays.
async fn write_contexts(file: &Path, host: &ControlPlane, client: &Client) -> Result<(), Error> {
    let mut config = kubeconfig::read(file)?;
    ours(file, &config)?;
    host.admin(HOST_CONTEXT, &format!("https://{}", host.address()))?.add_to(&mut config);
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let name = deploy::kubeconfig_secret_name(CLUSTER);
    let secret = client.get(&secrets, NAMESPACE, &name).await.map_err(|e| Error(e.to_string()))?;
    kubeconfig::merge(&mut config, &kubeconfig::from_secret(&secret)?);
    for context in [HOST_CONTEXT, CONTEXT] {
        kubeconfig::set_host(&mut config, context, HOST_CONTEXT);
    }
    if config["current-context"].as_str().unwrap_or("").is_empty() {
        config["current-context"] = Value::from(CONTEXT);
    }
    kubeconfig::write(file, &config)
}
