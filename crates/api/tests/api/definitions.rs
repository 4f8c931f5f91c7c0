//! Custom resources, from their definition to its deletion.

use crate::cluster::Cluster;
use object::{Value, json};
use store::{Expect, Write};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer", "minimum": 1, "default": 3}, "color": {"type": "string"},
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}

#[tokio::test]
async fn definitions_of_a_killed_server_are_settled_by_the_next() {
    let cluster = Cluster::new().await;
    cluster.create(DEFINITIONS, definition()).await;
    // As it was the moment it was taken.
    let key = "/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com";
    let store = cluster.api.store();
    let entry = store.get(key).await.expect("reads").0.expect("is there");
    let text = String::from_utf8(entry.value.to_vec()).expect("text");
    let (kind, json) = text.split_once('\n').expect("a kind and an object");
    let mut taken: Value = serde_json::from_str(json).expect("JSON");
    taken.as_object_mut().expect("an object").remove("status");
    let value = Some(format!("{kind}\n{taken}").into());
    let write = Write { key: key.into(), expect: Expect::At(entry.mod_revision), value, ttl: None };
    store.write(write).await.expect("writes");
    assert_eq!(cluster.get(WIDGETS).await.code, 404);
    assert_eq!(cluster.restarted().await.get(WIDGETS).await.code, 200);
}

#[tokio::test]
async fn definitions_are_served_at_once() {
    let cluster = Cluster::new().await;
    assert_eq!(cluster.get(WIDGETS).await.code, 404);
    cluster.create(DEFINITIONS, definition()).await;
    assert_eq!(cluster.get(WIDGETS).await.code, 200);
    assert_eq!(cluster.get("/apis/example.com/v1").await.body["resources"][0]["name"], "widgets");
    let service = cluster.get("/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com").await;
    assert_eq!(service.code, 200, "{}", service.body);
    let established = cluster.get(&format!("{DEFINITIONS}/widgets.example.com")).await.body;
    assert_eq!(established["status"]["conditions"][1]["type"], "Established", "{established}");
}

#[tokio::test]
async fn schemas_prune_default_and_validate() {
    let cluster = Cluster::new().await;
    cluster.create(DEFINITIONS, definition()).await;
    let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    let refused = cluster.post(WIDGETS, widget(json!({"size": 0}))).await;
    assert_eq!(refused.body["details"]["causes"][0]["field"], "spec.size", "{}", refused.body);
    let made = cluster.post(WIDGETS, widget(json!({"unknown": 1}))).await;
    assert_eq!(made.body["spec"], json!({"size": 3}));
    assert_eq!(made.warnings.len(), 1, "{:?}", made.warnings);
    let status =
        cluster.merge(&format!("{WIDGETS}/w/status"), json!({"spec": {"size": 9}, "status": {"x": 1}})).await;
    assert_eq!((&status.body["spec"]["size"], &status.body["status"]["x"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn objects_go_with_their_definition() {
    let cluster = Cluster::new().await;
    cluster.create(DEFINITIONS, definition()).await;
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    cluster.create(WIDGETS, widget).await;
    cluster.delete(&format!("{DEFINITIONS}/widgets.example.com")).await;
    assert_eq!(cluster.get(&format!("{DEFINITIONS}/widgets.example.com")).await.code, 404);
    cluster.create(DEFINITIONS, definition()).await;
    assert_eq!(cluster.get(WIDGETS).await.body["items"], json!([]));
}

#[tokio::test]
async fn names_in_use_are_refused() {
    let cluster = Cluster::new().await;
    cluster.create(DEFINITIONS, definition()).await;
    let mut other = definition();
    other["metadata"]["name"] = "things.example.com".into();
    other["spec"]["names"] = json!({"plural": "things", "kind": "Widget"});
    cluster.create(DEFINITIONS, other).await;
    let other = cluster.get(&format!("{DEFINITIONS}/things.example.com")).await.body;
    assert_eq!(other["status"]["conditions"][0]["status"], "False", "{other}");
    assert_eq!(cluster.get("/apis/example.com/v1/things").await.code, 404);
    cluster.delete(&format!("{DEFINITIONS}/widgets.example.com")).await;
    assert_eq!(cluster.get("/apis/example.com/v1/things").await.code, 200, "the name is free");
}

#[tokio::test]
async fn hundreds_of_definitions() {
    let cluster = Cluster::new().await;
    for number in 0..300 {
        let mut one = definition();
        one["metadata"]["name"] = format!("w{number}.example.com").into();
        one["spec"]["names"] = json!({"plural": format!("w{number}"), "kind": format!("W{number}")});
        cluster.create(DEFINITIONS, one).await;
    }
    let resources = cluster.get("/apis/example.com/v1").await.body;
    assert_eq!(resources["resources"].as_array().map(Vec::len), Some(600), "each with its status");
}

#[tokio::test]
async fn versions_show_what_they_know() {
    let cluster = Cluster::new().await;
    let mut versions = definition();
    let mut beta = versions["spec"]["versions"][0].clone();
    beta["name"] = "v1beta1".into();
    beta["storage"] = false.into();
    beta["deprecated"] = true.into();
    beta["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["old"] = json!({"type": "string"});
    versions["spec"]["versions"].as_array_mut().expect("versions").push(beta);
    cluster.create(DEFINITIONS, versions).await;
    let beta = WIDGETS.replace("/v1/", "/v1beta1/");
    let widget = json!({"apiVersion": "example.com/v1beta1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"old": "x", "size": 2}});
    let made = cluster.post(&beta, widget).await;
    assert_eq!(made.body["spec"], json!({"size": 2}), "the kept version has no such field");
    assert_eq!(
        made.warnings,
        ["299 - \"example.com/v1beta1 Widget is deprecated; use example.com/v1 Widget\""]
    );
    let config = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"color": "red"}});
    let applied = cluster.apply(&format!("{WIDGETS}/w"), "alice", config).await;
    assert_eq!(applied.body["spec"], json!({"color": "red", "size": 2}), "{}", applied.body);
    let shown = cluster.get(&format!("{beta}/w")).await.body;
    assert_eq!(
        (&shown["apiVersion"], &shown["spec"]["color"]),
        (&json!("example.com/v1beta1"), &json!("red"))
    );
}
