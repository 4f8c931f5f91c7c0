//! A virtual cluster on a host that refuses, forgets, hesitates and takes away.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use api::InProcess;
use bytes::Bytes;
use client::{Body, Client, DeleteOptions, ListOptions, Patch, Transport, TransportError, WatchOptions};
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use hub::{Operator, Place, SandboxHost, Stores, kubeconfig};
use object::{ApiError, GroupVersionResource, Value, json, meta};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use syncer::Host;
use syncer::resources::{EVENTS, PODS, SECRETS, SERVICE_ACCOUNTS, SERVICES};
use tokio::net::TcpListener;
use tokio::sync::Notify;

const NAMESPACE: &str = "host-of-demo";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the host has in store for those who work on it.
#[derive(Default)]
struct Moods {
    /// So many pods are not created: the host is ill.
    failing: AtomicUsize,
    /// So many requests are answered late.
    late: AtomicUsize,
    /// All watches end: their past was compacted away.
    forget: Notify,
}

struct Moody {
    inner: InProcess,
    moods: Arc<Moods>,
}

fn taken(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Transport for Moody {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch="));
            if taken(&self.moods.late) {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let creates_pod = request.method() == Method::POST && request.uri().path().ends_with("/pods");
            if creates_pod && taken(&self.moods.failing) {
                let status = ApiError::Internal("etcdserver: request timed out".into()).to_status();
                let answer = Response::builder().status(500).body(Body::Full(status.to_string().into()));
                return Ok(answer.unwrap());
            }
            let answer = self.inner.send(request).await?;
            if !watches {
                return Ok(answer);
            }
            let moods = self.moods.clone();
            let gone = json!({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
                "message": "too old resource version",
            }});
            Ok(answer.map(|body| match body {
                Body::Full(bytes) => Body::Full(bytes),
                Body::Stream(stream) => {
                    let forgotten = Box::pin(async move { moods.forget.notified().await });
                    let last = futures::stream::iter([Ok(Bytes::from(format!("{gone}\n")))]);
                    Body::Stream(stream.take_until(forgotten).chain(last).boxed())
                }
            }))
        })
    }
}

/// Waits until there is an object of this name that is as it should be, or none.
async fn until(
    client: &Client,
    gvr: &GroupVersionResource,
    at: (&str, &str),
    right: impl Fn(Option<&Value>) -> bool,
) -> Option<Value> {
    let (namespace, name) = at;
    let field_selector = format!("metadata.name={name}");
    let waiting = async {
        loop {
            let options = ListOptions { field_selector: field_selector.clone(), ..ListOptions::default() };
            let list = client.list(gvr, namespace, &options).await.unwrap();
            let found = list.items.into_iter().next();
            if right(found.as_ref()) {
                return found;
            }
            let resource_version = list.resource_version;
            let field_selector = field_selector.clone();
            let options = WatchOptions { field_selector, resource_version, ..WatchOptions::default() };
            client.watch(gvr, namespace, &options).await.unwrap().next().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{} {namespace}/{name} is not as it should be", gvr.resource))
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}})
}

fn runs(pod: Option<&Value>) -> bool {
    pod.is_some_and(|pod| pod["status"]["phase"] == "Running")
}

/// A host with a virtual cluster, as its owner and as its tenant see them.
struct Both {
    moods: Arc<Moods>,
    host: Client,
    tenant: Client,
    operator: Operator,
    sandbox: SandboxHost,
}

impl Both {
    async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stores = Stores::new();
        let options = sandbox::Options::default();
        let sandbox =
            SandboxHost::start(folder.join("host"), stores.clone(), listener, options).await.unwrap();
        let host = sandbox.plane.client("owner");
        let moods = Arc::new(Moods::default());
        let user = access::UserInfo::new("joey", &["system:masters"]);
        let inner = InProcess::new(sandbox.plane.api().clone(), user);
        let moody = Client::new(Arc::new(Moody { inner, moods: moods.clone() }), "joey");
        let place = Place {
            folder: folder.join("clusters"),
            stores,
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            fenced: true,
            names: None,
        };
        let operator = Operator::start(Host::new(moody), place, sandbox.kubelet.clone(), &[]).await.unwrap();
        let namespaces = GroupVersionResource::new("", "v1", "namespaces");
        host.create(&namespaces, &json!({"metadata": {"name": NAMESPACE}})).await.unwrap();
        host.create(&deploy::gvr(), &deploy::virtual_cluster(NAMESPACE, "demo", json!({}))).await.unwrap();
        operator.running(NAMESPACE, "demo").await.unwrap();
        let secret = host.get(&SECRETS, NAMESPACE, "demo-kubeconfig").await.unwrap();
        let file = folder.join("kubeconfig");
        kubeconfig::write(&file, &kubeconfig::from_secret(&secret).unwrap()).unwrap();
        let tenant = hostclient::connect(Some(&file), None, "tenant").await.unwrap().client;
        until(&tenant, &SERVICE_ACCOUNTS, ("default", "default"), |account| account.is_some()).await;
        Self { moods, host, tenant, operator, sandbox }
    }

    async fn runs(&self, name: &str) {
        until(&self.tenant, &PODS, ("default", name), runs).await;
    }

    async fn create_pod(&self, name: &str) {
        self.tenant.create(&PODS, &pod(name)).await.unwrap();
    }

    async fn stop(self) {
        self.operator.stop().await;
        self.sandbox.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_cluster_outlives_the_moods_of_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let both = Both::start(folder.path()).await;
    full(&both).await;
    ill(&both).await;
    forgetful(&both).await;
    grasping(&both).await;
    slow(&both).await;
    both.stop().await;
}

/// A quota: the tenant reads the host's words, and when there is room again the pod comes.
async fn full(both: &Both) {
    let quotas = GroupVersionResource::new("", "v1", "resourcequotas");
    let quota =
        json!({"metadata": {"name": "none", "namespace": NAMESPACE}, "spec": {"hard": {"pods": "0"}}});
    both.host.create(&quotas, &quota).await.unwrap();
    until(&both.host, &quotas, (NAMESPACE, "none"), |q| {
        q.is_some_and(|q| q["status"]["hard"]["pods"] == "0")
    })
    .await;
    both.create_pod("full").await;
    let refused = |pod: Option<&Value>| {
        let conditions = pod.and_then(|pod| pod["status"]["conditions"].as_array()).into_iter().flatten();
        let text = |c: &Value| c["message"].as_str().unwrap_or("").to_owned();
        conditions.clone().any(|c| c["type"] == "PodScheduled" && text(c).contains("exceeded quota: none"))
    };
    until(&both.tenant, &PODS, ("default", "full"), refused).await;
    let events = both.tenant.list(&EVENTS, "default", &ListOptions::default()).await.unwrap().items;
    let told = events.iter().find(|e| e["reason"] == "FailedCreate" && e["involvedObject"]["name"] == "full");
    assert!(
        told.is_some_and(|e| e["message"].as_str().unwrap_or("").contains("exceeded quota")),
        "{events:?}"
    );
    both.host.delete(&quotas, NAMESPACE, "none", &DeleteOptions::default()).await.unwrap();
    both.runs("full").await;
}

/// Internal errors are no verdict: it is tried again, and nothing is told to the tenant.
async fn ill(both: &Both) {
    both.moods.failing.store(4, Ordering::SeqCst);
    both.create_pod("ill").await;
    both.runs("ill").await;
    assert_eq!(both.moods.failing.load(Ordering::SeqCst), 0, "the host was ill");
    let events = both.tenant.list(&EVENTS, "default", &ListOptions::default()).await.unwrap().items;
    assert!(!events.iter().any(|e| e["involvedObject"]["name"] == "ill" && e["reason"] == "FailedCreate"));
}

/// Watches whose past is gone begin anew, and what happened meanwhile is noticed.
async fn forgetful(both: &Both) {
    both.moods.forget.notify_waiters();
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    both.host.delete(&PODS, NAMESPACE, "ill-x-default-x-demo", &now).await.unwrap();
    until(&both.tenant, &PODS, ("default", "ill"), |pod| pod.is_none()).await;
    both.create_pod("remembered").await;
    both.runs("remembered").await;
}

/// Evictions take the virtual pod too; services that somebody takes away or bends come back.
async fn grasping(both: &Both) {
    let name = "remembered-x-default-x-demo";
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}});
    both.host.create_subresource(&PODS, NAMESPACE, name, "eviction", &eviction).await.unwrap();
    until(&both.tenant, &PODS, ("default", "remembered"), |pod| pod.is_none()).await;

    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    let service = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
    let service = both.tenant.create(&SERVICES, &service).await.unwrap();
    let on_host = (NAMESPACE, "web-x-default-x-demo");
    let right = |held: Option<&Value>| {
        held.is_some_and(|held| {
            let selector = &held["spec"]["selector"];
            selector["app"] == "web"
                && selector["joey.dev/cluster"] == "demo"
                && held["spec"]["clusterIP"] == service["spec"]["clusterIP"]
        })
    };
    let first = until(&both.host, &SERVICES, on_host, right).await.unwrap();
    both.host.delete(&SERVICES, on_host.0, on_host.1, &DeleteOptions::default()).await.unwrap();
    let anew =
        |held: Option<&Value>| right(held) && held.is_some_and(|held| meta::uid(held) != meta::uid(&first));
    until(&both.host, &SERVICES, on_host, anew).await;
    let everybody = Patch::Merge(json!({"spec": {"selector": {"joey.dev/cluster": null}}}));
    both.host.patch(&SERVICES, on_host.0, on_host.1, "", &everybody).await.unwrap();
    until(&both.host, &SERVICES, on_host, right).await;
}

/// A host that hesitates is waited for.
async fn slow(both: &Both) {
    both.moods.late.store(30, Ordering::SeqCst);
    for name in ["slow-1", "slow-2", "slow-3"] {
        both.create_pod(name).await;
    }
    for name in ["slow-1", "slow-2", "slow-3"] {
        both.runs(name).await;
    }
}
