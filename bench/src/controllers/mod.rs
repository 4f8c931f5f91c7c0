//! `bench controllers`: how long many deployments take until all their pods are ready, and what that costs; beside etcd,
//! kube-apiserver, kube-controller-manager and kube-scheduler when a folder with them is named.
//!
//! The figures are of the control plane: API server, controllers, scheduler and store. The simulated nodes are a process of
//! their own, the same for all, which speaks to the server over the network; what it costs is a row of its own. As joey can
//! simulate nodes itself, that is measured too.

mod requests;
mod sides;

use crate::sample::resident;
use clap::Args;
use client::{Client, ListOptions, WatchOptions};
use futures::stream::{self, StreamExt};
use object::{GroupVersionResource, Value, json, meta};
use requests::Requests;
use sides::Side;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Requests of this program that are under way at once.
const AT_ONCE: usize = 32;
/// Everything is ready by then, or the figures are of a failure.
const PATIENCE: Duration = Duration::from_secs(900);
/// A control plane that uses no more seconds of processor time in two is at rest.
const QUIET: f64 = 0.2;
/// So many kinds of requests are listed.
const MOST: usize = 12;
/// How long the idle cluster is watched afterwards.
const IDLE: Duration = Duration::from_secs(20);

#[derive(Args)]
pub(crate) struct Controllers {
    /// Deployments made.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    deployments: u32,
    /// Pods of each.
    #[arg(long, default_value_t = 5)]
    replicas: u32,
    /// Simulated nodes.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: u16,
    /// Folder with etcd, kube-apiserver, kube-controller-manager and kube-scheduler, to do the same with.
    #[arg(long, value_name = "FOLDER")]
    peer: Option<PathBuf>,
    /// Do not measure joey itself.
    #[arg(long, requires = "peer")]
    peer_only: bool,
}

/// What one side took.
struct Taken {
    name: &'static str,
    /// Seconds from the first creation until all deployments exist, and until all pods are ready.
    made: f64,
    ready: f64,
    requests: Requests,
    /// Seconds of processor time until then, and until all that follows (events above all) was done.
    processor: f64,
    in_all: f64,
    /// The same of the nodes.
    nodes: f64,
    /// Bytes.
    peak: f64,
    /// Share of a core, afterwards.
    idle: f64,
}

/// Simulates the nodes of somebody's cluster.
#[derive(Args)]
pub(crate) struct Nodes {
    #[arg(long)]
    kubeconfig: PathBuf,
    #[arg(long)]
    count: u16,
}

impl Nodes {
    pub fn run(&self) -> Result<(), String> {
        runtime()?.block_on(sides::simulate(&self.kubeconfig, self.count))
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())
}

impl Controllers {
    pub fn run(&self) -> Result<(), String> {
        runtime()?.block_on(self.measure())
    }

    async fn measure(&self) -> Result<(), String> {
        let mut all = vec![];
        if !self.peer_only {
            all.push(self.one(Side::joey(self.nodes, true).await?).await?);
            all.push(self.one(Side::joey(self.nodes, false).await?).await?);
        }
        if let Some(folder) = &self.peer {
            all.push(self.one(Side::peer(folder, self.nodes).await?).await?);
        }
        self.print(&all);
        Ok(())
    }

    fn print(&self, all: &[Taken]) {
        println!(
            "\n{} deployments of {} pods on {} simulated nodes; {} cores.\n",
            self.deployments,
            self.replicas,
            self.nodes,
            std::thread::available_parallelism().map_or(0, usize::from)
        );
        let row = |what: &str, of: &dyn Fn(&Taken) -> String| {
            println!("| {what} | {} |", all.iter().map(of).collect::<Vec<_>>().join(" | "));
        };
        row("", &|taken| taken.name.to_owned());
        println!("|---|{}", "---|".repeat(all.len()));
        row("all deployments made", &|taken| format!("{:.1} s", taken.made));
        row("all pods ready", &|taken| format!("{:.1} s", taken.ready));
        row("API requests until then", &|taken| format!("{:.0}", taken.requests.total()));
        row("processor time until then", &|taken| format!("{:.1} s", taken.processor));
        row("processor time until nothing is left to do", &|taken| format!("{:.1} s", taken.in_all));
        row("peak memory (RSS)", &|taken| format!("{:.0} MB", taken.peak / 1e6));
        row("processor afterwards, idle", &|taken| format!("{:.1} % of a core", taken.idle * 100.0));
        row("the nodes' process until nothing is left to do", &|taken| match taken.nodes {
            0.0 => "–".into(),
            nodes => format!("{nodes:.1} s"),
        });
        let pods = f64::from(self.deployments * self.replicas);
        for taken in all {
            let most = taken.requests.most(MOST).into_iter();
            let most: Vec<_> = most.map(|(what, count)| format!("{what} {:.2}", count / pods)).collect();
            println!("\n{}, requests a pod: {}", taken.name, most.join(" · "));
        }
    }

    async fn one(&self, side: Side) -> Result<Taken, String> {
        let client = &side.client;
        let (processor, nodes) = (side.processor()?, side.processor_of_nodes()?);
        let requests = Requests::of(client).await?;
        let list = client.list(&deployments(), "default", &ListOptions::default()).await;
        let from = list.map_err(|e| e.to_string())?.resource_version;
        let start = Instant::now();
        let waiting = tokio::spawn(until_ready(client.clone(), from, self.deployments, self.replicas));
        let all = stream::iter(0..self.deployments).map(|index| make(client, index, self.replicas));
        let outcomes: Vec<_> = all.buffer_unordered(AT_ONCE).collect().await;
        outcomes.into_iter().collect::<Result<(), String>>()?;
        let made = start.elapsed().as_secs_f64();
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited
            .map_err(|_| format!("{}: not all ready after {PATIENCE:?}", side.name))?
            .map_err(|e| e.to_string())??;
        let ready = start.elapsed().as_secs_f64();
        eprintln!("{}: ready after {ready:.1} s", side.name);
        let until_ready = side.processor()? - processor;
        let requests = Requests::of(client).await?.since(&requests);
        until_quiet(&side).await?;
        let (in_all, nodes) = (side.processor()? - processor, side.processor_of_nodes()? - nodes);
        let before = side.processor()?;
        tokio::time::sleep(IDLE).await;
        let idle = (side.processor()? - before) / IDLE.as_secs_f64();
        let peak = side.peak()?;
        Ok(Taken {
            name: side.name,
            made,
            ready,
            requests,
            processor: until_ready,
            in_all,
            nodes,
            peak,
            idle,
        })
    }
}

/// What follows from the last changes (events above all) is no idling yet.
async fn until_quiet(side: &Side) -> Result<(), String> {
    for _ in 0..60 {
        let before = side.processor()?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        if side.processor()? - before < QUIET {
            break;
        }
    }
    Ok(())
}

async fn make(client: &Client, index: u32, replicas: u32) -> Result<(), String> {
    let name = format!("web-{index}");
    let labels = json!({"app": name});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}}}});
    client.create(&deployments(), &deployment).await.map(drop).map_err(|e| e.message())
}

/// Waits until so many deployments say that all their pods are ready.
async fn until_ready(client: Client, from: String, count: u32, replicas: u32) -> Result<(), String> {
    let mut ready = HashSet::new();
    let mut options = WatchOptions { resource_version: from, ..WatchOptions::default() };
    loop {
        let mut watch = client.watch(&deployments(), "default", &options).await.map_err(|e| e.message())?;
        while let Some(Ok(frame)) = watch.next().await {
            let Ok(deployment) = serde_json::from_slice::<Value>(&frame.object) else { continue };
            options.resource_version = meta::resource_version(&deployment).to_owned();
            if deployment["status"]["readyReplicas"] == replicas {
                ready.insert(meta::name(&deployment).to_owned());
            }
            if ready.len() as u32 == count {
                return Ok(());
            }
        }
    }
}

fn deployments() -> GroupVersionResource {
    GroupVersionResource::new("apps", "v1", "deployments")
}

/// The most memory a process had, in bytes (`VmHWM`), or what it has if that is not told.
fn peak(process: u32) -> Result<f64, String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(|e| e.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kilobytes.map_or_else(|| resident(process), |kilobytes| Ok(kilobytes * 1024.0))
}
