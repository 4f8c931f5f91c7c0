//! Controllers killed at any point: new ones reach the same end, and nothing is done twice.

use crate::harness::{Cluster, resource, template};
use client::{DeleteOptions, ListOptions, Patch, Propagation};
use object::meta;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SEEDS: u64 = 12;

/// Where to kill: a few changes on, another number for each seed and round.
fn pauses(seed: u64) -> impl Iterator<Item = usize> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 12) as usize
    })
    .take(4)
}

#[tokio::test]
async fn a_rollout_survives() {
    let (deployments, sets) = (resource("apps", "v1", "deployments"), resource("apps", "v1", "replicasets"));
    for seed in 0..SEEDS {
        let mut cluster = Cluster::start().await;
        let made = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": template(json!({"app": "web"}), "one")}});
        cluster.create(&deployments, made).await;
        for (round, pause) in pauses(seed).enumerate() {
            cluster.changes(pause).await;
            cluster.restart().await;
            if round == 1 {
                let patch = Patch::Strategic(
                    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}),
                );
                cluster.client.patch(&deployments, "default", "web", "", &patch).await.unwrap();
            }
        }
        cluster
            .until("all are of the second image", |cache| {
                let Some(web) = cache.get(&deployments, "default", "web") else { return false };
                let status = &web["status"];
                status["observedGeneration"] == 2
                    && ["replicas", "updatedReplicas", "availableReplicas"]
                        .iter()
                        .all(|field| status[*field] == 4)
            })
            .await;
        let sets = cluster.client.list(&sets, "default", &ListOptions::default()).await.unwrap().items;
        let mut sizes: Vec<_> = sets.iter().map(|set| set["spec"]["replicas"].as_i64().unwrap()).collect();
        sizes.sort_unstable();
        assert!(sizes == [0, 4] || sizes == [4], "seed {seed}: {sizes:?}");
        let pods = cluster
            .client
            .list(&resource("", "v1", "pods"), "default", &ListOptions::default())
            .await
            .unwrap()
            .items;
        let live = pods.iter().filter(|pod| meta::deletion_timestamp(pod).is_none()).count();
        assert_eq!(live, 4, "seed {seed}");
    }
}

#[tokio::test]
async fn no_pod_of_a_scale_up_is_made_twice() {
    let sets = resource("apps", "v1", "replicasets");
    for seed in 0..SEEDS {
        let mut cluster = Cluster::start().await;
        let made = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "namespace": "default"},
            "spec": {"replicas": 30, "selector": {"matchLabels": {"app": "r"}}, "template": template(json!({"app": "r"}), "one")}});
        cluster.create(&sets, made).await;
        for pause in pauses(seed) {
            cluster.changes(pause).await;
            cluster.restart().await;
        }
        let ready = |set: &Value| set["status"]["readyReplicas"] == 30 && set["status"]["replicas"] == 30;
        cluster
            .until("thirty are ready", |cache| {
                cache.get(&sets, "default", "r").is_some_and(|set| ready(&set))
            })
            .await;
        let deleted = cluster
            .events("ReplicaSet")
            .await
            .into_iter()
            .filter(|(reason, _)| reason == "SuccessfulDelete")
            .count();
        assert_eq!(deleted, 0, "seed {seed}");
    }
}

#[tokio::test]
async fn a_job_counts_right_whatever_happens() {
    let jobs = resource("batch", "v1", "jobs");
    for seed in 0..SEEDS {
        let mut cluster = Cluster::start().await;
        let mut template = template(json!({"x": "y"}), "i");
        template["spec"]["containers"][0]["command"] = json!(["exit", "0"]);
        template["spec"]["restartPolicy"] = "Never".into();
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "default"},
            "spec": {"completions": 10, "parallelism": 3, "template": template}});
        cluster.create(&jobs, job).await;
        for pause in pauses(seed) {
            cluster.changes(pause).await;
            cluster.restart().await;
        }
        cluster
            .until("the job is complete", |cache| {
                cache
                    .get(&jobs, "default", "j")
                    .is_some_and(|job| job["status"]["completionTime"].is_string())
            })
            .await;
        let job = cluster.client.get(&jobs, "default", "j").await.unwrap();
        let pods = cluster
            .client
            .list(&resource("", "v1", "pods"), "default", &ListOptions::default())
            .await
            .unwrap()
            .items;
        let uids: BTreeSet<_> = pods.iter().map(meta::uid).collect();
        assert_eq!((job["status"]["succeeded"].as_i64(), uids.len()), (Some(10), 10), "seed {seed}");
    }
}

#[tokio::test]
async fn a_namespace_goes_whatever_happens() {
    let (namespaces, sets) = (resource("", "v1", "namespaces"), resource("apps", "v1", "statefulsets"));
    for seed in 0..SEEDS {
        let mut cluster = Cluster::start().await;
        cluster
            .create(&namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}))
            .await;
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "a"},
            "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template(json!({"app": "db"}), "i")}});
        cluster.create(&sets, set).await;
        cluster.changes(5).await;
        let options =
            DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        cluster.client.delete(&namespaces, "", "a", &options).await.unwrap();
        for pause in pauses(seed) {
            cluster.changes(pause).await;
            cluster.restart().await;
        }
        let synced = |cache: &client::Cache| cache.has_synced([&namespaces]);
        cluster
            .until("the namespace is gone", |cache| {
                synced(cache) && cache.entry(&namespaces, "", "a").is_none()
            })
            .await;
    }
}
