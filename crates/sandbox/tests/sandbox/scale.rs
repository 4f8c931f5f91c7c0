//! How long many pods take. Run by hand: `cargo test --release -p sandbox --test sandbox -- --ignored --nocapture`.

use crate::world::{World, core, is_ready};
use client::{Cache, DeleteOptions, Keep, ListOptions};
use futures::stream::{StreamExt, iter};
use object::{Value, json};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time"]
async fn two_thousand_pods() {
    const PODS: usize = 2000;
    let options = sandbox::Options { nodes: 20, ..Default::default() };
    let world = World::start_with(options).await;
    let (cache, reflectors) = Cache::new(world.client.clone());
    cache.track(&core("pods"), Keep::Full);
    tokio::spawn(reflectors.run());
    let began = Instant::now();
    let ready = |pods: &[std::sync::Arc<Value>]| pods.iter().filter(|p| is_ready(p)).count();
    iter(0..PODS)
        .for_each_concurrent(16, |i| {
            let world = &world;
            async move {
                let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": format!("{}", i % 20), "controller": true}]);
                world
                    .run(&format!("p{i}"), &["sleep", "infinity"], |pod| pod["metadata"]["ownerReferences"] = owner)
                    .await;
            }
        })
        .await;
    eprintln!("created after {:?}", began.elapsed());
    let pods = core("pods");
    let mut last = 0;
    loop {
        let count = ready(&cache.values(&pods, ""));
        if count == PODS {
            break;
        }
        assert!(count >= last);
        last = count;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    eprintln!("ready after {:?}", began.elapsed());
    let began = Instant::now();
    world
        .client
        .delete_collection(&pods, "default", &ListOptions::default(), &DeleteOptions::default())
        .await
        .unwrap();
    while !cache.list(&pods, "").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    eprintln!("gone after {:?}", began.elapsed());
    world.sandbox.stop().await;
}
