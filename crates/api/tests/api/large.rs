//! Collections that are too large to be held whole.

use crate::cluster::{CONFIG_MAPS, Cluster};
use client::Body;
use futures::StreamExt;
use http::{Method, Request};
use object::{Value, json};

const COUNT: usize = 40;
/// Bytes that a client is handed at a time.
const CHUNK: usize = 64 << 10;

async fn filled() -> Cluster {
    let cluster = Cluster::new().await;
    for number in 0..COUNT {
        let labels = json!({"half": (number % 2).to_string()});
        let data = json!({"a": "x".repeat(100_000)});
        let object = json!({"metadata": {"name": format!("c{number:02}"), "labels": labels}, "data": data});
        cluster.create(CONFIG_MAPS, object).await;
    }
    cluster
}

/// All of an answer, and its longest part.
async fn ask(cluster: &Cluster, path: &str, accept: &str) -> (Vec<u8>, usize) {
    let request = Request::builder().uri(path).header("accept", accept).body(Default::default());
    let answer = cluster.answer(request.expect("a request")).await;
    assert_eq!(answer.status(), 200);
    let Body::Stream(mut stream) = answer.into_body() else { panic!("{path} is held whole") };
    let (mut all, mut longest) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.expect("a part");
        longest = longest.max(chunk.len());
        all.extend_from_slice(&chunk);
    }
    (all, longest)
}

fn names(items: &Value, at: &str) -> Vec<String> {
    let name = |item: &Value| item.pointer(at).and_then(Value::as_str).unwrap_or("").to_owned();
    items.as_array().into_iter().flatten().map(name).collect()
}

fn all() -> Vec<String> {
    (0..COUNT).map(|number| format!("c{number:02}")).collect()
}

#[tokio::test]
async fn every_shape_is_sent_in_parts() {
    let cluster = filled().await;
    let (text, longest) = ask(&cluster, CONFIG_MAPS, "application/json").await;
    assert!(longest <= CHUNK, "{longest}");
    let list: Value = serde_json::from_slice(&text).expect("one document");
    assert_eq!((&list["kind"], &list["metadata"]["continue"]), (&json!("ConfigMapList"), &Value::Null));
    assert_eq!(names(&list["items"], "/metadata/name"), all());
    assert!(
        list["items"].as_array().into_iter().flatten().all(|i| i["metadata"]["resourceVersion"].is_string())
    );

    let half = format!("{CONFIG_MAPS}?labelSelector=half%3D1");
    let list: Value =
        serde_json::from_slice(&ask(&cluster, &half, "application/json").await.0).expect("JSON");
    let odd = all().into_iter().skip(1).step_by(2).collect::<Vec<_>>();
    assert_eq!(names(&list["items"], "/metadata/name"), odd);

    let table = "application/json;as=Table;g=meta.k8s.io;v=v1";
    let table: Value = serde_json::from_slice(&ask(&cluster, CONFIG_MAPS, table).await.0).expect("JSON");
    assert_eq!(names(&table["rows"], "/cells/0"), all());
    assert!(table["columnDefinitions"].is_array());

    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let partial: Value = serde_json::from_slice(&ask(&cluster, CONFIG_MAPS, partial).await.0).expect("JSON");
    assert_eq!(names(&partial["items"], "/metadata/name"), all());
}

#[tokio::test]
async fn protobuf_in_parts_is_one_list() {
    let cluster = filled().await;
    let (bytes, longest) = ask(&cluster, CONFIG_MAPS, "application/vnd.kubernetes.protobuf").await;
    assert!(longest <= CHUNK, "{longest}");
    let list = schema::proto::decode_envelope(&bytes).expect("one list");
    assert_eq!(names(&list["items"], "/metadata/name"), all());
}

#[tokio::test]
async fn pages_may_be_shorter_than_asked_for() {
    let cluster = filled().await;
    let mut found = Vec::new();
    let mut path = format!("{CONFIG_MAPS}?limit=500");
    loop {
        let page = cluster.get(&path).await.body;
        let some = names(&page["items"], "/metadata/name");
        assert!(some.len() < COUNT, "a page of 4 MB");
        found.extend(some);
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        path = format!("{CONFIG_MAPS}?limit=500&continue={token}");
    }
    assert_eq!(found, all());
}

#[tokio::test]
async fn a_watch_begins_with_all_of_it() {
    let cluster = filled().await;
    let path = format!(
        "{CONFIG_MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut watch = cluster.watch(&path).await;
    for name in all() {
        assert_eq!(watch.next().await.0, format!("ADDED {name}"));
    }
    assert_eq!(watch.next().await.0, "BOOKMARK ");
}

#[tokio::test]
async fn all_of_it_is_deleted() {
    let cluster = filled().await;
    assert_eq!(cluster.delete(CONFIG_MAPS).await.code, 200);
    assert_eq!(cluster.get(CONFIG_MAPS).await.body["items"], json!([]));
}

/// Clients that do not read what they asked for keep others of the same cluster waiting, and nobody's memory.
#[tokio::test(start_paused = true)]
async fn only_so_many_are_on_their_way() {
    let cluster = filled().await;
    let list = || {
        Request::builder().method(Method::GET).uri(CONFIG_MAPS).body(Default::default()).expect("a request")
    };
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(cluster.answer(list()).await);
    }
    let refused = cluster.answer(list()).await;
    assert_eq!(refused.status(), 429);
    held.pop();
    assert_eq!(cluster.answer(list()).await.status(), 200);
}
