//! Many pods at once: all become ready, spread evenly, and go. `SANDBOX_PODS=2000` makes it more, and says how long it took:
//! `SANDBOX_PODS=2000 cargo test --release -p sandbox --test sandbox scale -- --nocapture`.

use crate::world::{World, core, is_ready};
use client::{Cache, DeleteOptions, Keep, ListOptions};
use futures::stream::{StreamExt, iter};
use object::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods() {
    const NODES: u16 = 20;
    let count: usize = std::env::var("SANDBOX_PODS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let options = sandbox::Options { nodes: NODES, ..Default::default() };
    let world = World::start_with(options).await;
    let (cache, reflectors) = Cache::new(world.client.clone());
    cache.track(&core("pods"), Keep::Full);
    let changed = Arc::new(Notify::new());
    let told = changed.clone();
    cache.subscribe(Arc::new(move |_| told.notify_one()));
    tokio::spawn(reflectors.run());
    let began = Instant::now();
    iter(0..count)
        .for_each_concurrent(16, |i| {
            let world = &world;
            async move {
                let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]);
                world
                    .run(&format!("p{i}"), &["sleep", "infinity"], |pod| pod["metadata"]["ownerReferences"] = owner)
                    .await;
            }
        })
        .await;
    eprintln!("{count} pods created after {:?}", began.elapsed());
    let pods = core("pods");
    until(&changed, || cache.values(&pods, "").iter().filter(|p| is_ready(p)).count() == count).await;
    eprintln!("ready after {:?}", began.elapsed());
    let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
    for pod in cache.values(&pods, "") {
        *nodes.entry(pod["spec"]["nodeName"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(nodes.len(), usize::from(NODES));
    let (least, most) = (nodes.values().min().unwrap(), nodes.values().max().unwrap());
    assert!(most - least <= 2, "siblings spread evenly: {nodes:?}");
    let began = Instant::now();
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    world.client.delete_collection(&pods, "default", &ListOptions::default(), &now).await.unwrap();
    until(&changed, || cache.list(&pods, "").is_empty()).await;
    eprintln!("gone after {:?}", began.elapsed());
    world.sandbox.stop().await;
}

/// Waits until something holds that is looked at again after every change.
async fn until(changed: &Notify, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            changed.notified().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), waiting).await.expect("it comes about");
}
