use crate::harness::{Cluster, resource, template};
use client::Patch;
use object::meta;
use serde_json::json;

#[tokio::test]
async fn a_stateful_set_comes_up_in_order_and_is_updated() {
    let cluster = Cluster::start().await;
    let sets = resource("apps", "v1", "statefulsets");
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"},
        "spec": {"replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "template": template(json!({"app": "db"}), "one"),
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}]}});
    cluster.create(&sets, set).await;
    cluster
        .until("three are ready", |cache| {
            cache.get(&sets, "default", "db").is_some_and(|set| set["status"]["readyReplicas"] == 3)
        })
        .await;
    let claims = cluster.cache().list(&resource("", "v1", "persistentvolumeclaims"), "default");
    assert_eq!(
        claims.iter().map(|claim| &*claim.name).collect::<Vec<_>>(),
        ["data-db-0", "data-db-1", "data-db-2"]
    );
    let created: Vec<_> =
        cluster.events("StatefulSet").await.into_iter().map(|(_, message)| message).collect();
    assert!(created.contains(&"Create Pod db-0 in StatefulSet db successful".to_owned()), "{created:?}");
    let patch = Patch::Strategic(
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}),
    );
    let patched = cluster.client.patch(&sets, "default", "db", "", &patch).await.unwrap();
    cluster
        .until("all are updated", |cache| {
            let Some(set) = cache.get(&sets, "default", "db") else { return false };
            let status = &set["status"];
            status["observedGeneration"] == patched["metadata"]["generation"]
                && status["updatedReplicas"] == 3
                && status["readyReplicas"] == 3
                && status["currentRevision"] == status["updateRevision"]
        })
        .await;
}

#[tokio::test]
async fn a_daemon_set_follows_the_nodes() {
    let cluster = Cluster::start().await;
    let (sets, pods) = (resource("apps", "v1", "daemonsets"), resource("", "v1", "pods"));
    for name in ["n1", "n2"] {
        ready_node(&cluster, name).await;
    }
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template(json!({"app": "d"}), "one")}});
    cluster.create(&sets, set).await;
    cluster
        .until("two are ready", |cache| {
            cache.get(&sets, "default", "d").is_some_and(|set| set["status"]["numberReady"] == 2)
        })
        .await;
    ready_node(&cluster, "n3").await;
    cluster
        .until("three are ready", |cache| {
            cache.get(&sets, "default", "d").is_some_and(|set| set["status"]["numberReady"] == 3)
        })
        .await;
    assert!(
        cluster.cache().values(&pods, "default").iter().all(|pod| meta::label(
            pod,
            "controller-revision-hash"
        )
        .is_some())
    );
}

/// New nodes are tainted until they are ready.
async fn ready_node(cluster: &Cluster, name: &str) {
    let nodes = resource("", "v1", "nodes");
    cluster.create(&nodes, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})).await;
    let patch = Patch::Merge(json!({"spec": {"taints": null}}));
    cluster.client.patch(&nodes, "", name, "", &patch).await.unwrap();
}
