//! The listener, spoken to by hyper's client and by raw sockets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use client::{Body, TransportError};
use futures::StreamExt;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use http_server::{Limits, Peer, Server, Tls, serve};
use hyper::client::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo};
use node::Upgrade;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Authority(Issuer<'static, KeyPair>, String);

struct Leaf {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    fn leaf(&self, name: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Leaf { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

struct Running {
    address: SocketAddr,
    authority: Authority,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(limits: Limits) -> Self {
        let authority = Authority::new();
        let leaf = authority.leaf("localhost");
        let ca = authority.1.as_bytes();
        let tls = Tls::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes(), Some(ca)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = Server { listener, tls: Some(tls), handler: Arc::new(handle), limits };
        let task = tokio::spawn(serve(server, shutdown.clone()));
        Self { address, authority, shutdown, task }
    }

    async fn connect(
        &self,
        identity: Option<&Leaf>,
        alpn: &[u8],
    ) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.1.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Response<hyper::body::Incoming> {
        self.ask_as(None, request).await
    }

    async fn ask_as(
        &self,
        identity: Option<&Leaf>,
        request: Request<Full<Bytes>>,
    ) -> Response<hyper::body::Incoming> {
        let stream = self.connect(identity, b"http/1.1").await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn text(text: impl Into<String>) -> Response<Body> {
    Response::new(Body::Full(Bytes::from(text.into())))
}

async fn handle(mut request: Request<Bytes>, peer: Peer) -> Response<Body> {
    match request.uri().path() {
        "/who" => text(peer.certificate.map_or("nobody".into(), |der| format!("{} bytes", der.len()))),
        "/length" => text(request.body().len().to_string()),
        "/large" => text("x".repeat(200_000)),
        "/panic" => panic!("on purpose"),
        "/watch" => {
            let first = futures::stream::iter([Ok::<_, TransportError>(Bytes::from_static(b"one\n"))]);
            Response::new(Body::Stream(first.chain(futures::stream::pending()).boxed()))
        }
        "/echo" => {
            let upgrade = Upgrade::take(request.extensions_mut()).expect("asked for an upgrade");
            upgrade.serve(|io| async move {
                let (mut read, mut write) = tokio::io::split(io);
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
            let mut response = text("");
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert(header::UPGRADE, "echo".parse().unwrap());
            response.headers_mut().insert(header::CONNECTION, "Upgrade".parse().unwrap());
            response
        }
        _ => text(format!("{:?}", request.version())),
    }
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "localhost").body(Full::default()).unwrap()
}

async fn body(response: Response<hyper::body::Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn both_http_versions_are_served() {
    let server = Running::start(Limits::default()).await;
    assert_eq!(body(server.ask(get("/version")).await).await, "HTTP/1.1");
    let stream = server.connect(None, b"h2").await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(body(sender.send_request(get("https://localhost/version")).await.unwrap()).await, "HTTP/2.0");
    server.stop().await;
}

#[tokio::test]
async fn client_certificates_are_optional_but_never_wrong() {
    let server = Running::start(Limits::default()).await;
    assert_eq!(body(server.ask(get("/who")).await).await, "nobody");
    let known = server.authority.leaf("admin");
    assert!(body(server.ask_as(Some(&known), get("/who")).await).await.ends_with(" bytes"));
    let stranger = Authority::new().leaf("admin");
    let refused = server.ask_as(Some(&stranger), get("/who")).await;
    assert_eq!(refused.status(), 401);
    assert!(body(refused).await.contains("\"reason\":\"Unauthorized\""));
    let mut with_token = get("/who");
    with_token.headers_mut().insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
    assert_eq!(body(server.ask_as(Some(&stranger), with_token).await).await, "nobody");
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = Running::start(Limits { body: 1000, ..Limits::default() }).await;
    let post = |bytes: usize| {
        Request::post("/length").header("host", "localhost").body(Full::from(vec![b'x'; bytes])).unwrap()
    };
    assert_eq!(body(server.ask(post(1000)).await).await, "1000");
    let refused = server.ask(post(1001)).await;
    assert_eq!(refused.status(), 413);
    assert!(body(refused).await.contains("Request entity too large: limit is 1000"));

    // Without a length the server finds out while reading.
    let mut stream = server.connect(None, b"http/1.1").await;
    let chunk = format!("258\r\n{}\r\n", "y".repeat(600));
    let chunked = format!(
        "POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    server.stop().await;
}

#[tokio::test]
async fn too_many_bytes_in_flight_are_put_off() {
    let server = Running::start(Limits { bodies: 100, ..Limits::default() }).await;
    let request = Request::post("/length").header("host", "x").body(Full::from(vec![b'x'; 101])).unwrap();
    let refused = server.ask(request).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    let request = Request::post("/length").header("host", "x").body(Full::from(vec![b'x'; 100])).unwrap();
    assert_eq!(server.ask(request).await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn large_answers_are_compressed_when_accepted() {
    let server = Running::start(Limits::default()).await;
    let mut request = get("/large");
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
    let packed = server.ask(request).await;
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(packed.headers()[header::VARY], "Accept-Encoding");
    assert!(packed.into_body().collect().await.unwrap().to_bytes().len() < 2000);
    let plain = server.ask(get("/large")).await;
    assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
    assert_eq!(body(plain).await.len(), 200_000);
    server.stop().await;
}

#[tokio::test]
async fn streams_are_flushed_and_end_with_the_listener() {
    let server = Running::start(Limits::default()).await;
    let mut watch = server.ask(get("/watch")).await.into_body();
    assert_eq!(watch.frame().await.unwrap().unwrap().into_data().unwrap(), "one\n");
    server.stop().await;
    assert!(watch.frame().await.is_none(), "a watch ends cleanly at shutdown");
}

#[tokio::test]
async fn upgraded_connections_belong_to_the_listener() {
    let server = Running::start(Limits::default()).await;
    let mut request = get("/echo");
    request.headers_mut().insert(header::CONNECTION, "Upgrade".parse().unwrap());
    request.headers_mut().insert(header::UPGRADE, "echo".parse().unwrap());
    let response = server.ask(request).await;
    assert_eq!(response.status(), 101);
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    io.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    io.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
    server.stop().await;
    // Cut off without a TLS goodbye, or with one: either way it is over.
    assert!(matches!(io.read(&mut back).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_panic_is_one_answer_lost() {
    let server = Running::start(Limits::default()).await;
    let response = server.ask(get("/panic")).await;
    assert_eq!(response.status(), 500);
    assert!(body(response).await.contains("This request caused apiserver to panic"));
    assert_eq!(server.ask(get("/who")).await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let server = Running::start(Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer).await;
    assert!(String::from_utf8_lossy(&answer).contains("Client sent an HTTP request to an HTTPS server."));
    server.stop().await;
}

#[tokio::test]
async fn connections_are_bounded_and_give_their_place_back() {
    let server = Running::start(Limits { connections: 1, ..Limits::default() }).await;
    for _ in 0..3 {
        assert_eq!(server.ask(get("/who")).await.status(), 200);
    }
    server.stop().await;
}

#[test]
fn bad_certificates_are_named() {
    let error = Tls::from_pem(b"", b"", None).err().unwrap();
    assert_eq!(error.to_string(), "serving certificate: no certificate in the PEM");
    let (one, other) = (Authority::new().leaf("a"), Authority::new().leaf("a"));
    let error = Tls::from_pem(one.certificate.as_bytes(), other.key.as_bytes(), None).err().unwrap();
    assert!(error.to_string().starts_with("serving certificate and key: "), "{error}");
}
