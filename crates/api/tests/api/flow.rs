//! Priority and fairness: who waits, who is refused, and what they are told. Requests are kept busy by a webhook that does
//! not answer before it is let.

use crate::cluster::{CONFIG_MAPS, Cluster, config_map};
use api::{Destination, Outbound, Peer};
use bytes::Bytes;
use client::Body;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use object::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
/// Seats of a level with one share: 600 / 246, rounded up.
const SEATS: usize = 3;

/// Answers as often as it has permits.
struct Hook {
    permits: Semaphore,
    asked: AtomicUsize,
    came: Notify,
}

impl Outbound for Hook {
    fn post(&self, _: Destination, body: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], "allowed": true}});
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.came.notify_one();
            self.permits.acquire().await.map_err(|e| e.to_string())?.forget();
            Ok(answer.to_string().into())
        })
    }
}

impl Hook {
    async fn asked(&self, times: usize) {
        while self.asked.load(Ordering::SeqCst) < times {
            self.came.notified().await;
        }
    }
}

/// A cluster in which what `flood` and `other` create goes to a level of few seats, and waits for the webhook there.
async fn small(response: Value) -> (Cluster, Arc<Hook>) {
    let cluster = Cluster::new().await;
    let hook = Arc::new(Hook { permits: Semaphore::new(0), asked: AtomicUsize::new(0), came: Notify::new() });
    struct Shared(Arc<Hook>);
    impl Outbound for Shared {
        fn post(&self, to: Destination, body: Bytes, t: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
            self.0.post(to, body, t)
        }
    }
    cluster.api.set_outbound(Arc::new(Shared(hook.clone())));
    let level = json!({"metadata": {"name": "small"}, "spec": {"type": "Limited", "limited": {
        "nominalConcurrencyShares": 1, "limitResponse": response}}});
    cluster.create(LEVELS, level).await;
    let subjects: Value =
        ["flood", "other"].map(|name| json!({"kind": "User", "user": {"name": name}})).into_iter().collect();
    let schema = json!({"metadata": {"name": "small"}, "spec": {
        "matchingPrecedence": 100, "priorityLevelConfiguration": {"name": "small"},
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects, "resourceRules": [{"verbs": ["create"], "apiGroups": [""],
            "resources": ["configmaps"], "namespaces": ["*"]}]}]}});
    cluster.create(SCHEMAS, schema).await;
    for name in ["flood", "other"] {
        let binding = json!({"metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]});
        cluster.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await;
    }
    let webhook = json!({"metadata": {"name": "slow"}, "webhooks": [{
        "name": "slow.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://slow.example.com/"},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}]});
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    cluster.create(path, webhook).await;
    (cluster, hook)
}

fn queue(queues: u32, hand: u32, length: u32) -> Value {
    json!({"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": length}})
}

/// A request that goes on by itself.
fn create(cluster: &Cluster, user: &str, name: &str) -> JoinHandle<Response<Body>> {
    let api = cluster.api.clone();
    let user = access::UserInfo::new(user, &["system:authenticated"]);
    let body = config_map(name).to_string();
    tokio::spawn(async move {
        let peer = Peer { user: Some(user), ..Peer::default() };
        let request = Request::post(CONFIG_MAPS).header("content-type", "application/json");
        api.serve(request.body(body.into()).expect("a request"), peer).await
    })
}

fn text(answer: Response<Body>) -> String {
    match answer.into_body() {
        Body::Full(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Body::Stream(_) => panic!("streams"),
    }
}

async fn uid(cluster: &Cluster, collection: &str, name: &str) -> String {
    let object = cluster.get(&format!("{collection}/{name}")).await.body;
    object["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

#[tokio::test]
async fn who_finds_no_seat_is_told_when_to_come_back() {
    let (cluster, hook) = small(json!({"type": "Reject"})).await;
    let busy: Vec<_> = (0..SEATS).map(|n| create(&cluster, "flood", &format!("busy-{n}"))).collect();
    hook.asked(SEATS).await;
    let refused = create(&cluster, "flood", "late").await.unwrap();
    assert_eq!(refused.status(), 429);
    let header = |name: &str| refused.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(header("retry-after").as_deref(), Some("1"));
    assert_eq!(header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(header("x-kubernetes-pf-flowschema-uid"), Some(uid(&cluster, SCHEMAS, "small").await));
    assert_eq!(header("x-kubernetes-pf-prioritylevel-uid"), Some(uid(&cluster, LEVELS, "small").await));
    assert_eq!(text(refused), "Too many requests, please try again later.\n");
    let metrics = cluster.api.serve(Request::get("/metrics").body(Bytes::new()).unwrap(), admin()).await;
    let metrics = text(metrics);
    for line in [
        "apiserver_flowcontrol_rejected_requests_total{flow_schema=\"small\",priority_level=\"small\",reason=\"concurrency-limit\"} 1",
        "apiserver_flowcontrol_current_executing_seats{priority_level=\"small\"} 3",
        "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"global-default\"} 49",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    hook.permits.add_permits(SEATS + 1);
    for request in busy {
        assert_eq!(request.await.unwrap().status(), 201);
    }
    assert_eq!(create(&cluster, "flood", "late").await.unwrap().status(), 201, "seats are given back");
}

fn admin() -> Peer {
    let user = access::UserInfo::new("admin", &["system:masters", "system:authenticated"]);
    Peer { user: Some(user), ..Peer::default() }
}

#[tokio::test]
async fn a_flood_does_not_hold_up_others() {
    // So many queues that both never share one.
    let (cluster, hook) = small(queue(1_000_000, 1, 50)).await;
    let flood: Vec<_> = (0..40).map(|n| create(&cluster, "flood", &format!("flood-{n}"))).collect();
    hook.asked(SEATS).await;
    while !metrics(&cluster).await.contains("inqueue_requests{priority_level=\"small\"} 37") {
        tokio::task::yield_now().await;
    }
    let mut other = create(&cluster, "other", "victim");
    while !metrics(&cluster).await.contains("inqueue_requests{priority_level=\"small\"} 38") {
        tokio::task::yield_now().await;
    }
    // Those that ran before it, and at most one that was next already.
    hook.permits.add_permits(SEATS + 2);
    let answer = (&mut other).await.unwrap();
    assert_eq!(answer.status(), 201);
    let done = flood.iter().filter(|request| request.is_finished()).count();
    assert!(done <= SEATS + 2, "{done} of the flood were before it");
    hook.permits.add_permits(40);
    for request in flood {
        assert_eq!(request.await.unwrap().status(), 201);
    }
}

async fn metrics(cluster: &Cluster) -> String {
    text(cluster.api.serve(Request::get("/metrics").body(Bytes::new()).expect("a request"), admin()).await)
}

#[tokio::test]
async fn who_goes_away_leaves_its_place() {
    let (cluster, hook) = small(queue(1, 1, 2)).await;
    let busy: Vec<_> = (0..SEATS).map(|n| create(&cluster, "flood", &format!("busy-{n}"))).collect();
    hook.asked(SEATS).await;
    let waiting: Vec<_> = (0..2).map(|n| create(&cluster, "flood", &format!("waiting-{n}"))).collect();
    while !metrics(&cluster).await.contains("inqueue_requests{priority_level=\"small\"} 2") {
        tokio::task::yield_now().await;
    }
    assert_eq!(create(&cluster, "flood", "full").await.unwrap().status(), 429);
    for request in busy.into_iter().chain(waiting) {
        request.abort();
        assert!(request.await.is_err());
    }
    let left = metrics(&cluster).await;
    assert!(left.contains("inqueue_requests{priority_level=\"small\"} 0"), "{left}");
    assert!(left.contains("executing_seats{priority_level=\"small\"} 0"), "{left}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let (cluster, hook) = small(queue(1, 1, 2)).await;
    let busy: Vec<_> = (0..SEATS).map(|n| create(&cluster, "flood", &format!("busy-{n}"))).collect();
    hook.asked(SEATS).await;
    let began = tokio::time::Instant::now();
    // The webhook's own patience ends before; its caller's does not.
    let waiting = create(&cluster, "other", "waiting");
    let answer = tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("an answer").unwrap();
    assert!(began.elapsed() <= Duration::from_secs(16));
    assert!(matches!(answer.status().as_u16(), 429 | 201), "{}", answer.status());
    busy.into_iter().for_each(|request| request.abort());
}

#[tokio::test]
async fn watches_give_their_seats_back_and_others_are_exempt() {
    let cluster = Cluster::new().await;
    let watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=true")).now_or_never();
    assert!(watch.is_some(), "begins at once");
    let someone = cluster.acting_as("someone");
    let answer = someone.get("/version").await;
    assert_eq!(answer.code, 200);
    let metrics = metrics(&cluster).await;
    assert!(metrics.contains("dispatched_requests_total{flow_schema=\"exempt\""), "{metrics}");
    assert!(metrics.contains(
        "dispatched_requests_total{flow_schema=\"global-default\",priority_level=\"global-default\"} 1"
    ));
    assert!(metrics.contains("executing_seats{priority_level=\"global-default\"} 0"));
}
