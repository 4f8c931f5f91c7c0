//! A cache against a scripted server: pages, watches that end, break and expire.

use bytes::Bytes;
use client::{Body, Cache, Client, Entry, Keep, Transport, TransportError};
use futures::StreamExt;
use futures::future::BoxFuture;
use object::GroupVersionResource;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// What the path must hold, the status code (0: no answer at all), the body's chunks.
struct Step(&'static str, u16, Vec<&'static str>);

/// Answers as scripted; after the last step everything stays open and silent.
struct Script(Mutex<VecDeque<Step>>);

impl Transport for Script {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        Box::pin(async move {
            let next = self.0.lock().pop_front();
            let Some(Step(wanted, code, chunks)) = next else {
                return Ok(http::Response::new(Body::Stream(futures::stream::pending().boxed())));
            };
            let path = request.uri().to_string();
            assert!(path.contains(wanted), "{path} instead of {wanted}");
            if code == 0 {
                return Err(TransportError("connection refused".into()));
            }
            let chunks: Vec<_> =
                chunks.into_iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
            let body = Body::Stream(futures::stream::iter(chunks).boxed());
            Ok(http::Response::builder().status(code).body(body).expect("a response"))
        })
    }
}

/// Runs a script until so many changes were told; answers them as `name old>new`.
async fn told(steps: Vec<Step>, count: usize) -> Vec<String> {
    let client = Client::new(Arc::new(Script(Mutex::new(steps.into()))), "test");
    let (cache, reflectors) = Cache::new(client);
    let (seen, more) = (Arc::new(Mutex::new(vec![])), Arc::new(Notify::new()));
    let (list, notify) = (seen.clone(), more.clone());
    cache.subscribe(Arc::new(move |change| {
        let version =
            |entry: &Option<Arc<Entry>>| entry.as_ref().map_or("-".into(), |e| e.version.to_string());
        list.lock().push(format!(
            "{} {}>{}",
            change.entry().name,
            version(&change.old),
            version(&change.new)
        ));
        notify.notify_one();
    }));
    let pods = GroupVersionResource::new("", "v1", "pods");
    cache.track(&pods, Keep::Full);
    let task = tokio::spawn(reflectors.run());
    cache.wait_synced(&[&pods]).await;
    while seen.lock().len() < count {
        more.notified().await;
    }
    task.abort();
    assert!(cache.values(&pods, "").iter().all(|pod| pod["kind"] == "Pod" && pod["apiVersion"] == "v1"));
    seen.lock().clone()
}

const LIST: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[
    {"metadata":{"name":"a","uid":"1","resourceVersion":"3"}},{"metadata":{}},{"metadata":{"name":"b","uid":"2","resourceVersion":"4"}}]}"#;

#[tokio::test(start_paused = true)]
async fn a_list_and_then_the_changes() {
    let steps = vec![
        Step("/api/v1/pods?limit=", 200, vec![LIST]),
        Step(
            "resourceVersion=5&allowWatchBookmarks=true",
            200,
            vec![
                "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"1\",\"resourceVersion\":\"6\"}}}\n{\"type\":\"BOOK",
                "MARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n",
            ],
        ),
        // The server ended the watch: on from the bookmark.
        Step(
            "resourceVersion=9",
            200,
            vec![
                "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"b\",\"uid\":\"2\",\"resourceVersion\":\"10\"}}}\n",
            ],
        ),
    ];
    assert_eq!(told(steps, 4).await, ["a ->3", "b ->4", "a 3>6", "b 4>-"]);
}

#[tokio::test(start_paused = true)]
async fn what_expired_is_listed_anew() {
    let newer = r#"{"kind":"PodList","metadata":{"resourceVersion":"20"},"items":[{"metadata":{"name":"b","uid":"2","resourceVersion":"15"}}]}"#;
    let expired = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}}\n";
    let steps = vec![
        Step("limit=", 0, vec![]),
        Step("limit=", 200, vec![LIST]),
        Step("watch=true", 200, vec![expired]),
        Step("limit=", 500, vec!["broken"]),
        Step("limit=", 200, vec![newer]),
    ];
    assert_eq!(told(steps, 4).await, ["a ->3", "b ->4", "a 3>-", "b 4>15"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_page_starts_over() {
    let first = r#"{"kind":"PodList","metadata":{"resourceVersion":"5","continue":"more"},"items":[{"metadata":{"name":"a","uid":"1","resourceVersion":"3"}}]}"#;
    let gone = r#"{"kind":"Status","code":410,"reason":"Expired","message":"The provided continue parameter is too old"}"#;
    let steps = vec![
        Step("limit=", 200, vec![first]),
        Step("continue=more", 410, vec![gone]),
        Step("/api/v1/pods", 200, vec![LIST]),
    ];
    assert_eq!(told(steps, 2).await, ["a ->3", "b ->4"]);
}

/// A server that says when something has changed, once.
struct Dozing(Script, Arc<Notify>);

impl Transport for Dozing {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        self.0.send(request)
    }

    fn touched(&self, _: &GroupVersionResource, after: u64) -> Option<BoxFuture<'static, u64>> {
        let changed = self.1.clone();
        Some(Box::pin(async move {
            changed.notified().await;
            after + 10
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_resource_is_watched_only_once_something_happens() {
    let added = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"c\",\"uid\":\"3\",\"resourceVersion\":\"16\"}}}\n";
    let steps = vec![
        Step("limit=", 200, vec![LIST]),
        Step("resourceVersion=15", 200, vec![added]),
        // The server ended the watch: quiet again, from the last change on.
        Step("resourceVersion=26", 200, vec![]),
    ];
    let wakes = Arc::new(Notify::new());
    let script = Arc::new(Dozing(Script(Mutex::new(steps.into())), wakes.clone()));
    let (cache, reflectors) = Cache::new(Client::new(script.clone(), "test"));
    let pods = GroupVersionResource::new("", "v1", "pods");
    let seen = Arc::new(Notify::new());
    let notify = seen.clone();
    cache.subscribe(Arc::new(move |change| {
        if &*change.entry().name == "c" {
            notify.notify_one();
        }
    }));
    cache.track(&pods, Keep::Full);
    let task = tokio::spawn(reflectors.run());
    cache.wait_synced(&[&pods]).await;
    tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    assert_eq!(script.0.0.lock().len(), 2, "not watched while nothing happens");
    wakes.notify_one();
    seen.notified().await;
    assert_eq!(cache.list(&pods, "").len(), 3);
    task.abort();
}
