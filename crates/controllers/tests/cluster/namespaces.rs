use crate::harness::{Cluster, resource};
use client::DeleteOptions;
use serde_json::json;

#[tokio::test]
async fn a_namespace_is_furnished_and_emptied() {
    let cluster = Cluster::start().await;
    let namespaces = resource("", "v1", "namespaces");
    cluster
        .create(&namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}))
        .await;
    let (accounts, config_maps) = (resource("", "v1", "serviceaccounts"), resource("", "v1", "configmaps"));
    cluster
        .until("account and certificates are there", |cache| {
            cache.entry(&accounts, "a", "default").is_some()
                && cache.entry(&config_maps, "a", "kube-root-ca.crt").is_some()
        })
        .await;
    let published = cluster.client.get(&config_maps, "a", "kube-root-ca.crt").await.unwrap();
    assert_eq!(published["data"]["ca.crt"], "CA");
    cluster.client.delete(&namespaces, "", "a", &DeleteOptions::default()).await.unwrap();
    cluster.until("the namespace is gone", |cache| cache.entry(&namespaces, "", "a").is_none()).await;
    assert!(cluster.client.find(&config_maps, "a", "kube-root-ca.crt").await.unwrap().is_none());
}

#[tokio::test]
async fn a_finalizer_inside_holds_the_namespace_and_is_named() {
    let cluster = Cluster::start().await;
    let (namespaces, config_maps) = (resource("", "v1", "namespaces"), resource("", "v1", "configmaps"));
    cluster
        .create(&namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}))
        .await;
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": "a", "finalizers": ["example.com/hold"]}});
    cluster.create(&config_maps, held).await;
    cluster.client.delete(&namespaces, "", "a", &DeleteOptions::default()).await.unwrap();
    let message =
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances";
    cluster
        .until("the finalizer is named", |cache| {
            let Some(namespace) = cache.get(&namespaces, "", "a") else { return false };
            let conditions = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|condition| condition["message"] == message)
        })
        .await;
    let mut released = cluster.client.get(&config_maps, "a", "held").await.unwrap();
    released["metadata"]["finalizers"] = json!([]);
    cluster.client.update(&config_maps, &released).await.unwrap();
    cluster.until("the namespace is gone", |cache| cache.entry(&namespaces, "", "a").is_none()).await;
}
