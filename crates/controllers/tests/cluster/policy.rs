use crate::harness::{Cluster, resource, template};
use serde_json::json;

#[tokio::test]
async fn a_quota_tells_what_is_used() {
    let cluster = Cluster::start().await;
    let (quotas, config_maps) = (resource("", "v1", "resourcequotas"), resource("", "v1", "configmaps"));
    // What is there before the quota is counted when it comes; what comes later is charged by admission.
    let certificates =
        |cache: &client::Cache| cache.entry(&config_maps, "default", "kube-root-ca.crt").is_some();
    cluster.until("the certificates are there", certificates).await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "default"},
        "spec": {"hard": {"configmaps": "10", "pods": "5", "count/configmaps": "10"}}});
    cluster.create(&quotas, quota).await;
    let used = |count: &'static str| {
        let quotas = quotas.clone();
        move |cache: &client::Cache| {
            let quota = cache.get(&quotas, "default", "q");
            quota.is_some_and(|q| {
                q["status"]["used"] == json!({"configmaps": count, "pods": "0", "count/configmaps": count})
            })
        }
    };
    // The cluster's certificates are one.
    cluster.until("one is used", used("1")).await;
    cluster.create(&config_maps, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}})).await;
    cluster.until("two are used", used("2")).await;
    cluster.client.delete(&config_maps, "default", "c", &Default::default()).await.unwrap();
    cluster.until("one is used again", used("1")).await;
}

#[tokio::test]
async fn a_budget_tells_what_may_be_disturbed() {
    let cluster = Cluster::start().await;
    let (budgets, sets) =
        (resource("policy", "v1", "poddisruptionbudgets"), resource("apps", "v1", "replicasets"));
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    cluster.create(&budgets, budget).await;
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": template(json!({"app": "x"}), "i")}});
    cluster.create(&sets, set).await;
    cluster
        .until("one may be disturbed", |cache| {
            let budget = cache.get(&budgets, "default", "b");
            budget
                .is_some_and(|b| b["status"]["disruptionsAllowed"] == 1 && b["status"]["currentHealthy"] == 3)
        })
        .await;
}

#[tokio::test]
async fn a_claim_is_bound_to_a_volume_that_fits() {
    let cluster = Cluster::start().await;
    let (volumes, claims) =
        (resource("", "v1", "persistentvolumes"), resource("", "v1", "persistentvolumeclaims"));
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
        "spec": {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}});
    cluster.create(&volumes, volume).await;
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"storageClassName": "", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.create(&claims, claim).await;
    cluster
        .until("both are bound", |cache| {
            let bound = |object: Option<std::sync::Arc<serde_json::Value>>| {
                object.is_some_and(|o| o["status"]["phase"] == "Bound")
            };
            bound(cache.get(&volumes, "", "v")) && bound(cache.get(&claims, "default", "c"))
        })
        .await;
    cluster.client.delete(&claims, "default", "c", &Default::default()).await.unwrap();
    cluster
        .until("the volume is released", |cache| {
            cache.get(&volumes, "", "v").is_some_and(|v| v["status"]["phase"] == "Released")
        })
        .await;
}

#[tokio::test]
async fn endpoints_written_by_hand_are_mirrored() {
    let cluster = Cluster::start().await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "default"},
        "spec": {"ports": [{"port": 5432}]}});
    cluster.create(&resource("", "v1", "services"), service).await;
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "10.9.8.7"}], "ports": [{"port": 5432}]}]});
    cluster.create(&resource("", "v1", "endpoints"), endpoints).await;
    let slices = resource("discovery.k8s.io", "v1", "endpointslices");
    let mirrored = |cache: &client::Cache| {
        cache
            .values(&slices, "default")
            .iter()
            .any(|slice| slice["endpoints"][0]["addresses"][0] == "10.9.8.7")
    };
    cluster.until("a slice has the address", mirrored).await;
    cluster
        .client
        .delete(&resource("", "v1", "endpoints"), "default", "db", &Default::default())
        .await
        .unwrap();
    cluster.until("the slice is gone", |cache| !mirrored(cache)).await;
}
