//! One API server and the requests to it.

use access::{CertificateAuthority, PrivateKey, UserInfo, static_tokens::StaticTokens, tokens};
use api::{AccessOptions, Api, Cidr, Config, LocalAddresses, Peer};
use client::Body;
use futures::StreamExt;
use http::{Method, Request};
use object::{Value, json};
use std::sync::Arc;
use store::Store;
use store::feed::Limits;
use store::memory::MemoryStore as Memory;

pub struct Cluster {
    pub api: Arc<Api>,
    /// Signs the tokens of service accounts.
    pub issuer: tokens::PendingIssuer,
    user: UserInfo,
}

/// An answer: its code, its body and its warnings.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
    pub warnings: Vec<String>,
}

impl Cluster {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    /// A cluster whose store remembers little.
    pub async fn with(limits: Limits) -> Self {
        Self::open(limits, AccessOptions::default()).await
    }

    /// A cluster with other doors.
    pub async fn open(limits: Limits, access: AccessOptions) -> Self {
        let cluster = Self::on(Memory::with_recent(limits), access).await;
        let account = json!({"metadata": {"name": "default"}});
        cluster.create("/api/v1/namespaces/default/serviceaccounts", account).await;
        cluster
    }

    /// Another server on the same data, as after a kill.
    pub async fn restarted(&self) -> Self {
        Self::on(self.api.store().clone(), AccessOptions::default()).await
    }

    async fn on(store: Arc<dyn Store>, access: AccessOptions) -> Self {
        let key = PrivateKey::generate().expect("a key");
        let issuer = "https://kubernetes.default.svc".to_owned();
        let authority =
            CertificateAuthority::generate("test", 1_700_000_000).expect("a certificate authority");
        let cidr = Cidr::parse("10.96.0.0/16").expect("a range");
        let public = key.public_key().clone();
        let config = Config {
            issuer: tokens::TokenIssuer::new(issuer.clone(), key).into(),
            access,
            verifier: tokens::TokenVerifier {
                issuers: vec![issuer.clone()],
                keys: vec![public],
                api_audiences: vec![issuer],
            },
            static_tokens: StaticTokens::parse("t,someone,1", "tokens").expect("tokens"),
            ca_pem: authority.certificate_pem(),
            advertise: "127.0.0.1:6443".parse().expect("an address"),
            addresses: Arc::new(LocalAddresses::new(store.clone(), cidr)),
            kubernetes_service_ip: cidr.nth(1).into(),
            kubelet: None,
        };
        let issuer = config.issuer.clone();
        let api = Api::open(store, config).await.expect("opens");
        Self { api, issuer, user: UserInfo::new("admin", &["system:masters", "system:authenticated"]) }
    }

    /// The same server, asked by somebody else.
    pub fn acting_as(&self, name: &str) -> Self {
        Self {
            api: self.api.clone(),
            issuer: self.issuer.clone(),
            user: UserInfo::new(name, &["system:authenticated"]),
        }
    }

    /// The same server, asked by this user.
    pub fn asked_by(&self, user: UserInfo) -> Self {
        Self { api: self.api.clone(), issuer: self.issuer.clone(), user }
    }

    pub async fn answer(&self, request: Request<bytes::Bytes>) -> http::Response<Body> {
        let peer = Peer { user: Some(self.user.clone()), ..Peer::default() };
        self.api.serve(request, peer).await
    }

    pub async fn send(&self, method: Method, path: &str, media: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", media);
        }
        let text = body.map(|b| b.to_string()).unwrap_or_default();
        let answer = self.answer(request.body(text.into()).expect("a request")).await;
        let (parts, body) = answer.into_parts();
        let Body::Full(bytes) = body else { panic!("{path} streams") };
        let warnings = parts.headers.get_all("warning").iter();
        Answer {
            code: parts.status.as_u16(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            warnings: warnings.filter_map(|w| w.to_str().ok().map(str::to_owned)).collect(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, "application/json", Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, "application/json", Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "", None).await
    }

    pub async fn merge(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, "application/merge-patch+json", Some(body)).await
    }

    pub async fn apply(&self, path: &str, manager: &str, body: Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}");
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", Some(body)).await
    }

    /// Creates what must be creatable.
    pub async fn create(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.body
    }

    /// Opens a watch.
    pub async fn watch(&self, path: &str) -> Watch {
        let answer =
            self.answer(Request::builder().uri(path).body(Default::default()).expect("a request")).await;
        match answer.into_body() {
            Body::Stream(stream) => Watch { stream },
            Body::Full(bytes) => panic!("{path} does not stream: {}", String::from_utf8_lossy(&bytes)),
        }
    }
}

impl Cluster {
    /// Opens a watch over a WebSocket: the client's end of the connection after the handshake.
    pub async fn watch_socket(&self, path: &str) -> tokio::io::DuplexStream {
        let (server, client) = tokio::io::duplex(64 << 10);
        let connection = Box::pin(async move { Ok(Box::new(server) as Box<dyn node::Io>) });
        let mut request = Request::builder()
            .uri(path)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(Default::default())
            .expect("a request");
        request.extensions_mut().insert(node::Upgrade::new(node::Upgrader::default(), connection));
        let answer = self.answer(request).await;
        assert_eq!(answer.status(), http::StatusCode::SWITCHING_PROTOCOLS);
        client
    }
}

pub struct Watch {
    stream: client::BodyStream,
}

impl Watch {
    /// The next event: `ADDED name` and the object.
    pub async fn next(&mut self) -> (String, Value) {
        let frame = self.stream.next().await.expect("the watch goes on").expect("a frame");
        let event: Value = serde_json::from_slice(&frame).expect("an event");
        let name = object::meta::name(&event["object"]);
        (format!("{} {name}", event["type"].as_str().unwrap_or("")), event["object"].clone())
    }

    /// The next events, one a line.
    pub async fn lines(&mut self, count: usize) -> String {
        let mut lines = String::new();
        for _ in 0..count {
            lines += self.next().await.0.trim_end();
            lines.push('\n');
        }
        lines
    }
}

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": name}})
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const PODS: &str = "/api/v1/namespaces/default/pods";

pub fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}
