//! What users do to a cluster while it is killed. Each act may be done again: its user does not know whether it was done.

use super::kubelet::NODE;
use super::record::{Holds, Pods};
use crate::harness::{resource, template};
use client::{Client, DeleteOptions, Patch, Propagation};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::{ApiError, GroupVersionResource, Value, json, meta};

/// What a user does.
pub type Act = fn(&Client) -> BoxFuture<'_, ()>;

pub struct Story {
    pub name: &'static str,
    /// Makes what is there before.
    pub prepare: Act,
    pub act: Act,
    pub holds: Holds,
}

pub const ROLLOUT: Story = Story {
    name: "a rollout",
    prepare: |client| web(client, 6).boxed(),
    act: |client| {
        let template =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
        change(client, template).boxed()
    },
    // maxSurge and maxUnavailable are a quarter each
    holds: |pods| {
        let (all, ready) = (count(pods, |_| true), count(pods, is_ready));
        all <= 8 && ready >= 5
    },
};

pub const SCALE_DOWN: Story = Story {
    name: "a scale-down",
    prepare: |client| web(client, 9).boxed(),
    act: |client| change(client, json!({"spec": {"replicas": 4}})).boxed(),
    holds: |pods| count(pods, is_ready) >= 4,
};

pub const SCALE_UP: Story = Story {
    name: "a scale-up",
    prepare: |client| web(client, 2).boxed(),
    act: |client| change(client, json!({"spec": {"replicas": 12}})).boxed(),
    holds: |pods| pods.len() <= 12,
};

pub const STATEFUL: Story = Story {
    name: "a stateful rollout",
    prepare: |client| {
        async {
            node(client).await;
            make(client, "apps", "statefulsets", "default", stateful_set(4)).await;
        }
        .boxed()
    },
    act: |client| {
        async {
            let template =
                json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
            let sets = resource("apps", "v1", "statefulsets");
            client.patch(&sets, "default", "db", "", &Patch::Strategic(template)).await.unwrap();
        }
        .boxed()
    },
    // one after the other
    holds: |pods| pods.len() <= 4 && count(pods, is_ready) >= 3,
};

pub const NAMESPACE: Story = Story {
    name: "a namespace's deletion",
    prepare: |client| furnished(client).boxed(),
    act: |client| {
        async {
            let options =
                DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
            match client.delete(&namespaces(), "", "a", &options).await {
                Ok(_) | Err(ApiError::NotFound { .. } | ApiError::Conflict { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        .boxed()
    },
    holds: |pods| pods.len() <= 6,
};

pub const JOB: Story = Story {
    name: "a job",
    prepare: |client| node(client).boxed(),
    act: |client| {
        async {
            make(
                client,
                "batch",
                "jobs",
                "default",
                job("plain", json!({"completions": 7, "parallelism": 3})),
            )
            .await;
            let indexed = json!({"completions": 5, "parallelism": 2, "completionMode": "Indexed"});
            make(client, "batch", "jobs", "default", job("indexed", indexed)).await;
        }
        .boxed()
    },
    holds: |pods| {
        let running = |job: &str| {
            count(pods, |pod| {
                meta::label(pod, "job-name") == Some(job)
                    && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded"))
            })
        };
        running("plain") <= 3 && running("indexed") <= 2
    },
};

/// Pods that nobody deletes and that are so.
fn count(pods: &Pods, is: impl Fn(&Value) -> bool) -> usize {
    pods.values().filter(|pod| meta::deletion_timestamp(pod).is_none() && is(pod)).count()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn namespaces() -> GroupVersionResource {
    resource("", "v1", "namespaces")
}

/// Creates an object, or finds that it is there.
async fn make(client: &Client, group: &str, kind: &str, namespace: &str, mut object: Value) {
    meta::set(&mut object, "namespace", namespace);
    match client.create(&resource(group, "v1", kind), &object).await {
        Ok(_) | Err(ApiError::AlreadyExists { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

async fn node(client: &Client) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    client.create(&resource("", "v1", "nodes"), &node).await.unwrap();
}

fn deployment(replicas: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(json!({"app": "web"}), "one")}})
}

fn stateful_set(replicas: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "template": template(json!({"app": "db"}), "i")}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
}

/// A Job of pods that succeed.
fn job(name: &str, spec: Value) -> Value {
    let mut template = template(json!({}), "i");
    template["spec"]["containers"][0]["command"] = json!(["exit", "0"]);
    template["spec"]["restartPolicy"] = "Never".into();
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec});
    job["spec"]["template"] = template;
    job
}

/// A deployment with a service.
async fn web(client: &Client, replicas: u64) {
    node(client).await;
    make(client, "", "services", "default", service()).await;
    make(client, "apps", "deployments", "default", deployment(replicas)).await;
}

/// Patches it.
async fn change(client: &Client, patch: Value) {
    let deployments = resource("apps", "v1", "deployments");
    client.patch(&deployments, "default", "web", "", &Patch::Strategic(patch)).await.unwrap();
}

/// A namespace with something of everything.
async fn furnished(client: &Client) {
    node(client).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
    client.create(&namespaces(), &namespace).await.unwrap();
    make(client, "", "services", "a", service()).await;
    make(client, "apps", "deployments", "a", deployment(2)).await;
    make(client, "apps", "statefulsets", "a", stateful_set(2)).await;
    make(client, "batch", "jobs", "a", job("j", json!({"completions": 2, "parallelism": 2}))).await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "finalizers": []}, "data": {"a": "b"}});
    make(client, "", "configmaps", "a", map).await;
}
