use crate::harness::{Cluster, resource, template};
use client::{DeleteOptions, ListOptions, Propagation};
use object::{GroupVersionResource, meta};
use serde_json::{Value, json};

fn jobs() -> GroupVersionResource {
    resource("batch", "v1", "jobs")
}

fn job(name: &str, code: &str, more: Value) -> Value {
    let mut template = template(json!({"x": "y"}), "i");
    template["spec"]["containers"][0]["command"] = json!(["exit", code]);
    template["spec"]["restartPolicy"] = "Never".into();
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": template}});
    for (key, value) in more.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

fn has(job: &Value, condition: &str) -> bool {
    job["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == condition && c["status"] == "True")
}

async fn ended(cluster: &Cluster, name: &str, condition: &str) -> Value {
    let gvr = jobs();
    cluster
        .until(condition, |cache| cache.get(&gvr, "default", name).is_some_and(|job| has(&job, condition)))
        .await;
    cluster.client.get(&gvr, "default", name).await.unwrap()
}

#[tokio::test]
async fn a_job_counts_each_of_its_pods_once() {
    let cluster = Cluster::start().await;
    cluster.create(&jobs(), job("j", "0", json!({"completions": 20, "parallelism": 5}))).await;
    let done = ended(&cluster, "j", "Complete").await;
    assert_eq!(done["status"]["succeeded"], 20);
    assert_eq!(done["status"]["uncountedTerminatedPods"], json!({}));
    let pods = cluster
        .client
        .list(&resource("", "v1", "pods"), "default", &ListOptions::default())
        .await
        .unwrap()
        .items;
    assert_eq!(pods.len(), 20);
    assert!(pods.iter().all(|pod| meta::finalizers(pod).next().is_none()));
    assert!(cluster.events("Job").await.contains(&("Completed".into(), "Job completed".into())));
}

#[tokio::test]
async fn an_indexed_job_completes_every_index() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            &jobs(),
            job("j", "0", json!({"completions": 7, "parallelism": 3, "completionMode": "Indexed"})),
        )
        .await;
    let done = ended(&cluster, "j", "Complete").await;
    assert_eq!(
        (&done["status"]["completedIndexes"], &done["status"]["succeeded"]),
        (&json!("0-6"), &json!(7))
    );
}

#[tokio::test]
async fn a_failing_job_fails_and_goes_with_its_pods() {
    let cluster = Cluster::start().await;
    cluster.create(&jobs(), job("j", "3", json!({"backoffLimit": 0}))).await;
    let failed = ended(&cluster, "j", "Failed").await;
    assert_eq!(failed["status"]["failed"], 1);
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    cluster.client.delete(&jobs(), "default", "j", &options).await.unwrap();
    let pods = resource("", "v1", "pods");
    cluster.until("the pods are gone", |cache| cache.list(&pods, "default").is_empty()).await;
}

#[tokio::test]
async fn a_cron_job_makes_a_job() {
    let cluster = Cluster::start().await;
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"schedule": "@every 1s", "jobTemplate": {"spec": job("", "0", json!({}))["spec"]}}});
    let gvr = resource("batch", "v1", "cronjobs");
    cluster.create(&gvr, cron).await;
    cluster
        .until("a job of the cron job is done", |cache| {
            cache
                .get(&gvr, "default", "c")
                .is_some_and(|cron| cron["status"]["lastSuccessfulTime"].is_string())
        })
        .await;
}
