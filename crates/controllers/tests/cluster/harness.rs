//! A cluster for one test.

use access::UserInfo;
use access::keys::PrivateKey;
use access::tokens::{TokenIssuer, TokenVerifier};
use api::{Api, Cidr, Config, InProcess, LocalAddresses};
use bytes::Bytes;
use client::{
    Body, Cache, Client, DeleteOptions, FrameType, ListOptions, Transport, TransportError, WatchOptions,
};
use controllers::{Controllers, Handle, Options};
use futures::future::BoxFuture;
use object::{GroupVersionResource, meta};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Store;
use store::memory::MemoryStore;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The longest any test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often what was asked, such as `PUT replicasets/status`.
type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// Counts the requests that go through it.
struct Counting {
    inner: InProcess,
    counts: Counts,
}

/// The method, the resource and the subresource of a request.
fn kind_of(request: &http::Request<Bytes>) -> String {
    let mut words: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    words.drain(..if words[0] == "api" { 2 } else { 3 }.min(words.len()));
    if words.first() == Some(&"namespaces") && words.len() > 2 {
        words.drain(..2);
    }
    let subresource = words.get(2).map(|word| format!("/{word}")).unwrap_or_default();
    format!("{} {}{subresource}", request.method(), words.first().unwrap_or(&""))
}

impl Transport for Counting {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        *self.counts.lock().unwrap().entry(kind_of(&request)).or_default() += 1;
        self.inner.send(request)
    }
}

pub struct Cluster {
    pub client: Client,
    counts: Counts,
    pub controllers: Handle,
    changed: Arc<Notify>,
    kubelet: JoinHandle<()>,
}

pub fn resource(group: &str, version: &str, resource: &str) -> GroupVersionResource {
    GroupVersionResource::new(group, version, resource)
}

/// An API server on a store.
pub async fn open_api(store: Arc<dyn Store>) -> object::Result<Arc<Api>> {
    let issuer = TokenIssuer::new("test", PrivateKey::generate().unwrap());
    let cidr = Cidr::parse("10.96.0.0/16").unwrap();
    let config = Config {
        verifier: TokenVerifier {
            issuers: vec!["test".into()],
            keys: vec![issuer.public_key().clone()],
            api_audiences: vec![],
        },
        issuer: issuer.into(),
        access: Default::default(),
        static_tokens: Default::default(),
        ca_pem: "CA".into(),
        advertise: "127.0.0.1:6443".parse().unwrap(),
        addresses: Arc::new(LocalAddresses::new(store.clone(), cidr)),
        kubernetes_service_ip: std::net::IpAddr::V4(cidr.nth(1)),
        kubelet: None,
    };
    Api::open(store, config).await
}

/// Who may do anything.
pub fn admin() -> UserInfo {
    UserInfo::new("admin", &["system:masters", "system:authenticated"])
}

impl Cluster {
    pub async fn start() -> Self {
        let api = open_api(MemoryStore::new()).await.unwrap();
        let counts = Counts::default();
        let transport = Counting { inner: InProcess::new(api, admin()), counts: counts.clone() };
        let client = Client::new(Arc::new(transport), "test");
        let controllers =
            Controllers::start(client.clone(), Options { root_ca: Some("CA".into()), ..Options::default() });
        let changed = Arc::new(Notify::new());
        let notify = changed.clone();
        controllers.cache().subscribe(Arc::new(move |_| notify.notify_one()));
        let kubelet = tokio::spawn(run_pods(client.clone()));
        Self { client, counts, controllers, changed, kubelet }
    }

    /// Requests made so far, by all, by what they ask.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        self.counts.lock().unwrap().clone()
    }

    pub fn cache(&self) -> &Cache {
        self.controllers.cache()
    }

    /// Waits until the controllers' own view fulfils `test`.
    pub async fn until(&self, what: &str, test: impl Fn(&Cache) -> bool) {
        let reached = async {
            let mut synced = self.cache().sync_events();
            while !test(self.cache()) {
                tokio::select! {
                    () = self.changed.notified() => {}
                    _ = synced.changed() => {}
                }
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            let objects = |gvr: GroupVersionResource| format!("{:#?}", self.cache().values(&gvr, ""));
            let shown = [
                resource("apps", "v1", "deployments"),
                resource("batch", "v1", "jobs"),
                resource("", "v1", "pods"),
            ]
            .map(objects);
            panic!("never came true: {what}\n{}", shown.join("\n"));
        }
    }

    pub async fn create(&self, gvr: &GroupVersionResource, object: Value) -> Value {
        self.client.create(gvr, &object).await.unwrap()
    }

    /// The reasons and messages of all events about objects of this kind, oldest first.
    pub async fn events(&self, kind: &str) -> Vec<(String, String)> {
        let events =
            self.client.list(&resource("", "v1", "events"), "", &ListOptions::default()).await.unwrap().items;
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("").to_owned();
        let of_kind = events.iter().filter(|event| event["involvedObject"]["kind"] == kind);
        of_kind.map(|event| (text(event, "reason"), text(event, "message"))).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kubelet.abort();
    }
}

/// Runs every pod at once: ready, or over if its first container's command is `exit N`. What is deleted goes.
async fn run_pods(client: Client) {
    let pods = resource("", "v1", "pods");
    let mut watch = client.watch(&pods, "", &WatchOptions::default()).await.unwrap();
    while let Some(Ok(frame)) = watch.next().await {
        let pod: Value = serde_json::from_slice(&frame.object).unwrap();
        if frame.kind == FrameType::Deleted || frame.kind == FrameType::Bookmark {
            continue;
        }
        if meta::deletion_timestamp(&pod).is_some() {
            if pod["metadata"]["deletionGracePeriodSeconds"] != 0 {
                let now =
                    DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(meta::uid(&pod)) };
                let _ = client.delete(&pods, meta::namespace(&pod), meta::name(&pod), &now).await;
            }
        } else if pod["status"]["phase"] == "Pending" {
            let mut next = pod.clone();
            next["status"] = status(&pod);
            let _ = client.update_status(&pods, &next).await;
        }
    }
}

fn status(pod: &Value) -> Value {
    let now = object::time::format(object::time::now());
    let command = &pod["spec"]["containers"][0]["command"];
    let name = &pod["spec"]["containers"][0]["name"];
    if command[0] == "exit" {
        let code: i64 = command[1].as_str().unwrap().parse().unwrap();
        return json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [{"name": name, "ready": false,
            "restartCount": 0, "image": "i", "imageID": "i",
            "state": {"terminated": {"exitCode": code, "finishedAt": now, "startedAt": now}}}]});
    }
    json!({"phase": "Running", "podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]})
}

pub fn template(labels: Value, image: &str) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}})
}
