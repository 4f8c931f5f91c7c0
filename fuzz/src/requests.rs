//! Whole requests to an API server: paths, queries, selectors, continue tokens, media types, YAML and every body.

use crate::targets::{line, text};
use access::{CertificateAuthority, PrivateKey, UserInfo, static_tokens::StaticTokens, tokens};
use api::{AccessOptions, Api, Cidr, Config, LocalAddresses, Peer};
use bytes::Bytes;
use client::Body;
use futures::{FutureExt, StreamExt};
use http::{Method, Request, Response, header};
use object::{Value, json};
use std::sync::{Arc, OnceLock};
use store::memory::MemoryStore;
use tokio::runtime::Runtime;

struct Server {
    runtime: Runtime,
    api: Arc<Api>,
}

/// `METHOD PATH`, on the next line the media type, then the body. Nothing is written: each is a dry run.
pub(crate) fn requests(data: &[u8]) {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(Server::new);
    let (target, rest) = line(data);
    let (media, body) = line(rest);
    let Some((method, path)) = text(target).and_then(|target| target.split_once(' ')) else { return };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let dry = if path.contains('?') { "&dryRun=All" } else { "?dryRun=All" };
    let path = if method == Method::GET { path.to_owned() } else { format!("{path}{dry}") };
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, media);
    let request = request.header(header::ACCEPT, media);
    let Ok(request) = request.body(Bytes::copy_from_slice(body)) else { return };
    server.ask(request);
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let api = runtime.block_on(open());
        let server = Self { runtime, api };
        for (path, object) in objects() {
            let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
            let answer = server.ask(request.body(object.to_string().into()).expect("a request"));
            assert!(answer.status().is_success(), "{path}: {answer:?}");
        }
        server
    }

    fn ask(&self, request: Request<Bytes>) -> Response<()> {
        let user = UserInfo::new("admin", &["system:masters", "system:authenticated"]);
        let asked = format!("{} {}", request.method(), request.uri());
        self.runtime.block_on(async {
            let answer = self.api.serve(request, Peer { user: Some(user), ..Peer::default() }).await;
            let (parts, body) = answer.into_parts();
            match body {
                Body::Full(bytes) => check(&asked, &parts, &bytes),
                // A watch: what it begins with.
                Body::Stream(stream) => {
                    let _ = stream.take(8).for_each(|_| async {}).now_or_never();
                }
            }
            Response::from_parts(parts, ())
        })
    }
}

/// What says that it is JSON is JSON, and what fails is a `Status`.
fn check(asked: &str, parts: &http::response::Parts, body: &Bytes) {
    let media = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
    if media != b"application/json" {
        return;
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_else(|e| panic!("{asked}: {e}"));
    assert!(parts.status.is_success() || value["kind"] == "Status", "{asked}: {value}");
}

async fn open() -> Arc<Api> {
    let store = MemoryStore::new();
    let key = PrivateKey::generate().expect("a key");
    let issuer = "https://kubernetes.default.svc".to_owned();
    let authority = CertificateAuthority::generate("fuzz", 1_700_000_000).expect("a certificate authority");
    let cidr = Cidr::parse("10.96.0.0/16").expect("a range");
    let keys = vec![key.public_key()];
    let config = Config {
        verifier: tokens::TokenVerifier {
            issuers: vec![issuer.clone()],
            keys,
            api_audiences: vec![issuer.clone()],
        },
        issuer: tokens::TokenIssuer::new(issuer, key).into(),
        access: AccessOptions::default(),
        static_tokens: StaticTokens::parse("", "tokens").expect("tokens"),
        ca_pem: authority.certificate_pem(),
        advertise: "127.0.0.1:6443".parse().expect("an address"),
        addresses: Arc::new(LocalAddresses::new(store.clone(), cidr)),
        kubernetes_service_ip: cidr.nth(1).into(),
        kubelet: None,
    };
    Api::open(store, config).await.expect("an API server")
}

/// What there is to read and change.
fn objects() -> [(&'static str, Value); 5] {
    let pod = json!({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 10"}]},
        "m": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]},
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}}}}});
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    [
        ("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}})),
        ("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "c"}, "data": {"a": "b"}})),
        ("/api/v1/namespaces/default/pods", json!({"metadata": {"name": "p"}, "spec": pod})),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
                "metadata": {"labels": {"a": "b"}}, "spec": pod}}}),
        ),
        (
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            json!({"metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"plural": "things", "kind": "Thing"}, "versions": [version]}}),
        ),
    ]
}
