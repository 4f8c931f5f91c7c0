//! Custom resources in versions that a webhook converts between.

use crate::cluster::Cluster;
use api::{Destination, Outbound};
use bytes::Bytes;
use expect_test::expect;
use futures::future::BoxFuture;
use object::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// `v1` has `host` and `port`, `v2` both in one. Counts how often it was asked.
#[derive(Default)]
struct Converter {
    asked: AtomicUsize,
}

fn convert(mut object: Value, to: &Value) -> Value {
    object["apiVersion"] = to.clone();
    let spec = &object["spec"];
    object["spec"] = if *to == "example.com/v2" {
        json!({"address": format!("{}:{}", spec["host"].as_str().unwrap_or(""), spec["port"].as_str().unwrap_or(""))})
    } else {
        let address = spec["address"].as_str().unwrap_or("");
        let (host, port) = address.split_once(':').unwrap_or((address, ""));
        json!({"host": host, "port": port})
    };
    object
}

impl Outbound for Converter {
    fn post(&self, to: Destination, body: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        let request = &review["request"];
        let objects: Vec<Value> = request["objects"].as_array().cloned().unwrap_or_default();
        let mut converted: Vec<Value> =
            objects.into_iter().map(|o| convert(o, &request["desiredAPIVersion"])).collect();
        let mut result = json!({"status": "Success"});
        for object in &mut converted {
            match object["metadata"]["name"].as_str() {
                Some("renamed") => object["metadata"]["name"] = "other".into(),
                Some("refused") => result = json!({"status": "Failed", "message": "not this one"}),
                _ => object["metadata"]["labels"] = json!({"converted": "yes"}),
            }
        }
        let answer = json!({"kind": "ConversionReview", "apiVersion": review["apiVersion"],
            "response": {"uid": request["uid"], "result": result, "convertedObjects": converted}});
        let down = to.url.contains("/down").then(|| format!("Post \"{}\": dial tcp: refused", to.url));
        Box::pin(async move { down.map_or_else(|| Ok(answer.to_string().into()), Err) })
    }
}

fn definition(stored: &str) -> Value {
    let version = |name: &str, properties: Value| {
        json!({"name": name, "served": true, "storage": name == stored, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": properties}},
        }}, "subresources": {"status": {}}})
    };
    let text = json!({"type": "string"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "links.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "links", "kind": "Link"},
            "versions": [
                version("v1", json!({"host": text, "port": text})),
                version("v2", json!({"address": {"type": "string", "minLength": 2}})),
            ],
            "conversion": {"strategy": "Webhook", "webhook": {
                "clientConfig": {"url": "https://hook.example.com/convert"}, "conversionReviewVersions": ["v9", "v1", "v1beta1"],
            }},
        },
    })
}

async fn cluster() -> (Cluster, Arc<Converter>) {
    let cluster = Cluster::new().await;
    let converter = Arc::new(Converter::default());
    cluster.api.set_outbound(converter.clone());
    cluster.create(DEFINITIONS, definition("v1")).await;
    (cluster, converter)
}

fn links(version: &str) -> String {
    format!("/apis/example.com/{version}/namespaces/default/links")
}

fn link(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Link", "metadata": {"name": name}, "spec": {"host": "h", "port": "1"}})
}

#[tokio::test]
async fn objects_are_shown_in_every_version() {
    let (cluster, converter) = cluster().await;
    for name in ["a", "b", "c"] {
        cluster.create(&links("v1"), link(name)).await;
    }
    assert_eq!(converter.asked.load(Ordering::Relaxed), 0, "they are kept in the version they came in");
    let list = cluster.get(&links("v2")).await.body;
    let all: Vec<_> = list["items"].as_array().into_iter().flatten().map(|i| i["spec"].to_string()).collect();
    assert_eq!(all, [r#"{"address":"h:1"}"#; 3]);
    assert_eq!(converter.asked.load(Ordering::Relaxed), 1, "a list is asked for at once");
    let one = cluster.get(&format!("{}/a", links("v2"))).await.body;
    assert_eq!(
        (&one["apiVersion"], &one["metadata"]["labels"]["converted"]),
        (&json!("example.com/v2"), &json!("yes"))
    );
    let new = json!({"apiVersion": "example.com/v2", "kind": "Link", "metadata": {"name": "d"}, "spec": {"address": "x:9"}});
    assert_eq!(cluster.create(&links("v2"), new).await["spec"], json!({"address": "x:9"}));
    assert_eq!(
        cluster.get(&format!("{}/d", links("v1"))).await.body["spec"],
        json!({"host": "x", "port": "9"})
    );
}

#[tokio::test]
async fn objects_stay_as_they_were_stored_until_written() {
    let (cluster, converter) = cluster().await;
    cluster.create(&links("v1"), link("old")).await;
    let path = format!("{DEFINITIONS}/links.example.com");
    let mut moved = cluster.get(&path).await.body;
    moved["spec"] = definition("v2")["spec"].clone();
    assert_eq!(cluster.put(&path, moved).await.body["status"]["storedVersions"], json!(["v1", "v2"]));
    assert_eq!(cluster.get(&format!("{}/old", links("v1"))).await.body["spec"]["host"], "h");
    assert_eq!(converter.asked.load(Ordering::Relaxed), 0);
    assert_eq!(cluster.get(&format!("{}/old", links("v2"))).await.body["spec"]["address"], "h:1");
    let touched = cluster.merge(&format!("{}/old", links("v1")), json!({"spec": {"port": "2"}})).await;
    assert_eq!((touched.code, &touched.body["spec"]["port"]), (200, &json!("2")), "{}", touched.body);
    converter.asked.store(0, Ordering::Relaxed);
    assert_eq!(cluster.get(&format!("{}/old", links("v2"))).await.body["spec"]["address"], "h:2");
    assert_eq!(converter.asked.load(Ordering::Relaxed), 0, "it is kept in v2 now");
}

#[tokio::test]
async fn schemas_are_those_of_the_request() {
    let (cluster, _) = cluster().await;
    let short = json!({"apiVersion": "example.com/v2", "kind": "Link", "metadata": {"name": "d"}, "spec": {"address": "x"}});
    let refused = cluster.post(&links("v2"), short).await;
    let message = "Link.example.com \"d\" is invalid: spec.address: Invalid value: \"x\": spec.address in body should be at least 2 chars long";
    assert_eq!(refused.body["message"], message);
}

#[tokio::test]
async fn owners_are_kept_across_versions() {
    let (cluster, _) = cluster().await;
    let path = |version: &str| format!("{}/a", links(version));
    assert_eq!(cluster.apply(&path("v1"), "one", link("a")).await.code, 201);
    let other = |address: &str| json!({"apiVersion": "example.com/v2", "kind": "Link", "metadata": {"name": "a"}, "spec": {"address": address}});
    let same = cluster.apply(&path("v2"), "two", other("h:1")).await;
    assert_eq!(same.code, 200, "{}", same.body);
    let conflict = cluster.apply(&path("v2"), "two", other("h:2")).await;
    assert_eq!(conflict.code, 409, "{}", conflict.body);
    let forced = cluster.apply(&path("v2"), "two&force=true", other("h:2")).await;
    let owners = forced.body["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owners: Vec<String> =
        owners.iter().map(|o| format!("{} {} {}", o["manager"], o["apiVersion"], o["fieldsV1"])).collect();
    expect![[r#"
        "one" "example.com/v1" {"f:spec":{"f:host":{}}}
        "two" "example.com/v2" {"f:spec":{"f:address":{}}}"#]]
    .assert_eq(&owners.join("\n"));
}

#[tokio::test]
async fn watches_convert() {
    let (cluster, converter) = cluster().await;
    cluster.create(&links("v1"), link("a")).await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(cluster.watch(&format!("{}?watch=1", links("v2"))).await);
    }
    for watch in &mut watches {
        assert_eq!(watch.next().await.1["spec"]["address"], "h:1");
    }
    converter.asked.store(0, Ordering::Relaxed);
    cluster.merge(&format!("{}/a", links("v1")), json!({"spec": {"port": "2"}})).await;
    for watch in &mut watches {
        let (event, object) = watch.next().await;
        assert_eq!((event.as_str(), &object["spec"]["address"]), ("MODIFIED a", &json!("h:2")));
    }
    assert_eq!(converter.asked.load(Ordering::Relaxed), 1, "the watchers share what was converted");
    cluster.delete(&format!("{}/a", links("v1"))).await;
    assert_eq!(watches[0].next().await.0, "DELETED a");
}

#[tokio::test]
async fn failures_are_told() {
    let (cluster, _) = cluster().await;
    let failure = async |name: &str| {
        cluster.create(&links("v1"), link(name)).await;
        let answer = cluster.get(&format!("{}/{name}", links("v2"))).await;
        format!("{} {}", answer.code, answer.body["message"].as_str().unwrap_or(""))
    };
    expect!["500 conversion webhook for example.com/v1, Kind=Link returned invalid object: must have the same name: renamed != other"]
        .assert_eq(&failure("renamed").await);
    expect!["500 conversion webhook for example.com/v1, Kind=Link failed: not this one"]
        .assert_eq(&failure("refused").await);
    let down = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"url": "https://hook.example.com/down"}}}}});
    assert_eq!(cluster.merge(&format!("{DEFINITIONS}/links.example.com"), down).await.code, 200);
    expect![[r#"500 conversion webhook for example.com/v1, Kind=Link failed: Post "https://hook.example.com/down?timeout=30s": dial tcp: refused"#]]
        .assert_eq(&failure("any").await);
    let mut watch = cluster.watch(&format!("{}?watch=1", links("v2"))).await;
    let (event, status) = watch.next().await;
    assert_eq!((event.trim(), &status["code"]), ("ERROR", &json!(500)), "{status}");
}

#[tokio::test]
async fn definitions_go_with_objects_whose_webhook_is_gone() {
    let (cluster, _) = cluster().await;
    let down = json!({"spec": {"conversion": {"webhook": {"clientConfig": {"url": "https://hook.example.com/down"}}}}});
    cluster.create(&links("v1"), link("a")).await;
    assert_eq!(cluster.merge(&format!("{DEFINITIONS}/links.example.com"), down).await.code, 200);
    assert_eq!(cluster.delete(&format!("{DEFINITIONS}/links.example.com")).await.code, 200);
    assert_eq!(cluster.get(&format!("{DEFINITIONS}/links.example.com")).await.code, 404);
}
