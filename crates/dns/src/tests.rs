//! Real sockets, a made-up API.

use crate::{Forwarder, Listener, Resolver, serve};
use bytes::Bytes;
use client::{Body, Client, Transport, TransportError};
use expect_test::{Expect, expect};
use futures::future::BoxFuture;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use object::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

/// An API with a few objects.
struct Objects(Vec<Value>);

impl Transport for Objects {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or("").replace("%2F", "/").replace("%3D", "=");
        let wanted =
            query.split('&').find_map(|p| p.strip_prefix("labelSelector=kubernetes.io/service-name="));
        let kind =
            match path.split('/').rfind(|part| ["services", "endpointslices", "namespaces"].contains(part)) {
                Some("services") => "Service",
                Some("endpointslices") => "EndpointSlice",
                _ => "Namespace",
            };
        let namespace = path
            .split_once("/namespaces/")
            .map(|(_, rest)| rest.split('/').next().unwrap_or(""))
            .filter(|_| kind != "Namespace");
        let of = |o: &&Value| {
            o["kind"] == kind
                && namespace.is_none_or(|n| o["metadata"]["namespace"] == n)
                && wanted.is_none_or(|w| o["metadata"]["labels"]["kubernetes.io/service-name"] == w)
        };
        let list = path.ends_with("services") || path.ends_with("endpointslices");
        let found: Vec<&Value> = self.0.iter().filter(of).collect();
        let (status, body) = if list {
            (200, json!({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": found}))
        } else {
            let name = path.rsplit('/').next().unwrap_or("");
            match found.iter().find(|o| o["metadata"]["name"] == name) {
                Some(object) => (200, (*object).clone()),
                None => (
                    404,
                    json!({"kind": "Status", "code": 404, "reason": "NotFound", "details": {"name": name}}),
                ),
            }
        };
        let response =
            http::Response::builder().status(status).body(Body::Full(Bytes::from(body.to_string())));
        Box::pin(async move { response.map_err(|e| TransportError(e.to_string())) })
    }
}

fn objects() -> Vec<Value> {
    let service = |name: &str, spec: Value| json!({"kind": "Service", "metadata": {"namespace": "shop", "name": name}, "spec": spec});
    let mut all = vec![
        json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
        service(
            "web",
            json!({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}),
        ),
        service("db", json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]})),
        service("empty", json!({"clusterIP": "None"})),
        service("out", json!({"type": "ExternalName", "externalName": "example.org"})),
        service("inward", json!({"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"})),
        service("circle", json!({"type": "ExternalName", "externalName": "circle.shop.svc.cluster.local"})),
        service("many", json!({"clusterIP": "None"})),
    ];
    let slice = |service: &str, ports: Value, endpoints: Value| {
        json!({
            "kind": "EndpointSlice", "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
            "metadata": {"namespace": "shop", "name": service, "labels": {"kubernetes.io/service-name": service}},
        })
    };
    all.push(slice(
        "db",
        json!([{"name": "sql", "port": 5432}]),
        json!([
            {"addresses": ["10.244.0.5"], "hostname": "db-0"},
            {"addresses": ["10.244.0.6"], "conditions": {"ready": false}},
        ]),
    ));
    let many = (0..60).map(|i| json!({"addresses": [format!("10.244.1.{i}")]}));
    all.push(slice("many", json!([]), many.collect()));
    all
}

/// A server, and one that it forwards to.
struct Bench {
    datagrams: SocketAddr,
    streams: SocketAddr,
    stop: CancellationToken,
}

impl Bench {
    async fn start() -> Self {
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let forward = Forwarder::new(vec![other.local_addr().unwrap()]);
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = other.recv_from(&mut buffer).await {
                let request = Message::from_vec(&buffer[..length]).unwrap();
                let mut reply = Message::response(request.metadata.id, OpCode::Query);
                reply.add_queries(request.queries.clone());
                let address = hickory_proto::rr::RData::A("192.0.2.9".parse().unwrap());
                reply.add_answer(hickory_proto::rr::Record::from_rdata(
                    request.queries[0].name().clone(),
                    60,
                    address,
                ));
                other.send_to(&reply.to_vec().unwrap(), peer).await.unwrap();
            }
        });
        let client = Client::new(Arc::new(Objects(objects())), "test");
        let own = vec!["10.96.0.10".parse().unwrap()];
        let resolver = Arc::new(Resolver::new(client, "cluster.local", own, Some(Arc::new(forward))));
        let listener = Listener {
            datagrams: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            streams: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let (datagrams, streams) =
            (listener.datagrams.local_addr().unwrap(), listener.streams.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, resolver, stop.clone()));
        Self { datagrams, streams, stop }
    }

    async fn send(&self, bytes: &[u8]) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(bytes, self.datagrams).await.unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).await.unwrap();
        Message::from_vec(&buffer[..length]).unwrap()
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        self.send(&question(name, kind)).await
    }

    async fn check(&self, name: &str, kind: RecordType, expected: Expect) {
        let answer = self.ask(name, kind).await;
        let mut lines: Vec<String> =
            answer.answers.iter().map(|r| format!("{} {}", r.record_type(), r.data)).collect();
        lines.sort();
        lines.extend(answer.additionals.iter().map(|r| format!("+ {} {}", r.name, r.data)));
        let code = answer.metadata.response_code;
        if code != ResponseCode::NoError || lines.is_empty() {
            lines.insert(0, format!("{code:?}"));
        }
        expected.assert_eq(&lines.join("\n"));
    }
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

#[tokio::test]
async fn answers_as_the_specification_says() {
    let bench = Bench::start().await;
    let (a, aaaa, srv, ptr) = (RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::PTR);
    bench.check("web.shop.svc.cluster.local.", a, expect!["A 10.96.0.7"]).await;
    bench.check("web.shop.svc.cluster.local.", aaaa, expect!["AAAA fd00::7"]).await;
    bench.check("web.shop.svc.cluster.local.", RecordType::MX, expect!["NoError"]).await;
    bench
        .check(
            "_http._tcp.web.shop.svc.cluster.local.",
            srv,
            expect![[r#"
        SRV 0 100 80 web.shop.svc.cluster.local.
        + web.shop.svc.cluster.local. 10.96.0.7
        + web.shop.svc.cluster.local. fd00::7"#]],
        )
        .await;
    bench.check("_http._udp.web.shop.svc.cluster.local.", srv, expect!["NXDomain"]).await;
    bench.check("db.shop.svc.cluster.local.", a, expect!["A 10.244.0.5"]).await;
    bench.check("db-0.db.shop.svc.cluster.local.", a, expect!["A 10.244.0.5"]).await;
    bench
        .check(
            "_sql._tcp.db.shop.svc.cluster.local.",
            srv,
            expect![[r#"
        SRV 0 100 5432 db-0.db.shop.svc.cluster.local.
        + db-0.db.shop.svc.cluster.local. 10.244.0.5"#]],
        )
        .await;
    bench.check("10-244-0-6.db.shop.svc.cluster.local.", a, expect!["NXDomain"]).await;
    bench.check("empty.shop.svc.cluster.local.", a, expect!["NXDomain"]).await;
    bench.check("web.elsewhere.svc.cluster.local.", a, expect!["NXDomain"]).await;
    bench.check("10-244-0-5.shop.pod.cluster.local.", a, expect!["A 10.244.0.5"]).await;
    bench.check("10-244-0-5.none.pod.cluster.local.", a, expect!["NXDomain"]).await;
    bench.check("shop.svc.cluster.local.", a, expect!["NoError"]).await;
    bench.check("7.0.96.10.in-addr.arpa.", ptr, expect!["PTR web.shop.svc.cluster.local."]).await;
    bench.check("5.0.244.10.in-addr.arpa.", ptr, expect!["PTR db-0.db.shop.svc.cluster.local."]).await;
    bench.check("dns-version.cluster.local.", RecordType::TXT, expect!["TXT 1.1.0"]).await;
    bench.check("cluster.local.", RecordType::NS, expect!["NS ns.dns.cluster.local."]).await;
    bench.check("ns.dns.cluster.local.", a, expect!["A 10.96.0.10"]).await;
    bench.stop.cancel();
}

#[tokio::test]
async fn other_names_are_asked_of_others_and_own_ones_never() {
    let bench = Bench::start().await;
    let a = RecordType::A;
    bench.check("example.org.", a, expect!["A 192.0.2.9"]).await;
    bench
        .check(
            "out.shop.svc.cluster.local.",
            a,
            expect![[r#"
        A 192.0.2.9
        CNAME example.org."#]],
        )
        .await;
    bench
        .check(
            "inward.shop.svc.cluster.local.",
            a,
            expect![[r#"
        A 10.96.0.7
        CNAME web.shop.svc.cluster.local."#]],
        )
        .await;
    let circle = bench.ask("circle.shop.svc.cluster.local.", a).await;
    assert_eq!(circle.metadata.response_code, ResponseCode::NoError, "it ends");
    bench.check("kubernetes.default.svc.cluster.local.", a, expect!["NXDomain"]).await;
    bench.check("9.0.96.10.in-addr.arpa.", RecordType::PTR, expect!["NXDomain"]).await;
    bench.stop.cancel();
}

#[tokio::test]
async fn long_answers_come_over_a_stream() {
    let bench = Bench::start().await;
    let name = "many.shop.svc.cluster.local.";
    let cut = bench.ask(name, RecordType::A).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 60);
    let mut stream = TcpStream::connect(bench.streams).await.unwrap();
    for _ in 0..2 {
        let bytes = question(name, RecordType::A);
        stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut whole = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut whole).await.unwrap();
        assert_eq!(Message::from_vec(&whole).unwrap().answers.len(), 60);
    }
    bench.stop.cancel();
}

#[tokio::test]
async fn what_is_no_question_does_no_harm() {
    let bench = Bench::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for bytes in [&b""[..], b"x", &[0xff; 64], &[0; 4096]] {
        socket.send_to(bytes, bench.datagrams).await.unwrap();
    }
    let mut garbled = question("web.shop.svc.cluster.local.", RecordType::A);
    garbled.truncate(20);
    assert_eq!(bench.send(&garbled).await.metadata.response_code, ResponseCode::FormErr);
    bench.check("cluster.local.", RecordType::AXFR, expect!["Refused"]).await;
    bench.check("web.shop.svc.cluster.local.", RecordType::A, expect!["A 10.96.0.7"]).await;
    bench.stop.cancel();
}
