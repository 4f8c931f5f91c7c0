use crate::harness::{Cluster, resource};
use client::{DeleteOptions, Propagation};
use object::meta;
use serde_json::{Value, json};

fn config_map(name: &str, owner: Option<&Value>) -> Value {
    let mut made =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
    if let Some(owner) = owner {
        made["metadata"]["ownerReferences"] = json!([meta::controller_reference(owner)]);
    }
    made
}

async fn family(propagation: Propagation) -> (Cluster, impl Fn(&client::Cache, &str) -> bool) {
    let cluster = Cluster::start().await;
    let config_maps = resource("", "v1", "configmaps");
    let parent = cluster.create(&config_maps, config_map("parent", None)).await;
    cluster.create(&config_maps, config_map("child", Some(&parent))).await;
    cluster
        .until("the child is known", |cache| cache.entry(&config_maps, "default", "child").is_some())
        .await;
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    cluster.client.delete(&config_maps, "default", "parent", &options).await.unwrap();
    (cluster, move |cache: &client::Cache, name: &str| cache.entry(&config_maps, "default", name).is_some())
}

#[tokio::test]
async fn in_the_background_the_owner_goes_first() {
    let (cluster, there) = family(Propagation::Background).await;
    cluster.until("both are gone", |cache| !there(cache, "parent") && !there(cache, "child")).await;
}

#[tokio::test]
async fn in_the_foreground_the_dependents_go_first() {
    let (cluster, there) = family(Propagation::Foreground).await;
    cluster.until("both are gone", |cache| !there(cache, "parent") && !there(cache, "child")).await;
}

#[tokio::test]
async fn orphans_stay() {
    let (cluster, there) = family(Propagation::Orphan).await;
    let config_maps = resource("", "v1", "configmaps");
    cluster
        .until("the parent is gone and the child is free", |cache| {
            let child = cache.entry(&config_maps, "default", "child");
            !there(cache, "parent") && child.is_some_and(|child| child.owners.is_empty())
        })
        .await;
}

#[tokio::test]
async fn what_names_an_owner_that_never_was_goes() {
    let cluster = Cluster::start().await;
    let config_maps = resource("", "v1", "configmaps");
    let nobody = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nobody", "uid": "no-such-uid"}});
    cluster.create(&config_maps, config_map("child", Some(&nobody))).await;
    // Of a kind that nobody serves nothing is known: it stays.
    let unknown = json!({"apiVersion": "example.com/v1", "kind": "Nope", "metadata": {"name": "nobody", "uid": "no-such-uid"}});
    cluster.create(&config_maps, config_map("safe", Some(&unknown))).await;
    cluster
        .until("only the safe one is left", |cache| {
            cache.entry(&config_maps, "default", "child").is_none()
                && cache.entry(&config_maps, "default", "safe").is_some()
        })
        .await;
}

#[tokio::test]
async fn custom_resources_are_collected_too() {
    let cluster = Cluster::start().await;
    let definitions = resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let widgets = resource("example.com", "v1", "widgets");
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    cluster.create(&definitions, definition).await;
    cluster
        .until("widgets are tracked", |cache| cache.store(&widgets).is_some_and(|store| store.has_synced()))
        .await;
    let config_maps = resource("", "v1", "configmaps");
    let parent = cluster.create(&config_maps, config_map("parent", None)).await;
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default",
        "ownerReferences": [meta::controller_reference(&parent)]}});
    cluster.create(&widgets, widget).await;
    cluster.until("the widget is known", |cache| cache.entry(&widgets, "default", "w").is_some()).await;
    cluster.client.delete(&config_maps, "default", "parent", &DeleteOptions::default()).await.unwrap();
    cluster.until("the widget is gone", |cache| cache.entry(&widgets, "default", "w").is_none()).await;
}
