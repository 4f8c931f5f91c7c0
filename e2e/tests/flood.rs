//! What one virtual cluster can do to the others of a process.

use client::{Client, ListOptions};
use e2e::Joey;
use object::GroupVersionResource;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Objects, and the bytes of each.
const FILLING: (usize, usize) = (60, 900_000);
/// Clients that list all of them again and again.
const FLOOD: usize = 30;
/// What a process may grow by meanwhile. Held whole, the lists on their way are 1.6 GB, and as much again as they are made.
const MEMORY: u64 = 400 << 20;

async fn client(kubeconfig: &Path) -> Client {
    hostclient::connect(Some(kubeconfig), None, "flood").await.expect("a kubeconfig").client
}

/// A virtual cluster, and clients of its administrator.
async fn tenant(joey: &Joey, name: &str, clients: usize) -> Vec<Client> {
    let said = joey.joey(&["create", name, "--wait"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let kubeconfig = joey.write(&format!("{name}.yaml"), &joey.joey(&["connect", name, "--print"]).out);
    let mut all = Vec::new();
    for _ in 0..clients {
        all.push(client(Path::new(&kubeconfig)).await);
    }
    all
}

fn config_maps() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "configmaps")
}

/// Resident bytes of a process.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
}

#[test]
fn a_tenant_that_lists_everything_all_the_time_holds_up_nobody() {
    let Some(joey) = Joey::up() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let evil = tenant(&joey, "evil", FLOOD).await;
        let good = tenant(&joey, "good", 1).await.remove(0);
        for number in 0..FILLING.0 {
            let metadata = json!({"name": format!("filling-{number}"), "namespace": "default"});
            let object = json!({"metadata": metadata, "data": {"a": "x".repeat(FILLING.1)}});
            evil[0].create(&config_maps(), &object).await.expect("made");
        }
        let before = memory(joey.process());
        let (stop, lists) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let flood = evil.into_iter().map(|client| {
            let (stop, lists) = (stop.clone(), lists.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let found = client.raw("/api/v1/configmaps", "application/json").await;
                    lists.fetch_add(usize::from(found.is_ok()), Ordering::Relaxed);
                }
            })
        });
        let flood: Vec<_> = flood.collect();
        let (mut slowest, mut most) = (Duration::ZERO, 0);
        while lists.load(Ordering::Relaxed) < FLOOD {
            let began = Instant::now();
            good.list(&config_maps(), "default", &ListOptions::default()).await.expect("an answer");
            slowest = slowest.max(began.elapsed());
            most = most.max(memory(joey.process()));
        }
        stop.store(true, Ordering::Relaxed);
        flood.iter().for_each(tokio::task::JoinHandle::abort);
        eprintln!("slowest answer {slowest:?}, {} MB more", most.saturating_sub(before) >> 20);
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        assert!(most < before + MEMORY, "{} MB more", (most - before) >> 20);
    });
}
