//! Who is measured: a `joey serve` with simulated nodes, or etcd, kube-apiserver and kube-controller-manager with the same
//! simulated nodes run by this program. All of it ends with the value.

use crate::sample::processor_time;
use client::Client;
use sandbox::{Options, Sandbox};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TOKEN: &str = "bench-token";
/// A server that does not answer by then does not start.
const START: Duration = Duration::from_secs(90);

/// One side.
pub(super) struct Side {
    pub name: &'static str,
    pub client: Client,
    processes: Vec<Child>,
    _nodes: Option<sandbox::Handle>,
    _folder: tempfile::TempDir,
}

impl Side {
    /// A `joey serve` in a folder of its own.
    pub async fn joey(nodes: u16) -> Result<Self, String> {
        let program = std::env::var_os("JOEY").map(PathBuf::from).filter(|p| p.exists());
        let program = program.ok_or("JOEY names no program: run `cargo xtask bench`")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let kubeconfig = folder.path().join("admin.kubeconfig");
        let mut command = Command::new(&program);
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", free_port()?)]);
        command.arg("--data-dir").arg(folder.path().join("data"));
        command.arg("--kubeconfig-out").arg(&kubeconfig).args(["--sandbox-nodes", &nodes.to_string()]);
        let mut side = Starting { folder, processes: vec![] };
        side.spawn(command, "joey")?;
        let client = side.until_ready(&kubeconfig).await?;
        side.until_nodes(&client, nodes).await?;
        Ok(side.done("joey", client, None))
    }

    /// The programs of `folder`, and nodes that this program simulates.
    pub async fn peer(programs: &Path, nodes: u16) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut side = Starting { folder, processes: vec![] };
        let (etcd, api) = (free_port()?, free_port()?);
        let path = side.folder.path().to_owned();
        let text = |path: PathBuf| path.display().to_string();
        let store = format!("http://127.0.0.1:{etcd}");
        let mut command = Command::new(programs.join("etcd"));
        command.args(["--data-dir", &text(path.join("etcd")), "--listen-client-urls", &store]);
        command.args(["--advertise-client-urls", &store, "--quota-backend-bytes", "8000000000"]);
        command.args(["--listen-peer-urls", &format!("http://127.0.0.1:{}", free_port()?)]);
        side.spawn(command, "etcd")?;
        fs::write(path.join("tokens.csv"), format!("{TOKEN},admin,admin,\"system:masters\"\n"))
            .map_err(|e| e.to_string())?;
        let key = text(path.join("service-accounts.key"));
        let made = Command::new("openssl").args(["genrsa", "-out", &key, "2048"]).output();
        made.map_err(|e| format!("openssl: {e}"))?;
        let mut command = Command::new(programs.join("kube-apiserver"));
        command.args([format!("--etcd-servers={store}"), format!("--secure-port={api}")]);
        command.args([format!("--cert-dir={}", text(path.join("certs"))), "--bind-address=127.0.0.1".into()]);
        command.arg(format!("--token-auth-file={}", text(path.join("tokens.csv"))));
        command.args([format!("--service-account-key-file={key}"), "--authorization-mode=Node,RBAC".into()]);
        command.arg(format!("--service-account-signing-key-file={key}"));
        command.args(["--service-account-issuer=https://kubernetes.default.svc"]);
        command.arg("--service-cluster-ip-range=10.96.0.0/16");
        side.spawn(command, "kube-apiserver")?;
        let kubeconfig = path.join("admin.kubeconfig");
        fs::write(&kubeconfig, kubeconfig_of(api)).map_err(|e| e.to_string())?;
        let client = side.until_ready(&kubeconfig).await?;
        let mut command = Command::new(programs.join("kube-controller-manager"));
        let file = text(kubeconfig.clone());
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{flag}={file}"));
        }
        // Its own limit of 20 requests a second would be what is measured.
        command.args(["--leader-elect=false", "--kube-api-qps=2000", "--kube-api-burst=4000"]);
        command.arg(format!("--service-account-private-key-file={key}"));
        command.arg(format!("--root-ca-file={}", text(path.join("certs/apiserver.crt"))));
        command.args([format!("--secure-port={}", free_port()?), "--bind-address=127.0.0.1".into()]);
        command.arg(format!("--cert-dir={}", text(path.join("certs"))));
        side.spawn(command, "kube-controller-manager")?;
        let sandbox = Sandbox::new(Options { nodes, ..Options::default() });
        let handle = sandbox.start(connect(&kubeconfig).await?).await.map_err(|e| e.message())?;
        side.until_nodes(&client, nodes).await?;
        Ok(side.done("etcd + kube-apiserver + kube-controller-manager", client, Some(handle)))
    }

    /// Seconds of processor time used so far.
    pub fn processor(&self) -> Result<f64, String> {
        self.processes.iter().map(|process| processor_time(process.id())).sum()
    }

    /// Bytes at the most.
    pub fn peak(&self) -> Result<f64, String> {
        self.processes.iter().map(|process| super::peak(process.id())).sum()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        end(&mut self.processes);
    }
}

/// A side that is not complete yet.
struct Starting {
    folder: tempfile::TempDir,
    processes: Vec<Child>,
}

impl Starting {
    fn spawn(&mut self, mut command: Command, name: &str) -> Result<(), String> {
        let log = File::create(self.folder.path().join(format!("{name}.log"))).map_err(|e| e.to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.processes.push(command.spawn().map_err(|e| format!("cannot run {name}: {e}"))?);
        Ok(())
    }

    async fn until_ready(&mut self, kubeconfig: &Path) -> Result<Client, String> {
        let began = Instant::now();
        while began.elapsed() < START {
            if kubeconfig.exists()
                && let Ok(client) = connect(kubeconfig).await
                && client.raw("/readyz", "*/*").await.is_ok()
            {
                return Ok(client);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        end(&mut self.processes);
        Err("the API server did not become ready".into())
    }

    async fn until_nodes(&mut self, client: &Client, count: u16) -> Result<(), String> {
        let nodes = object::GroupVersionResource::new("", "v1", "nodes");
        let began = Instant::now();
        while began.elapsed() < START {
            let list = client.list_all(&nodes, "", &client::ListOptions::default()).await;
            if list.is_ok_and(|list| list.items.len() >= usize::from(count)) {
                // Taints of nodes that were just made go.
                tokio::time::sleep(Duration::from_secs(3)).await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        end(&mut self.processes);
        Err("not all simulated nodes came".into())
    }

    fn done(self, name: &'static str, client: Client, nodes: Option<sandbox::Handle>) -> Side {
        Side { name, client, processes: self.processes, _nodes: nodes, _folder: self.folder }
    }
}

fn end(processes: &mut [Child]) {
    for process in processes.iter_mut().rev() {
        let _ = process.kill();
        let _ = process.wait();
    }
}

async fn connect(kubeconfig: &Path) -> Result<Client, String> {
    let connection = hostclient::connect(Some(kubeconfig), None, "bench").await;
    Ok(connection.map_err(|e| e.to_string())?.client)
}

fn kubeconfig_of(port: u16) -> String {
    let server = format!("{{server: \"https://127.0.0.1:{port}\", insecure-skip-tls-verify: true}}");
    format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {server}}}]\nusers: [{{name: u, user: {{token: {TOKEN}}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
    )
}

fn free_port() -> Result<u16, String> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|e| e.to_string())
}
