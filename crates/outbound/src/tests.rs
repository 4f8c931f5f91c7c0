//! Against a real server on the loopback.

use super::*;
use access::CertificateAuthority;
use access::certificates::{Subject, SubjectAltNames};
use futures::StreamExt;
use http::{HeaderValue, StatusCode};
use http_server::{Limits, Server, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Certificates are verified against the clock.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs() as i64 - 60
}

struct World {
    authority: CertificateAuthority,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn answer(mut request: Request<Bytes>, known: bool) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::new()));
    match request.uri().path() {
        "/fail" => {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            *response.body_mut() = Body::Full("boom\n".into());
        }
        "/stream" => {
            let pieces = ["a", "b", "c"].map(|p| Ok(Bytes::from_static(p.as_bytes())));
            *response.body_mut() = Body::Stream(futures::stream::iter(pieces).boxed());
        }
        "/echo" => {
            if let Some(upgrade) = node::Upgrade::take(request.extensions_mut()) {
                upgrade.serve(|mut io| async move {
                    let mut text = [0; 5];
                    let _ = io.read_exact(&mut text).await;
                    let _ = io.write_all(&text).await;
                    let _ = io.shutdown().await;
                });
            }
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("test"));
        }
        path => {
            let user = request.headers().get("x-remote-user").and_then(|v| v.to_str().ok()).unwrap_or("-");
            let text = format!("{} {path} {user} {known} {:?}", request.method(), request.body());
            *response.body_mut() = Body::Full(text.into());
        }
    }
    response
}

async fn world() -> World {
    let authority = CertificateAuthority::generate("test", now()).unwrap();
    let names = SubjectAltNames::hosts(["localhost", "ext.default.svc"]);
    let issued = authority.issue_server("server", &names, now()).unwrap();
    let trusted = authority.certificate_pem();
    let tls = Tls::from_pem(
        issued.certificate_pem().as_bytes(),
        issued.key_pem().as_bytes(),
        Some(trusted.as_bytes()),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let handler =
        |request, peer: http_server::Peer| async move { answer(request, peer.certificate.is_some()) };
    let server =
        Server { listener, tls: Some(tls.unwrap()), handler: Arc::new(handler), limits: Limits::default() };
    tokio::spawn(http_server::serve(server, stop.clone()));
    World { authority, address, stop }
}

impl World {
    fn to(&self, path: &str) -> Destination {
        Destination {
            url: format!("https://ext.default.svc:443{path}"),
            connect: Some(("localhost".into(), self.address.port())),
            ca_bundle: Some(self.authority.certificate_pem().into_bytes()),
            ..Default::default()
        }
    }

    async fn post(&self, to: Destination) -> Result<String, String> {
        let answer = Https.post(to, "{}".into(), Duration::from_secs(9)).await;
        answer.map(|body| String::from_utf8_lossy(&body).into_owned())
    }
}

#[tokio::test]
async fn servers_prove_who_they_are() {
    let world = world().await;
    assert_eq!(world.post(world.to("/hook")).await.unwrap(), "POST /hook - false b\"{}\"");
    let unknown = Destination { ca_bundle: None, ..world.to("/hook") };
    assert_eq!(
        world.post(unknown.clone()).await.unwrap_err(),
        "Post \"https://ext.default.svc:443/hook\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
    );
    let anybody = Destination { insecure: true, ..unknown };
    assert!(world.post(anybody).await.is_ok());
    let other = Destination { url: "https://other.default.svc/".into(), ..world.to("") };
    assert_eq!(
        world.post(other).await.unwrap_err(),
        "Post \"https://other.default.svc/\": tls: failed to verify certificate: x509: certificate is valid for localhost, ext.default.svc, not other.default.svc"
    );
    assert_eq!(
        world.post(world.to("/fail")).await.unwrap_err(),
        "an error on the server (\"boom\") has prevented the request from succeeding"
    );
}

#[tokio::test]
async fn says_who_did_not_answer() {
    // Port 1 of the loopback: nothing listens there.
    let to = Destination { url: "https://127.0.0.1:1/hook?timeout=2s".into(), ..Default::default() };
    let error = Https.post(to, Bytes::new(), Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(
        error,
        "Post \"https://127.0.0.1:1/hook?timeout=2s\": dial tcp 127.0.0.1:1: connect: connection refused"
    );
}

async fn text(answer: Response<Body>) -> String {
    let mut all = Vec::new();
    match answer.into_body() {
        Body::Full(bytes) => all.extend_from_slice(&bytes),
        Body::Stream(mut stream) => {
            while let Some(piece) = stream.next().await {
                all.extend_from_slice(&piece.unwrap());
            }
        }
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn requests_are_passed_on() {
    let world = world().await;
    let subject = Subject { common_name: "front".into(), organizations: vec![], uid: None };
    let issued = world.authority.issue_client(&subject, 3600, now()).unwrap();
    let identity = Some((issued.certificate_pem(), issued.key_pem()));
    let request = Request::put("/ignored").header("x-remote-user", "bob").body(Bytes::from("x")).unwrap();
    let to = Destination { identity, ..world.to("/a?b=c") };
    assert_eq!(text(Https.forward(to, request, None).await.unwrap()).await, "PUT /a bob true b\"x\"");
    let streamed = Https.forward(world.to("/stream"), Request::new(Bytes::new()), None).await.unwrap();
    assert_eq!(text(streamed).await, "abc");
}

#[tokio::test]
async fn connections_are_joined() {
    let world = world().await;
    let (client, mut ours) = tokio::io::duplex(64);
    let upgrader = node::Upgrader { tasks: TaskTracker::new(), shutdown: CancellationToken::new() };
    let connection = async move { Ok(Box::new(client) as Box<dyn node::Io>) };
    let upgrade = node::Upgrade::new(upgrader, Box::pin(connection));
    let request = Request::get("/").header("connection", "Upgrade").header("upgrade", "test");
    let request = request.body(Bytes::new()).unwrap();
    let answer = Https.forward(world.to("/echo"), request, Some(upgrade)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["upgrade"].to_str().unwrap()), (101, "test"));
    ours.write_all(b"hello").await.unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
}
