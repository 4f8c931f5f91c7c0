//! An API server without sockets, and a webhook server on the loopback that it calls.

use access::certificates::SubjectAltNames;
use access::{CertificateAuthority, PrivateKey, UserInfo, static_tokens::StaticTokens, tokens};
use api::{AccessOptions, Api, Cidr, Config, LocalAddresses, Peer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use client::Body;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_server::{Limits, Server, Tls};
use object::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

pub struct World {
    api: Arc<Api>,
    url: String,
    ca_bundle: String,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer: its code, its body and its warnings.
pub struct Answer {
    pub code: u16,
    pub body: Value,
    pub warnings: Vec<String>,
}

pub fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

impl World {
    pub async fn new() -> Self {
        // Certificates are verified against the clock.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64 - 60;
        let authority = CertificateAuthority::generate("test", now).unwrap();
        let issued = authority.issue_server("hooks", &SubjectAltNames::hosts(["localhost"]), now).unwrap();
        let tls = Tls::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes(), None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let counted = asked.clone();
        let handler = move |request: Request<Bytes>, _: http_server::Peer| {
            *counted.lock().unwrap().entry(request.uri().path().to_owned()).or_insert(0) += 1;
            answer(request)
        };
        let stop = CancellationToken::new();
        let server = Server {
            listener,
            tls: Some(tls.unwrap()),
            handler: Arc::new(handler),
            limits: Limits::default(),
        };
        tokio::spawn(http_server::serve(server, stop.clone()));
        let api = api().await;
        api.set_outbound(Arc::new(outbound::Https));
        Self { api, url, ca_bundle: STANDARD.encode(authority.certificate_pem()), asked, stop }
    }

    /// How often the server was asked at a path.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    pub async fn mutating(&self, name: &str, hooks: Vec<Value>) {
        self.configure("MutatingWebhookConfiguration", name, hooks).await;
    }

    pub async fn validating(&self, name: &str, hooks: Vec<Value>) {
        self.configure("ValidatingWebhookConfiguration", name, hooks).await;
    }

    /// Creates or replaces a configuration; a hook's `path` is one of the server's.
    async fn configure(&self, kind: &str, name: &str, mut hooks: Vec<Value>) {
        for hook in &mut hooks {
            let path = hook.as_object_mut().and_then(|hook| hook.remove("path")).unwrap_or_default();
            if hook["clientConfig"].is_null() {
                let url = format!("{}{}", self.url, path.as_str().unwrap_or(""));
                hook["clientConfig"] = json!({"url": url});
            }
            hook["clientConfig"]["caBundle"] = self.ca_bundle.as_str().into();
        }
        let path = format!("/apis/admissionregistration.k8s.io/v1/{}s", kind.to_lowercase());
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": hooks});
        self.send("DELETE", &format!("{path}/{name}"), Value::Null).await;
        let made = self.post(&path, object).await;
        assert_eq!(made.code, 201, "{}", made.body);
    }

    pub async fn create(&self, config_map: Value) -> Answer {
        self.post("/api/v1/namespaces/default/configmaps", config_map).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body).await
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let user = UserInfo::new("admin", &["system:masters", "system:authenticated"]);
        let peer = Peer { user: Some(user), ..Peer::default() };
        let answer = self.api.serve(request.body(body).unwrap(), peer).await;
        let warnings = answer.headers().get_all("warning").iter();
        let warnings = warnings.map(|w| w.to_str().unwrap().to_owned()).collect();
        let code = answer.status().as_u16();
        let bytes = match answer.into_body() {
            Body::Full(bytes) => bytes,
            Body::Stream(mut stream) => {
                let mut all = Vec::new();
                while let Some(piece) = stream.next().await {
                    all.extend_from_slice(&piece.unwrap());
                }
                all.into()
            }
        };
        Answer { code, body: serde_json::from_slice(&bytes).unwrap_or_default(), warnings }
    }

    /// A message without what differs from run to run.
    pub fn plain(&self, message: &Value) -> String {
        let text = message.as_str().unwrap_or("").replace(&self.url, "URL");
        match text.split_once("response.uid=\"") {
            Some((before, after)) => {
                let (_, after) = after.split_once('"').unwrap_or(("", after));
                format!("{before}response.uid=\"UID\"{after}")
            }
            None => text,
        }
    }
}

/// What the webhook server says: the first part of the path decides, the second tells hooks apart.
async fn answer(request: Request<Bytes>) -> Response<Body> {
    let review: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let (uid, object) = (&review["request"]["uid"], &review["request"]["object"]);
    let mut parts = request.uri().path().trim_start_matches('/').split('/');
    let (what, who) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let mut response = json!({"uid": uid, "allowed": true});
    match what {
        "append" => {
            let order = format!("{}{who}", object["data"]["order"].as_str().unwrap_or(""));
            let patch = json!([{"op": "replace", "path": "/data/order", "value": order}]).to_string();
            response["patchType"] = json!("JSONPatch");
            response["patch"] = STANDARD.encode(patch).into();
        }
        "warn" => response["warnings"] = json!([who]),
        "refuse" => {
            response["allowed"] = json!(false);
            response["status"] = json!({"code": 418, "message": "not today"});
        }
        "other-uid" => response["uid"] = json!("other"),
        "slow" => tokio::time::sleep(Duration::from_secs(30)).await,
        "no-json" => return Response::new(Body::Full("hello".into())),
        "500" => {
            let mut failed = Response::new(Body::Full("boom".into()));
            *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return failed;
        }
        _ => {}
    }
    let review =
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
    Response::new(Body::Full(review.to_string().into()))
}

async fn api() -> Arc<Api> {
    let store = store::memory::MemoryStore::new();
    let key = PrivateKey::generate().unwrap();
    let issuer = "https://kubernetes.default.svc".to_owned();
    let cidr = Cidr::parse("10.96.0.0/16").unwrap();
    let verifier = tokens::TokenVerifier {
        issuers: vec![issuer.clone()],
        keys: vec![key.public_key().clone()],
        api_audiences: vec![issuer.clone()],
    };
    let config = Config {
        issuer: tokens::TokenIssuer::new(issuer, key).into(),
        access: AccessOptions::default(),
        verifier,
        static_tokens: StaticTokens::default(),
        ca_pem: "CA".into(),
        advertise: "127.0.0.1:6443".parse().unwrap(),
        addresses: Arc::new(LocalAddresses::new(store.clone(), cidr)),
        kubernetes_service_ip: cidr.nth(1).into(),
        kubelet: None,
    };
    Api::open(store, config).await.unwrap()
}
