//! How long pods take between a virtual cluster and its host.
//!
//! One process watches both sides, so one clock tells when each side showed what: the time between two watch events. Pods go
//! one after the other, as fast as they become Running.

use client::{Client, DeleteOptions, ListOptions, WatchOptions};
use object::{GroupVersionResource, Value, json, meta};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Annotation by which a host pod tells whose it is.
const VIRTUAL_NAME: &str = "joey.dev/name";

/// Milliseconds, one for each pod.
#[derive(Default)]
pub(crate) struct Latencies {
    /// Virtual pod seen → host pod seen.
    pub down: Vec<f64>,
    /// Host pod seen Running → virtual pod seen Running.
    pub up: Vec<f64>,
}

struct Seen {
    side: Side,
    name: String,
    running: bool,
    at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Virtual,
    Host,
}

/// Makes `count` pods, one after the other, and measures each.
pub(crate) async fn measure(kubeconfig: &Path, prefix: &str, count: usize) -> Result<Latencies, String> {
    let (sender, mut seen) = mpsc::channel(1024);
    let virtual_side = connect(kubeconfig, "joey-demo").await?;
    let host_side = connect(kubeconfig, "joey-host").await?;
    let watching = [
        follow(virtual_side.clone(), "default", Side::Virtual, sender.clone()).await?,
        follow(host_side, "joey-demo", Side::Host, sender).await?,
    ];
    let mut latencies = Latencies::default();
    for number in 0..count {
        let name = format!("{prefix}-{number}");
        virtual_side.create(&pods(), &pod(&name)).await.map_err(|e| e.to_string())?;
        let waited =
            tokio::time::timeout(Duration::from_secs(30), one(&mut seen, &name, &mut latencies)).await;
        waited.map_err(|_| format!("pod {name} is not Running after 30 seconds"))??;
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        virtual_side.delete(&pods(), "default", &name, &options).await.map_err(|e| e.to_string())?;
    }
    watching.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(latencies)
}

/// Follows one pod until both sides show it Running.
async fn one(seen: &mut mpsc::Receiver<Seen>, name: &str, latencies: &mut Latencies) -> Result<(), String> {
    let mut first: HashMap<(Side, bool), Instant> = HashMap::new();
    while let Some(event) = seen.recv().await {
        if event.name != name {
            continue;
        }
        first.entry((event.side, false)).or_insert(event.at);
        if event.running {
            first.entry((event.side, true)).or_insert(event.at);
        }
        if let (Some(virtual_pod), Some(host_pod), Some(virtual_running), Some(host_running)) = (
            first.get(&(Side::Virtual, false)),
            first.get(&(Side::Host, false)),
            first.get(&(Side::Virtual, true)),
            first.get(&(Side::Host, true)),
        ) {
            latencies.down.push(host_pod.saturating_duration_since(*virtual_pod).as_secs_f64() * 1e3);
            latencies.up.push(virtual_running.saturating_duration_since(*host_running).as_secs_f64() * 1e3);
            return Ok(());
        }
    }
    Err("a watch ended".into())
}

async fn connect(kubeconfig: &Path, context: &str) -> Result<Client, String> {
    let connection = hostclient::connect(Some(kubeconfig), Some(context), "bench").await;
    Ok(connection.map_err(|e| e.to_string())?.client)
}

/// Watches pods and sends on what is seen, with the time.
async fn follow(
    client: Client,
    namespace: &str,
    side: Side,
    sender: mpsc::Sender<Seen>,
) -> Result<tokio::task::JoinHandle<()>, String> {
    let list = client.list(&pods(), namespace, &ListOptions::default()).await.map_err(|e| e.to_string())?;
    let options = WatchOptions { resource_version: list.resource_version, ..WatchOptions::default() };
    let mut watch = client.watch(&pods(), namespace, &options).await.map_err(|e| e.to_string())?;
    Ok(tokio::spawn(async move {
        while let Some(Ok(frame)) = watch.next().await {
            let at = Instant::now();
            let Ok(pod) = serde_json::from_slice::<Value>(&frame.object) else { continue };
            let name = match side {
                Side::Virtual => meta::name(&pod),
                Side::Host => meta::annotation(&pod, VIRTUAL_NAME).unwrap_or_default(),
            };
            let running = pod["status"]["phase"] == "Running";
            let seen = Seen { side, name: name.to_owned(), running, at };
            if sender.send(seen).await.is_err() {
                return;
            }
        }
    }))
}

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "busybox", "command": ["sleep", "1000"]}]},
    })
}
