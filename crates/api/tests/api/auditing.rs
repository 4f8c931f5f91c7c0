//! What the audit log is told.

use crate::cluster::{CONFIG_MAPS, Cluster, config_map};
use ::access::UserInfo;
use api::{AccessOptions, Peer};
use audit::{Audit, Policy, Sink};
use http::Request;
use object::{Value, json};
use parking_lot::Mutex;
use std::sync::Arc;
use store::feed::Limits;

#[derive(Default)]
struct Log(Mutex<Vec<Value>>);

impl Sink for Log {
    fn record(&self, event: &Value) {
        self.0.lock().push(event.clone());
    }
}

impl Log {
    /// What was told since the last time: level, stage, verb and code.
    fn lines(&self) -> String {
        let events = std::mem::take(&mut *self.0.lock());
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or("").to_owned();
        let line = |event: &Value| {
            let code =
                event["responseStatus"]["code"].as_i64().map_or(String::new(), |code| format!(" {code}"));
            format!("{} {} {}{code}\n", text(event, "level"), text(event, "stage"), text(event, "verb"))
        };
        events.iter().map(line).collect()
    }

    fn last(&self) -> Value {
        self.0.lock().pop().expect("an event")
    }
}

async fn cluster(policy: &str) -> (Cluster, Arc<Log>) {
    let log = Arc::new(Log::default());
    let policy = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{policy}");
    let policy = Arc::new(Policy::parse(&policy).expect("a policy"));
    let audit = Some(Arc::new(Audit { policy, sinks: vec![log.clone()] }));
    let access = AccessOptions { audit, ..AccessOptions::default() };
    let cluster = Cluster::open(Limits::default(), access).await;
    log.lines();
    (cluster, log)
}

const LEVELS: &str = r#"
- {level: None, nonResourceURLs: ["*"]}
- {level: Metadata, resources: [{group: "", resources: [secrets, serviceaccounts/token]}]}
- {level: RequestResponse}
"#;

#[tokio::test]
async fn stages_of_a_request_and_of_a_watch() {
    let (cluster, log) = cluster(LEVELS).await;
    cluster.create(CONFIG_MAPS, config_map("a")).await;
    assert_eq!(
        log.lines(),
        "RequestResponse RequestReceived create\nRequestResponse ResponseComplete create 201\n"
    );
    cluster.get("/version").await;
    assert_eq!(log.lines(), "");
    let watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    assert_eq!(
        log.lines(),
        "RequestResponse RequestReceived watch\nRequestResponse ResponseStarted watch 200\n"
    );
    drop(watch);
    assert_eq!(log.lines(), "RequestResponse ResponseComplete watch 200\n");
}

#[tokio::test]
async fn objects_are_kept_only_where_the_policy_says_so() {
    let (cluster, log) = cluster(LEVELS).await;
    cluster.merge(&format!("{CONFIG_MAPS}/none"), json!({"data": {"a": "b"}})).await;
    let event = log.last();
    assert_eq!(event["requestObject"], json!({"data": {"a": "b"}}));
    assert_eq!(event["responseObject"]["reason"], "NotFound");
    assert_eq!(event["objectRef"]["name"], "none");
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "allow");

    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hush"}});
    cluster.create("/api/v1/namespaces/default/secrets", secret).await;
    cluster.get("/api/v1/namespaces/default/secrets").await;
    cluster.merge("/api/v1/namespaces/default/secrets/s", json!({"stringData": {"k": "hush"}})).await;
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = cluster.create("/api/v1/namespaces/default/serviceaccounts/default/token", token).await;
    let all = Value::from(std::mem::take(&mut *log.0.lock())).to_string();
    for held in ["hush", "aHVzaA==", token["status"]["token"].as_str().expect("a token")] {
        assert!(!all.contains(held), "{all}");
    }
    assert!(all.contains("issued-credential-id"));
}

#[tokio::test]
async fn who_may_not_is_told_too() {
    let (cluster, log) = cluster(LEVELS).await;
    let jane = cluster.asked_by(UserInfo::new("jane", &["system:authenticated"]));
    assert_eq!(jane.get(CONFIG_MAPS).await.code, 403);
    let event = log.last();
    assert_eq!(event["user"]["username"], "jane");
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(event["responseStatus"]["reason"], "Forbidden");
    log.lines();
    let request =
        Request::get(CONFIG_MAPS).header("authorization", "Bearer nonsense").header("audit-id", "mine");
    let answer =
        cluster.api.serve(request.body(Default::default()).expect("a request"), Peer::default()).await;
    assert_eq!(answer.headers()["audit-id"], "mine");
    let event = log.last();
    assert_eq!(
        (&event["user"], &event["auditID"], &event["stage"]),
        (&json!({}), &json!("mine"), &json!("ResponseStarted"))
    );
    assert_eq!(log.lines(), "");
}
