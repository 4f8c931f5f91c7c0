//! Many deployments at once: the work grows as the cluster does, not faster.

use crate::harness::{Cluster, resource, template};
use serde_json::json;
use std::time::Instant;

#[tokio::test]
async fn many_deployments_come_up() {
    let count: usize =
        std::env::var("JOEY_TEST_DEPLOYMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let cluster = Cluster::start().await;
    let (deployments, services) = (resource("apps", "v1", "deployments"), resource("", "v1", "services"));
    let start = Instant::now();
    for index in 0..count {
        let name = format!("web-{index}");
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}});
        cluster.create(&services, service).await;
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": 5, "selector": {"matchLabels": {"app": name}}, "template": template(json!({"app": name}), "i")}});
        cluster.create(&deployments, deployment).await;
    }
    cluster
        .until("all are available", |cache| {
            let all = cache.values(&deployments, "default");
            all.len() == count && all.iter().all(|deployment| deployment["status"]["availableReplicas"] == 5)
        })
        .await;
    println!(
        "{count} deployments of 5 pods came up in {:?}, {} requests",
        start.elapsed(),
        cluster.requests()
    );
    // 5 pods, each created, run and told of; a set; statuses; endpoints and slices: about 60 requests each.
    assert!(cluster.requests() < 120 * count + 1000, "{} requests", cluster.requests());
}
