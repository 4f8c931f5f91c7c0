//! Many deployments at once: the work grows as the cluster does, not faster.

use crate::harness::{Cluster, resource, template};
use serde_json::json;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
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
    println!("{count} deployments of 5 pods came up in {:?}: {:?}", start.elapsed(), cluster.requests());
    // Statuses follow for several pods together: of each pod, they would be five times as many.
    let most = [
        ("POST replicasets", 1),
        ("POST pods", 5),
        ("PUT replicasets/status", 2),
        ("PUT deployments/status", 3),
        ("PUT endpoints", 1),
        ("PUT endpointslices", 1),
        ("POST events", 6),
        ("GET pods", 1),
        ("GET replicasets", 1),
        ("GET configmaps", 1),
    ];
    let requests = cluster.requests();
    for (what, each) in most {
        let made = requests.get(what).copied().unwrap_or(0);
        assert!(made <= each * count, "{what}: {made} for {count} deployments\n{requests:#?}");
    }
}
