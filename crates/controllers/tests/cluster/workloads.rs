use crate::harness::{Cluster, resource, template};
use client::{DeleteOptions, ListOptions, Patch, Propagation};
use object::{GroupVersionResource, meta};
use serde_json::{Value, json};

fn deployments() -> GroupVersionResource {
    resource("apps", "v1", "deployments")
}

fn deployment(replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(json!({"app": "web"}), "one")}})
}

/// All updated, available, and nothing left of the old.
fn is_done(deployment: &Value, replicas: i64) -> bool {
    let status = &deployment["status"];
    ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|field| status[*field] == replicas)
        && status["observedGeneration"] == deployment["metadata"]["generation"]
}

async fn until_done(cluster: &Cluster, replicas: i64) {
    let gvr = deployments();
    let newest = cluster.client.get(&gvr, "default", "web").await.unwrap()["metadata"]["generation"].as_i64();
    cluster
        .until("the deployment is done", |cache| {
            let known = cache.get(&gvr, "default", "web");
            known.is_some_and(|known| {
                known["metadata"]["generation"].as_i64() >= newest && is_done(&known, replicas)
            })
        })
        .await;
}

async fn set_image(cluster: &Cluster, image: &str) {
    let patch = Patch::Strategic(
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}),
    );
    cluster.client.patch(&deployments(), "default", "web", "", &patch).await.unwrap();
}

#[tokio::test]
async fn a_deployment_is_rolled_out_updated_and_undone() {
    let cluster = Cluster::start().await;
    cluster.create(&deployments(), deployment(3)).await;
    until_done(&cluster, 3).await;
    let set = |image: &'static str| {
        let sets = cluster.cache().values(&resource("apps", "v1", "replicasets"), "default");
        sets.into_iter()
            .find(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == image)
            .unwrap()
    };
    assert_eq!(meta::annotation(&set("one"), "deployment.kubernetes.io/revision"), Some("1"));
    set_image(&cluster, "two").await;
    until_done(&cluster, 3).await;
    assert_eq!(set("one")["spec"]["replicas"], 0);
    assert_eq!(meta::annotation(&set("two"), "deployment.kubernetes.io/revision"), Some("2"));
    set_image(&cluster, "one").await;
    until_done(&cluster, 3).await;
    assert_eq!(meta::annotation(&set("one"), "deployment.kubernetes.io/revision"), Some("3"));
    let pods = cluster
        .client
        .list(&resource("", "v1", "pods"), "default", &ListOptions::default())
        .await
        .unwrap()
        .items;
    assert_eq!(pods.len(), 3);
    let events = cluster.events("Deployment").await;
    assert!(
        events
            .iter()
            .any(|(reason, message)| reason == "ScalingReplicaSet" && message.ends_with("from 0 to 3")),
        "{events:?}"
    );
}

#[tokio::test]
async fn no_pod_is_made_twice() {
    let cluster = Cluster::start().await;
    cluster.create(&deployments(), deployment(40)).await;
    until_done(&cluster, 40).await;
    let events = cluster.events("ReplicaSet").await;
    assert!(!events.iter().any(|(reason, _)| reason == "SuccessfulDelete"), "{events:?}");
}

#[tokio::test]
async fn a_deployment_goes_with_all_that_is_its_own() {
    let cluster = Cluster::start().await;
    cluster.create(&deployments(), deployment(2)).await;
    until_done(&cluster, 2).await;
    let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    cluster.client.delete(&deployments(), "default", "web", &options).await.unwrap();
    let all = [deployments(), resource("apps", "v1", "replicasets"), resource("", "v1", "pods")];
    cluster.until("all are gone", |cache| all.iter().all(|gvr| cache.list(gvr, "default").is_empty())).await;
}

#[tokio::test]
async fn a_service_has_its_pods_behind_it() {
    let cluster = Cluster::start().await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    cluster.create(&resource("", "v1", "services"), service).await;
    cluster.create(&deployments(), deployment(2)).await;
    let (endpoints, slices) =
        (resource("", "v1", "endpoints"), resource("discovery.k8s.io", "v1", "endpointslices"));
    cluster
        .until("both tell of two pods", |cache| {
            let ready = |list: &Value| list.as_array().map_or(0, Vec::len) == 2;
            let told =
                cache.get(&endpoints, "default", "web").is_some_and(|e| ready(&e["subsets"][0]["addresses"]));
            let mut sliced = cache.values(&slices, "default").into_iter();
            told && sliced.any(|s| {
                meta::label(&s, "kubernetes.io/service-name") == Some("web") && ready(&s["endpoints"])
            })
        })
        .await;
}
