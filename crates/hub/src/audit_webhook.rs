//! The audit backend that is a server elsewhere: events are gathered and posted as an `EventList`.
//!
//! Nobody waits for it. Events wait in a queue of [`QUEUE`]; what comes in while it is full is lost, and said so. Without
//! events nothing runs but a parked task.

use crate::Error;
use api::{Destination, Outbound};
use audit::Sink;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, header};
use object::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// So many events wait, as with kube-apiserver.
const QUEUE: usize = 10_000;
/// So many are posted at once.
const BATCH: usize = 400;
/// The first of a batch waits no longer.
const MAX_WAIT: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
/// A post is tried again after a while, and then after a longer one; then its events are lost.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(15), Duration::from_secs(22), Duration::from_secs(33)];

/// Sends events to the server of a kubeconfig.
pub struct AuditWebhook {
    queue: mpsc::Sender<Value>,
    lost: AtomicU64,
}

impl AuditWebhook {
    /// Starts to send. Ends with the last handle on it, when everything was posted or given up.
    ///
    /// # Errors
    /// When the kubeconfig is none.
    pub fn start(kubeconfig: &Path) -> Result<Arc<Self>, Error> {
        Self::over(kubeconfig, Arc::new(outbound::Https))
    }

    fn over(kubeconfig: &Path, outbound: Arc<dyn Outbound>) -> Result<Arc<Self>, Error> {
        let server = Server::read(kubeconfig)?;
        let (queue, events) = mpsc::channel(QUEUE);
        tokio::spawn(run(server, outbound, events));
        Ok(Arc::new(Self { queue, lost: AtomicU64::new(0) }))
    }
}

impl Sink for AuditWebhook {
    fn record(&self, event: &Value) {
        if self.queue.try_send(event.clone()).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            // Once is enough to know, and now and then to remember.
            if lost.is_power_of_two() {
                tracing::error!(lost, "audit events are lost: the audit webhook does not keep up");
            }
        }
    }
}

async fn run(server: Server, outbound: Arc<dyn Outbound>, mut events: mpsc::Receiver<Value>) {
    while let Some(batch) = batch(&mut events).await {
        let list = json!({
            "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": batch,
        });
        let body = Bytes::from(list.to_string());
        let mut pauses = PAUSES.into_iter();
        while let Err(error) = server.post(&*outbound, body.clone()).await {
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    tracing::error!(events = batch.len(), error, "audit events are lost");
                    break;
                }
            }
        }
    }
}

/// Events until there are enough or the first has waited long enough; `None` when there will be no more.
async fn batch(events: &mut mpsc::Receiver<Value>) -> Option<Vec<Value>> {
    let mut batch = vec![events.recv().await?];
    let due = tokio::time::Instant::now() + MAX_WAIT;
    while batch.len() < BATCH {
        match tokio::time::timeout_at(due, events.recv()).await {
            Ok(Some(event)) => batch.push(event),
            Ok(None) | Err(_) => break,
        }
    }
    Some(batch)
}

/// Where a kubeconfig leads, and with what.
struct Server {
    to: Destination,
    authorization: Option<String>,
}

impl Server {
    fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file("read", path, &e))?;
        let config: Value =
            serde_saphyr::from_str(&text).map_err(|e| Error(format!("{}: {e}", path.display())))?;
        Self::of(&config, path.parent().unwrap_or(Path::new(".")))
            .map_err(|why| Error(format!("{}: {why}", path.display())))
    }

    fn of(config: &Value, folder: &Path) -> Result<Self, String> {
        let named = |list: &str, kind: &str, name: &Value| {
            let all = config[list].as_array().into_iter().flatten();
            all.clone().find(|entry| &entry["name"] == name).map(|entry| &entry[kind])
        };
        let context = named("contexts", "context", &config["current-context"])
            .ok_or("current-context names no context")?;
        let cluster =
            named("clusters", "cluster", &context["cluster"]).ok_or("the context names no cluster")?;
        let user = named("users", "user", &context["user"]).unwrap_or(&Value::Null);
        let url = cluster["server"].as_str().filter(|url| url.starts_with("https://"));
        for field in ["exec", "auth-provider", "username"] {
            if !user[field].is_null() {
                return Err(format!("{field} is not supported: give a token or a client certificate"));
            }
        }
        let pem = |of: &Value, name: &str| held(of, name, folder);
        let identity = match (pem(user, "client-certificate")?, pem(user, "client-key")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => None,
        };
        let token = match user["tokenFile"].as_str() {
            Some(file) => Some(read(&folder.join(file))?.trim().to_owned()),
            None => user["token"].as_str().map(str::to_owned),
        };
        Ok(Self {
            to: Destination {
                url: url.ok_or("the cluster's server is no https URL")?.to_owned(),
                ca_bundle: pem(cluster, "certificate-authority")?.map(String::into_bytes),
                insecure: cluster["insecure-skip-tls-verify"] == true,
                identity,
                ..Destination::default()
            },
            authorization: token.map(|token| format!("Bearer {token}")),
        })
    }

    async fn post(&self, outbound: &dyn Outbound, body: Bytes) -> Result<(), String> {
        let mut request = Request::post(&self.to.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "joey-audit");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(body).map_err(|e| e.to_string())?;
        let answer = tokio::time::timeout(TIMEOUT, outbound.forward(self.to.clone(), request, None)).await;
        let status = answer.map_err(|_| "no answer in time")??.status();
        if status.is_success() { Ok(()) } else { Err(format!("the server answers {status}")) }
    }
}

/// What a kubeconfig holds itself (`<name>-data`) or names a file of.
fn held(of: &Value, name: &str, folder: &Path) -> Result<Option<String>, String> {
    if let Some(data) = of[format!("{name}-data")].as_str() {
        let decoded = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        return decoded.map(Some).ok_or_else(|| format!("{name}-data is not base64 of PEM"));
    }
    of[name].as_str().map(|file| read(&folder.join(file))).transpose()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::Body;
    use futures::future::BoxFuture;
    use http::Response;
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Listener {
        heard: Mutex<Vec<(Option<String>, Value)>>,
        failures: AtomicU64,
    }

    impl Outbound for Listener {
        fn post(&self, _: Destination, _: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
            Box::pin(std::future::ready(Err("not asked".into())))
        }

        fn forward(
            &self,
            _: Destination,
            request: Request<Bytes>,
            _: Option<node::Upgrade>,
        ) -> BoxFuture<'_, Result<Response<Body>, String>> {
            if self.failures.load(Ordering::SeqCst) > 0 {
                self.failures.fetch_sub(1, Ordering::SeqCst);
                return Box::pin(std::future::ready(Err("down".into())));
            }
            let with = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
            let body = serde_json::from_slice(request.body()).unwrap();
            self.heard.lock().push((with.map(str::to_owned), body));
            Box::pin(std::future::ready(Ok(Response::new(Body::Full(Bytes::new())))))
        }
    }

    const CONFIG: &str = r#"
current-context: c
contexts: [{name: c, context: {cluster: a, user: b}}]
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1/audit"}}]
users: [{name: b, user: {token: secret}}]
"#;

    #[tokio::test(start_paused = true)]
    async fn events_are_posted_together_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, CONFIG).unwrap();
        let listener = Arc::new(Listener::default());
        listener.failures.store(2, Ordering::SeqCst);
        let webhook = AuditWebhook::over(&path, listener.clone()).unwrap();
        for number in 0..BATCH + 1 {
            webhook.record(&json!({"auditID": number}));
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let heard = listener.heard.lock();
        let sizes: Vec<_> = heard.iter().map(|(_, list)| list["items"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [BATCH, 1]);
        assert_eq!(heard[0].0.as_deref(), Some("Bearer secret"));
        assert_eq!(heard[0].1["kind"], "EventList");
    }

    #[tokio::test]
    async fn a_full_queue_loses_events() {
        let (queue, _events) = mpsc::channel(1);
        let webhook = AuditWebhook { queue, lost: AtomicU64::new(0) };
        for _ in 0..3 {
            webhook.record(&json!({}));
        }
        assert_eq!(webhook.lost.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_is_no_kubeconfig() {
        for (change, why) in [
            (json!({"current-context": "x"}), "names no context"),
            (json!({"clusters": []}), "names no cluster"),
            (json!({"clusters": [{"name": "a", "cluster": {"server": "http://x"}}]}), "no https URL"),
            (json!({"users": [{"name": "b", "user": {"exec": {}}}]}), "exec is not supported"),
        ] {
            let mut config: Value = serde_saphyr::from_str(CONFIG).unwrap();
            for (key, value) in change.as_object().unwrap() {
                config[key] = value.clone();
            }
            let error = Server::of(&config, Path::new(".")).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
    }
}
