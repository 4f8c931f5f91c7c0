//! `joey up`: a host, a virtual cluster in it, and the way in, from nothing.

use crate::telling::Steps;
use crate::telling::say;
use clap::Args;
use client::Client;
use deploy::gvr;
use hub::{ControlPlane, Error, Operator, Place, SandboxHost, kubeconfig};
use object::{ApiError, GroupVersionResource, Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use syncer::Host;

const CLUSTER: &str = "demo";
const NAMESPACE: &str = "joey-demo";

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
        let folder = match self.data_dir {
            Some(folder) => folder,
            None => default_folder()?,
        };
        let mut steps = Steps::new();
        if self.reset {
            reset(&folder)?;
            steps.done("forgot what was kept");
        }
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let host_folder = folder.join("host");
        let listener = hub::bind(loopback, &host_folder).await?;
        let options = sandbox::Options { nodes: self.nodes, ..sandbox::Options::default() };
        let sandbox = SandboxHost::start(host_folder, listener, options).await?;
        steps.done(&format!(
            "sandbox host on https://{} ({} simulated nodes)",
            sandbox.plane.address(),
            self.nodes
        ));

        let host = Host::new(sandbox.plane.client("joey-syncer"));
        let place = Place { folder: folder.join("clusters"), listen: loopback, advertise: None };
        let operator = Operator::start(host.clone(), place, sandbox.kubelet.clone()).await?;
        let client = sandbox.plane.client("joey");
        make_demo(&client).await?;
        let address = operator.running(NAMESPACE, CLUSTER).await?;
        steps.done(&format!("virtual cluster {CLUSTER} in namespace {NAMESPACE}, on https://{address}"));

        let file = self.kubeconfig.unwrap_or_else(|| folder.join("kubeconfig"));
        write_contexts(&file, &sandbox.plane, &client).await?;
        steps.done(&format!("contexts joey-host and joey-demo in {}", file.display()));
        say!("{}", hints(&file));
        super::interrupted().await;
        say!("stopping; the data stays in {}", folder.display());
        operator.stop().await;
        drop(host);
        sandbox.stop().await;
        Ok(())
    }
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

/// Removes what an earlier `up` made in the folder, and nothing else.
fn reset(folder: &Path) -> Result<(), Error> {
    for part in ["host", "clusters"] {
        let path = folder.join(part);
        match std::fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::file("remove", &path, &e)),
        }
    }
    Ok(())
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

/// Adds the contexts to a kubeconfig; what else is in it stays.
async fn write_contexts(file: &Path, host: &ControlPlane, client: &Client) -> Result<(), Error> {
    let mut config = kubeconfig::read(file)?;
    for context in ["joey-host", "joey-demo"] {
        if kubeconfig::is_foreign(&config, context) {
            let file = file.display();
            return Err(Error(format!(
                "{file} has a context {context} that is not joey's: rename it, or choose another file with --kubeconfig"
            )));
        }
    }
    host.admin("joey-host", &format!("https://{}", host.address()))?.add_to(&mut config);
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let name = deploy::kubeconfig_secret_name(CLUSTER);
    let secret = client.get(&secrets, NAMESPACE, &name).await.map_err(|e| Error(e.to_string()))?;
    kubeconfig::merge(&mut config, &kubeconfig::from_secret(&secret)?);
    for context in ["joey-host", "joey-demo"] {
        kubeconfig::set_host(&mut config, context, "joey-host");
    }
    if config["current-context"].as_str().unwrap_or("").is_empty() {
        config["current-context"] = Value::from("joey-demo");
    }
    kubeconfig::write(file, &config)
}
