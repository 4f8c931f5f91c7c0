//! What a user notices of another's flood: the latency of single reads alone, beside a flood of large lists, and beside the
//! same flood when nothing is kept apart.

use super::connection::{Address, Asked, Connection};
use super::scenarios::{NAMESPACE, collection};
use super::target::{FLOOD, Joey, VICTIM};
use crate::sample::percentile;
use http::Method;
use object::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Connections of the flood, and requests at once on each.
const FLOOD_CONNECTIONS: usize = 4;
const FLOOD_STREAMS: usize = 50;

/// Measures and prints all three.
pub(crate) async fn measure(lasting: Duration) -> Result<(), String> {
    println!("\n| reads of one user | p50 ms | p99 ms | reads | lists of the flood: answered, refused |");
    println!("|---|---:|---:|---:|---:|");
    for fair in [true, false] {
        let mut joey = Joey::new()?;
        joey.fair = fair;
        let (target, _) = joey.start().await?;
        super::prepare(&target).await?;
        for user in ["victim", "flood"] {
            let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": user}, "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
            let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
            let admin = Connection::open(&target.address).await?;
            admin.ask(Asked::send(Method::POST, path, binding.to_string())).await?;
        }
        let as_user = |token: &str| Address { token: token.into(), ..target.address.clone() };
        if fair {
            tell("alone", &reads(&as_user(VICTIM), lasting).await?, (0, 0));
        }
        let mut flood = JoinSet::new();
        for _ in 0..FLOOD_CONNECTIONS {
            let connection = Connection::open(&as_user(FLOOD)).await?;
            (0..FLOOD_STREAMS).for_each(|_| drop(flood.spawn(lists(connection.clone(), lasting * 2))));
        }
        tokio::time::sleep(lasting / 2).await;
        let latencies = reads(&as_user(VICTIM), lasting).await?;
        let counts = flood.join_all().await.into_iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        tell(if fair { "beside a flood" } else { "beside it, without fairness" }, &latencies, counts);
    }
    Ok(())
}

fn tell(what: &str, latencies: &[f64], (answered, refused): (u64, u64)) {
    let (middle, worst) = (percentile(latencies, 0.5), percentile(latencies, 0.99));
    println!("| {what} | {middle:.2} | {worst:.2} | {} | {answered}, {refused} |", latencies.len());
}

/// Milliseconds of reads, one after the other.
///
/// They have a thread of their own, so that what receiving the flood costs is not counted as theirs.
async fn reads(address: &Address, lasting: Duration) -> Result<Vec<f64>, String> {
    let address = address.clone();
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| e.to_string())?.block_on(read(&address, lasting))
    });
    thread.await.map_err(|e| e.to_string())?
}

async fn read(address: &Address, lasting: Duration) -> Result<Vec<f64>, String> {
    let connection = Connection::open(address).await?;
    let (began, mut latencies) = (Instant::now(), vec![]);
    while began.elapsed() < lasting {
        let asked = Instant::now();
        connection.ask(Asked::get(format!("{}/object-000001", collection(NAMESPACE)))).await?;
        latencies.push(asked.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(latencies)
}

/// Lists, one after the other: how many were answered and how many refused.
async fn lists(connection: Connection, lasting: Duration) -> (u64, u64) {
    let (began, mut counts) = (Instant::now(), (0, 0));
    while began.elapsed() < lasting {
        match connection.ask(Asked::get(collection("list-5000"))).await {
            Ok(_) => counts.0 += 1,
            Err(_) => counts.1 += 1,
        }
    }
    counts
}
