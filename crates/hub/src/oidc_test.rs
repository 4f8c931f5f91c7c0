//! A provider on this machine, with HTTPS and a CA of its own, and an API server that believes its tokens.

use access::certificates::{CertificateAuthority, SubjectAltNames};
use access::oidc::OidcConfig;
use access::tokens::{TokenIssuer, TokenVerifier, jwks};
use access::{PrivateKey, PublicKey};
use api::{AccessOptions, Api, Cidr, Config, LocalAddresses, OidcProvider, Peer};
use bytes::Bytes;
use client::Body;
use http::{Request, Response};
use http_server::{Limits, Server, Tls};
use object::{Value, json};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use store::memory::MemoryStore;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the provider publishes, and how often it was asked.
#[derive(Default)]
struct Provider {
    url: String,
    keys: Mutex<Vec<PublicKey>>,
    asked: Mutex<Vec<String>>,
}

impl Provider {
    /// Listens; gives the PEM of its CA too.
    async fn start(shutdown: CancellationToken) -> (Arc<Self>, String) {
        let now = object::time::now().as_second();
        let authority = CertificateAuthority::generate("provider", now).unwrap();
        let issued = authority.issue_server("provider", &SubjectAltNames::hosts(["127.0.0.1"]), now).unwrap();
        let tls = Tls::from_pem(issued.certificate_pem().as_bytes(), issued.key_pem().as_bytes(), None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let provider = Arc::new(Self { url, ..Self::default() });
        let held = provider.clone();
        let handler = move |request: Request<Bytes>, _| std::future::ready(held.answer(request.uri().path()));
        let server = Server {
            listener,
            tls: Some(tls.unwrap()),
            handler: Arc::new(handler),
            limits: Limits::default(),
        };
        tokio::spawn(http_server::serve(server, shutdown));
        (provider, authority.certificate_pem())
    }

    fn answer(&self, path: &str) -> Response<Body> {
        self.asked.lock().push(path.to_owned());
        let body = match path {
            "/.well-known/openid-configuration" => {
                json!({"issuer": self.url, "jwks_uri": format!("{}/keys", self.url)})
            }
            _ => jwks(&self.keys.lock()),
        };
        Response::new(Body::Full(body.to_string().into()))
    }

    fn token(&self, key: &TokenIssuer, change: Value) -> String {
        let now = object::time::now().as_second();
        let mut claims = json!({
            "iss": self.url, "aud": "joey", "sub": "1", "email": "jane@example.com", "groups": ["dev"],
            "exp": now + 60, "iat": now, "tenant": "a",
        });
        for (claim, value) in change.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        key.sign(&claims).unwrap()
    }
}

async fn server(provider: &Provider, ca: String) -> Arc<Api> {
    let mut config = OidcConfig::new(&provider.url, "joey");
    config.username("email", Some("oidc:"));
    config.groups_claim = "groups".into();
    config.groups_prefix = "oidc:".into();
    config.required_claims.insert("tenant".into(), "a".into());
    let access = AccessOptions {
        oidc: vec![OidcProvider { config, ca_bundle: Some(ca.into_bytes()) }],
        ..AccessOptions::default()
    };
    let store = MemoryStore::new();
    let cidr = Cidr::parse("10.96.0.0/16").unwrap();
    let config = Config {
        issuer: TokenIssuer::new("own", PrivateKey::generate().unwrap()).into(),
        verifier: TokenVerifier { issuers: vec!["own".into()], keys: vec![], api_audiences: vec![] },
        static_tokens: Default::default(),
        access,
        ca_pem: String::new(),
        advertise: "127.0.0.1:6443".parse().unwrap(),
        addresses: Arc::new(LocalAddresses::new(store.clone(), cidr)),
        kubernetes_service_ip: cidr.nth(1).into(),
        kubelet: None,
    };
    let api = Api::open(store, config).await.unwrap();
    api.set_outbound(Arc::new(outbound::Https));
    api
}

/// Whom the server takes the bearer of a token for; the code of the answer when it is nobody.
async fn who(api: &Api, token: &str) -> Result<Value, u16> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    let answer = api.serve(request.body(body.to_string().into()).unwrap(), Peer::default()).await;
    let code = answer.status().as_u16();
    match answer.into_body() {
        Body::Full(bytes) if code == 201 => {
            Ok(serde_json::from_slice::<Value>(&bytes).unwrap()["status"]["userInfo"].take())
        }
        _ => Err(code),
    }
}

#[tokio::test]
async fn users_of_an_openid_provider() {
    let shutdown = CancellationToken::new();
    let (provider, ca) = Provider::start(shutdown.clone()).await;
    let api = server(&provider, ca).await;
    let first = TokenIssuer::new("x", PrivateKey::generate_rsa().unwrap());
    let second = TokenIssuer::new("x", PrivateKey::generate_rsa().unwrap());
    provider.keys.lock().push(first.public_key().clone());

    assert_eq!(who(&api, "no token of theirs").await, Err(401));
    assert_eq!(*provider.asked.lock(), Vec::<String>::new());
    let jane = who(&api, &provider.token(&first, json!({}))).await.unwrap();
    assert_eq!(jane["username"], "oidc:jane@example.com");
    assert_eq!(jane["groups"], json!(["oidc:dev", "system:authenticated"]));
    assert_eq!(*provider.asked.lock(), ["/.well-known/openid-configuration", "/keys"]);
    for change in [
        json!({"aud": "other"}),
        json!({"exp": 1}),
        json!({"tenant": "b"}),
        json!({"email_verified": false}),
        json!({"iss": "https://other"}),
        json!({"email": null}),
    ] {
        assert_eq!(who(&api, &provider.token(&first, change.clone())).await, Err(401), "{change}");
    }

    // A key that nobody knows is asked for, but not all the time.
    let token = provider.token(&second, json!({}));
    assert_eq!(who(&api, &token).await, Err(401));
    assert_eq!(provider.asked.lock().len(), 2);
    *provider.keys.lock() = vec![second.public_key().clone()];
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    assert!(who(&api, &token).await.is_ok());
    assert_eq!(provider.asked.lock().len(), 4);
    // What the provider took back is no good any more.
    assert_eq!(who(&api, &provider.token(&first, json!({}))).await, Err(401));
    shutdown.cancel();
}
