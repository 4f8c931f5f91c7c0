//! Who is measured: joey, or etcd, kube-apiserver, kube-controller-manager and kube-scheduler. The simulated nodes are a
//! process of their own, the same program for both, so that what they cost is told apart; joey can also simulate them itself.

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
    processes: Processes,
}

/// What runs, and its folder. All of it ends with the value.
struct Processes {
    folder: tempfile::TempDir,
    control_plane: Vec<Child>,
    /// The simulated nodes, where they are a process of their own.
    nodes: Option<Child>,
}

impl Side {
    /// A `joey serve` in a folder of its own; with `apart`, the nodes are not its own.
    pub async fn joey(nodes: u16, apart: bool) -> Result<Self, String> {
        let program = std::env::var_os("JOEY").map(PathBuf::from).filter(|p| p.exists());
        let program = program.ok_or("JOEY names no program: run `cargo xtask bench`")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let kubeconfig = folder.path().join("admin.kubeconfig");
        let mut command = Command::new(&program);
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", free_port()?)]);
        command.arg("--data-dir").arg(folder.path().join("data")).arg("--kubeconfig-out").arg(&kubeconfig);
        match apart {
            true => command.arg("--scheduler"),
            false => command.args(["--sandbox-nodes", &nodes.to_string()]),
        };
        let mut side = Processes::none_in(folder);
        side.spawn(command, "joey")?;
        let client = side.until_ready(&kubeconfig).await?;
        if apart {
            side.spawn_nodes(&kubeconfig, nodes)?;
        }
        side.until_nodes(&client, nodes).await?;
        let name = if apart { "joey" } else { "joey and nodes in one" };
        Ok(Self { name, client, processes: side })
    }

    /// The programs of `folder`.
    pub async fn peer(programs: &Path, nodes: u16) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let path = folder.path().to_owned();
        let mut side = Processes::none_in(folder);
        let (store, port) = (format!("http://127.0.0.1:{}", free_port()?), free_port()?);
        side.spawn(etcd(programs, &path, &store)?, "etcd")?;
        let keys = path.join("service-accounts.key");
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&keys).arg("2048").output();
        made.map_err(|e| format!("openssl: {e}"))?;
        side.spawn(api_server(programs, &path, &store, port)?, "kube-apiserver")?;
        let kubeconfig = path.join("admin.kubeconfig");
        fs::write(&kubeconfig, kubeconfig_of(port)).map_err(|e| e.to_string())?;
        let client = side.until_ready(&kubeconfig).await?;
        let mut manager = component(&programs.join("kube-controller-manager"), &path)?;
        manager.arg(format!("--service-account-private-key-file={}", keys.display()));
        manager.arg(format!("--root-ca-file={}", path.join("certs/apiserver.crt").display()));
        // Simulated nodes say seldom that they live.
        manager.arg("--node-monitor-grace-period=2h");
        side.spawn(manager, "kube-controller-manager")?;
        side.spawn(component(&programs.join("kube-scheduler"), &path)?, "kube-scheduler")?;
        side.spawn_nodes(&kubeconfig, nodes)?;
        side.until_nodes(&client, nodes).await?;
        Ok(Self { name: "Kubernetes", client, processes: side })
    }

    /// Seconds of processor time that the control plane has used so far.
    pub fn processor(&self) -> Result<f64, String> {
        self.processes.control_plane.iter().map(|process| processor_time(process.id())).sum()
    }

    /// The same of the nodes, where they are a process of their own.
    pub fn processor_of_nodes(&self) -> Result<f64, String> {
        self.processes.nodes.as_ref().map_or(Ok(0.0), |process| processor_time(process.id()))
    }

    /// The most bytes that the control plane had.
    pub fn peak(&self) -> Result<f64, String> {
        self.processes.control_plane.iter().map(|process| super::peak(process.id())).sum()
    }
}

/// Simulates nodes for the cluster of a kubeconfig until it is killed.
pub(super) async fn simulate(kubeconfig: &Path, nodes: u16) -> Result<(), String> {
    let options = Options { nodes, scheduler: false, ..Options::default() };
    let running = Sandbox::new(options).start(connect(kubeconfig).await?).await.map_err(|e| e.message())?;
    std::future::pending::<()>().await;
    running.stop().await;
    Ok(())
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in self.nodes.iter_mut().chain(self.control_plane.iter_mut().rev()) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Processes {
    fn none_in(folder: tempfile::TempDir) -> Self {
        Self { folder, control_plane: vec![], nodes: None }
    }

    fn started(&self, mut command: Command, name: &str) -> Result<Child, String> {
        let log = File::create(self.folder.path().join(format!("{name}.log"))).map_err(|e| e.to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(|e| format!("cannot run {name}: {e}"))
    }

    fn spawn(&mut self, command: Command, name: &str) -> Result<(), String> {
        let process = self.started(command, name)?;
        self.control_plane.push(process);
        Ok(())
    }

    fn spawn_nodes(&mut self, kubeconfig: &Path, nodes: u16) -> Result<(), String> {
        let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
        command.args(["nodes", "--count", &nodes.to_string(), "--kubeconfig"]).arg(kubeconfig);
        self.nodes = Some(self.started(command, "nodes")?);
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
        Err("the API server did not become ready".into())
    }

    /// Waits until the nodes are there and take pods.
    async fn until_nodes(&mut self, client: &Client, count: u16) -> Result<(), String> {
        let nodes = object::GroupVersionResource::new("", "v1", "nodes");
        let began = Instant::now();
        while began.elapsed() < START {
            let list = client.list_all(&nodes, "", &client::ListOptions::default()).await;
            let untainted =
                |node: &object::Value| node["spec"]["taints"].as_array().is_none_or(Vec::is_empty);
            let there = list.map(|list| list.items.iter().filter(|node| untainted(node)).count());
            if there.is_ok_and(|there| there >= usize::from(count)) {
                // What follows from the last of them.
                tokio::time::sleep(Duration::from_secs(3)).await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Err("not all simulated nodes came".into())
    }
}

fn etcd(programs: &Path, folder: &Path, address: &str) -> Result<Command, String> {
    let mut command = Command::new(programs.join("etcd"));
    command.arg("--data-dir").arg(folder.join("etcd")).args(["--listen-client-urls", address]);
    command.args(["--advertise-client-urls", address, "--quota-backend-bytes", "8000000000"]);
    command.args(["--listen-peer-urls", &format!("http://127.0.0.1:{}", free_port()?)]);
    Ok(command)
}

fn api_server(programs: &Path, folder: &Path, store: &str, port: u16) -> Result<Command, String> {
    let tokens = folder.join("tokens.csv");
    fs::write(&tokens, format!("{TOKEN},admin,admin,\"system:masters\"\n")).map_err(|e| e.to_string())?;
    let key = folder.join("service-accounts.key");
    let key = key.display();
    let mut command = Command::new(programs.join("kube-apiserver"));
    command.args([format!("--etcd-servers={store}"), format!("--secure-port={port}")]);
    command.arg(format!("--cert-dir={}", folder.join("certs").display()));
    command.arg(format!("--token-auth-file={}", tokens.display()));
    command.arg(format!("--service-account-key-file={key}"));
    command.arg(format!("--service-account-signing-key-file={key}"));
    command.args(["--bind-address=127.0.0.1", "--authorization-mode=Node,RBAC"]);
    command.args(["--service-account-issuer=https://kubernetes.default.svc"]);
    command.arg("--service-cluster-ip-range=10.96.0.0/16");
    Ok(command)
}

/// What kube-controller-manager and kube-scheduler have in common.
fn component(program: &Path, folder: &Path) -> Result<Command, String> {
    let mut command = Command::new(program);
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        command.arg(format!("--{flag}={}", folder.join("admin.kubeconfig").display()));
    }
    // Their own limits of 20 and 50 requests a second would be what is measured.
    command.args(["--leader-elect=false", "--kube-api-qps=2000", "--kube-api-burst=4000"]);
    command.args([format!("--secure-port={}", free_port()?), "--bind-address=127.0.0.1".into()]);
    command.arg(format!("--cert-dir={}", folder.join("certs").display()));
    Ok(command)
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
