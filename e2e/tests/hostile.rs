//! What strangers and tenants may send to a server: it answers or hangs up, keeps its memory within bounds, and serves
//! others meanwhile.

use base64::Engine;
use client::{Client, ListOptions};
use e2e::Joey;
use futures::future::{BoxFuture, FutureExt, join_all};
use object::GroupVersionResource;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What the process may grow by under each attack.
const MEMORY: u64 = 300 << 20;
/// What somebody else's request may take meanwhile, on a machine that tests keep busy.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer, or being hung up on, may take.
const SOON: Duration = Duration::from_secs(30);

type Connection = TlsStream<TcpStream>;

/// The server under attack, as its kubeconfig shows it.
struct Target {
    address: String,
    tls: ClientConfig,
    /// Without a certificate: who nobody is.
    anonymous: ClientConfig,
}

impl Target {
    fn new(joey: &Joey) -> Self {
        let said = joey.shell("kubectl config view --raw --minify -o json", "");
        let config: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.err));
        let bytes = |value: &Value| {
            let text = value.as_str().expect("data in the kubeconfig");
            base64::prelude::BASE64_STANDARD.decode(text).expect("base64")
        };
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let mut roots = RootCertStore::empty();
        let authority = bytes(&cluster["certificate-authority-data"]);
        roots.add(CertificateDer::from_pem_slice(&authority).expect("a certificate")).expect("a root");
        let own =
            CertificateDer::from_pem_slice(&bytes(&user["client-certificate-data"])).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(&bytes(&user["client-key-data"])).expect("a key");
        let builder = || ClientConfig::builder().with_root_certificates(roots.clone());
        let server = cluster["server"].as_str().expect("an address");
        Self {
            address: server.trim_start_matches("https://").to_owned(),
            tls: builder().with_client_auth_cert(vec![own], key).expect("a certificate and its key"),
            anonymous: builder().with_no_client_auth(),
        }
    }

    async fn dial(&self, config: &ClientConfig, protocol: &str) -> Connection {
        let mut config = config.clone();
        config.alpn_protocols = vec![protocol.into()];
        let stream = TcpStream::connect(&self.address).await.expect("the server listens");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS")
    }

    async fn http1(&self) -> Connection {
        self.dial(&self.tls, "http/1.1").await
    }

    async fn stranger(&self) -> Connection {
        self.dial(&self.anonymous, "http/1.1").await
    }

    /// HTTP/2, with its beginnings said.
    async fn http2(&self) -> Connection {
        let mut connection = self.dial(&self.anonymous, "h2").await;
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(4, 0, 0, &[]));
        connection.write_all(&hello).await.expect("sent");
        connection
    }
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn post(length: &str) -> String {
    format!("POST {CONFIG_MAPS} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{length}\r\n\r\n")
}

/// The status that a connection is answered with; 0 if it is hung up on instead.
async fn status(connection: &mut Connection) -> u16 {
    let mut start = [0; 12];
    match tokio::time::timeout(SOON, connection.read_exact(&mut start)).await {
        Ok(Ok(_)) => std::str::from_utf8(&start[9..]).ok().and_then(|code| code.parse().ok()).unwrap_or(0),
        Ok(Err(_)) => 0,
        Err(_) => panic!("neither answered nor hung up on"),
    }
}

/// Sends a body whole, or as much of it as is taken.
async fn told(target: &Target, body: Vec<u8>) -> u16 {
    let mut connection = target.http1().await;
    let head = post(&format!("content-length: {}", body.len()));
    let _ = connection.write_all(head.as_bytes()).await;
    let _ = connection.write_all(&body).await;
    status(&mut connection).await
}

fn filled(start: &str, part: &str, bytes: usize, end: &str) -> Vec<u8> {
    format!("{start}{}{end}", part.repeat(bytes / part.len())).into_bytes()
}

async fn bodies(target: &Target) {
    let rows = [
        (filled("{\"data\":{\"a\":\"", "x", 10 << 20, "\"}}"), 413),
        (filled("", "{\"a\":", 2 << 20, ""), 400),
        (filled("", "[", 2 << 20, ""), 400),
        (filled("{\"metadata\":{\"name\":\"x\"},\"odd\":[", "{},", 2 << 20, "{}]}"), 201),
        (filled("{\"metadata\":{\"name\":\"y\"},\"data\":[", "[],", 2 << 20, "[]]}"), 400),
        (b"{\"metadata\":{\"name\":\"z\",\"generation\":NaN}}".to_vec(), 400),
    ];
    for (body, expected) in rows {
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let answers = join_all((0..8).map(|_| told(target, body.clone()))).await;
        // Of eight that make the same object one is first. Who sends more than was asked for may be hung up on.
        let known = |code: &u16| [expected, 409, 429].contains(code) || (expected == 413 && *code == 0);
        assert!(answers.iter().all(known), "{start}: {answers:?}");
    }
}

/// A byte at a time: each piece must not cost many times what it holds.
async fn crumbs(target: &Target) {
    let one = async || {
        let mut connection = target.stranger().await;
        let _ = connection.write_all(post("transfer-encoding: chunked").as_bytes()).await;
        let crumbs = b"1\r\nx\r\n".repeat(2 << 20);
        let _ = connection.write_all(&crumbs).await;
        connection
    };
    let _open = join_all((0..16).map(|_| one())).await;
}

/// Headers and bodies that never end.
async fn slow_writers(target: &Target) {
    let header = async || {
        let mut connection = target.stranger().await;
        let start = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "x".repeat(50_000));
        let _ = connection.write_all(start.as_bytes()).await;
        connection
    };
    let body = async || {
        let mut connection = target.stranger().await;
        let _ = connection.write_all(post("content-length: 3000000").as_bytes()).await;
        let _ = connection.write_all(b"{").await;
        connection
    };
    let headers = join_all((0..200).map(|_| header())).await;
    let bodies = join_all((0..200).map(|_| body())).await;
    assert_eq!(told(target, b"{\"metadata\":{\"generateName\":\"meanwhile-\"}}".to_vec()).await, 201);
    drop((headers, bodies));
}

/// Asked for much, and never taken; some go away at once.
async fn slow_readers(target: &Target) {
    let ask = async |path: &str| {
        let mut connection = target.http1().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let _ = connection.write_all(request.as_bytes()).await;
        connection
    };
    let lists = join_all((0..40).map(|_| ask("/api/v1/configmaps"))).await;
    for _ in 0..10 {
        drop(join_all((0..20).map(|_| ask("/api/v1/configmaps"))).await);
    }
    // Half-open: nobody reads what happens.
    let watches = join_all((0..100).map(|_| ask("/api/v1/configmaps?watch=true"))).await;
    for number in 0..20 {
        let name =
            json!({"metadata": {"name": format!("event-{number}")}, "data": {"a": "x".repeat(200_000)}});
        let code = told(target, name.to_string().into_bytes()).await;
        assert_eq!(code, 201);
    }
    drop((lists, watches));
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut all = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    all.extend([kind, flags]);
    all.extend(stream.to_be_bytes());
    all.extend(payload);
    all
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// `GET https://a/version`.
fn header_block() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x04, 8];
    block.extend(b"/version");
    block.extend([0x01, 1, b'a']);
    block
}

/// Sends frames as long as they are taken; the connection's fate is the server's affair.
async fn pour(target: &Target, frames: impl Fn(u32) -> Vec<u8>, count: u32) {
    let (mut read, mut write) = tokio::io::split(target.http2().await);
    let writing = async {
        for number in 0..count {
            if write.write_all(&frames(number)).await.is_err() {
                break;
            }
        }
        let _ = write.shutdown().await;
    };
    let reading = async {
        let mut answers = [0; 16_384];
        while read.read(&mut answers).await.is_ok_and(|bytes| bytes > 0) {}
    };
    let both = futures::future::join(writing, reading);
    tokio::time::timeout(SOON, both).await.expect("neither served nor hung up on");
}

async fn frames(target: &Target) {
    let open = |stream: u32| frame(HEADERS, 5, stream, &header_block());
    let reset = |number: u32| {
        let stream = 2 * number + 1;
        [open(stream), frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let endless = |number: u32| match number {
        0 => frame(HEADERS, 1, 1, &header_block()),
        // Literals without an entry in the table: `a: xx…`.
        _ => frame(CONTINUATION, 0, 1, &[&[0, 1, b'a', 100][..], &[b'x'; 100]].concat().repeat(100)),
    };
    let nothing = |number: u32| match number {
        0 => frame(HEADERS, 1, 1, &header_block()),
        _ => frame(CONTINUATION, 0, 1, &[]),
    };
    let pings = |_| frame(PING, 0, 0, &[0; 8]);
    let settings = |_| frame(4, 0, 0, &[0, 3, 0, 0, 0, 9]);
    let all: [BoxFuture<'_, ()>; 5] = [
        pour(target, reset, 20_000).boxed(),
        pour(target, endless, 5_000).boxed(),
        pour(target, nothing, 50_000).boxed(),
        pour(target, pings, 50_000).boxed(),
        pour(target, settings, 50_000).boxed(),
    ];
    join_all(all).await;
}

/// Queries and rules that take long to read, or would to evaluate.
async fn bombs(target: &Target) {
    let ask = async |query: String| {
        let mut connection = target.http1().await;
        let request = format!("GET {CONFIG_MAPS}?{query} HTTP/1.1\r\nhost: a\r\n\r\n");
        let _ = connection.write_all(request.as_bytes()).await;
        status(&mut connection).await
    };
    assert_eq!(ask(format!("labelSelector=a%20in%20({})", vec!["x"; 30_000].join(","))).await, 200);
    assert_eq!(ask(format!("labelSelector={}", "!".repeat(60_000))).await, 400);
    assert_eq!(ask(format!("fieldSelector={}", "a%3D".repeat(10_000))).await, 400);
    assert!([414, 431, 0].contains(&ask(format!("labelSelector={}", "x".repeat(1 << 20))).await));
    assert_eq!(ask(format!("continue={}", "A".repeat(60_000))).await, 400);
}

fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
}

/// Carries out an attack, while somebody else goes on with their work.
async fn during(joey: &Joey, other: &Client, name: &str, attack: impl Future<Output = ()>) {
    let config_maps = GroupVersionResource::new("", "v1", "configmaps");
    let mut attack = std::pin::pin!(attack);
    let (before, mut most, mut slowest) = (memory(joey.process()), 0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let work = async { other.list(&config_maps, "kube-system", &ListOptions::default()).await };
        let (mut work, mut over) = (std::pin::pin!(work), false);
        let answer = loop {
            tokio::select! {
                () = &mut attack, if !over => over = true,
                answer = &mut work => break answer,
            }
        };
        answer.unwrap_or_else(|e| panic!("{name}: {e}\n{}", joey.log()));
        slowest = slowest.max(began.elapsed());
        most = most.max(memory(joey.process()));
        if over {
            break;
        }
    }
    let more = most.saturating_sub(before) >> 20;
    eprintln!("{name}: slowest answer {slowest:?}, {more} MB more");
    assert!(slowest < PATIENCE, "{name}: {slowest:?}");
    assert!(more < MEMORY >> 20, "{name}: {more} MB more");
    assert!(!joey.log().contains("panicked"), "{name}: {}", joey.log());
}

#[test]
fn nobody_is_held_up_and_memory_is_bounded() {
    let Some(joey) = Joey::serve(1) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let target = Target::new(&joey);
        let other =
            hostclient::connect(Some(&joey.kubeconfig()), None, "other").await.expect("a kubeconfig").client;
        let config_maps = GroupVersionResource::new("", "v1", "configmaps");
        for number in 0..10 {
            let metadata = json!({"name": format!("filling-{number}"), "namespace": "default"});
            let object = json!({"metadata": metadata, "data": {"a": "x".repeat(900_000)}});
            other.create(&config_maps, &object).await.expect("made");
        }
        during(&joey, &other, "bodies", bodies(&target)).await;
        during(&joey, &other, "crumbs", crumbs(&target)).await;
        during(&joey, &other, "slow writers", slow_writers(&target)).await;
        during(&joey, &other, "slow readers", slow_readers(&target)).await;
        during(&joey, &other, "frames", frames(&target)).await;
        during(&joey, &other, "bombs", bombs(&target)).await;
    });
}
