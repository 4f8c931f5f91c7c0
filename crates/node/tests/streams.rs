//! Sessions and port-forwards as clients speak them, over pipes: WebSocket channels, SPDY/3.1, SPDY inside a WebSocket.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use client::BodyStream;
use futures::future::BoxFuture;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Method, Response, StatusCode};
use node::spdy::frame::Frame;
use node::spdy::headers::{Headers, Pack};
use node::{ExecOptions, Io, Kubelet, LogOptions, PortForward, Query, Request, Session, Upgrade, Upgrader};
use object::{ApiError, Result, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Each process says its command, then what it is told, then ends with the number of bytes it was told.
struct Echo;

impl Kubelet for Echo {
    fn logs(&self, _: &str, _: &str, options: LogOptions) -> BoxFuture<'_, Result<BodyStream>> {
        let text = format!("log of {}\n", options.container);
        Box::pin(async move { Ok(futures::stream::iter([Ok(Bytes::from(text))]).boxed()) })
    }

    fn exec(&self, _: &str, _: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        Box::pin(async move {
            if options.command == ["missing"] {
                return Err(ApiError::Internal("container not found (\"c\")".into()));
            }
            let (session, mut process) = Session::pair(options.streams);
            tokio::spawn(async move {
                let out = process.stdout.clone().expect("asked for");
                out.send(options.command.join(" ").into()).await.unwrap();
                let mut told = 0;
                if let Some(stdin) = &mut process.stdin {
                    while let Some(data) = stdin.recv().await {
                        told += data.len() as i32;
                        out.send(data).await.unwrap();
                    }
                }
                if let Some(err) = &process.stderr {
                    err.send("done".into()).await.unwrap();
                }
                drop(out);
                process.exit(told);
            });
            Ok(session)
        })
    }

    fn attach(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        self.exec(namespace, pod, options)
    }

    fn port_forward(&self, _: &str, _: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>> {
        Box::pin(async { Ok(Box::new(Mirror) as Box<dyn PortForward>) })
    }
}

/// Port 80 sends everything back; the others refuse.
struct Mirror;

impl PortForward for Mirror {
    fn open(&self, port: u16) -> BoxFuture<'_, std::result::Result<Box<dyn Io>, String>> {
        Box::pin(async move {
            if port != 80 {
                return Err("connection refused".into());
            }
            let (ours, theirs) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(ours);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
            Ok(Box::new(theirs) as Box<dyn Io>)
        })
    }
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"nodeName": "node", "containers": [{"name": "c"}]},
    })
}

/// Sends a request; the other end of its connection comes back.
async fn ask(
    subresource: &str,
    query: &str,
    headers: &[(&str, &str)],
) -> (Result<Response<client::Body>>, DuplexStream, Upgrader) {
    let (server, client) = tokio::io::duplex(64 << 10);
    let upgrader = Upgrader::default();
    let upgrade =
        Upgrade::new(upgrader.clone(), Box::pin(async move { Ok(Box::new(server) as Box<dyn Io>) }));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let request = Request {
        method: Method::GET,
        headers: map,
        query: Query::parse(query),
        rest: String::new(),
        raw_query: query.into(),
        body: Bytes::new(),
        upgrade: Some(upgrade),
    };
    let kubelet: Arc<dyn Kubelet> = Arc::new(Echo);
    let answer = node::connect::pod(&kubelet, &pod(), subresource, "p", request).await;
    (answer, client, upgrader)
}

const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");

async fn websocket(
    subresource: &str,
    query: &str,
    protocol: &str,
) -> (WebSocketStream<DuplexStream>, Upgrader) {
    let headers = [("upgrade", "websocket"), KEY, ("sec-websocket-protocol", protocol)];
    let (answer, client, upgrader) = ask(subresource, query, &headers).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer.headers()["sec-websocket-protocol"], protocol.split(',').next().unwrap());
    (WebSocketStream::from_raw_socket(client, Role::Client, None).await, upgrader)
}

/// Everything that came, by channel, until the server says goodbye.
async fn gather(socket: &mut WebSocketStream<DuplexStream>) -> HashMap<u8, String> {
    let mut channels: HashMap<u8, String> = HashMap::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(data) => {
                let text = String::from_utf8(data[1..].to_vec()).unwrap();
                channels.entry(data[0]).or_default().push_str(&text);
            }
            Message::Text(text) => {
                use base64::Engine;
                let data = base64::prelude::BASE64_STANDARD.decode(&text.as_str()[1..]).unwrap();
                let channel = text.as_bytes()[0] - b'0';
                channels.entry(channel).or_default().push_str(&String::from_utf8(data).unwrap());
            }
            Message::Close(frame) => {
                assert_eq!(u16::from(frame.unwrap().code), 1000);
                break;
            }
            _ => {}
        }
    }
    channels
}

#[tokio::test]
async fn version_five_closes_standard_input() {
    let query = "command=say&command=it&stdin=true&stdout=true&stderr=true&container=c";
    let (mut socket, upgrader) = websocket("exec", query, "v5.channel.k8s.io,v4.channel.k8s.io").await;
    socket.send(Message::binary(&b"\x00abc"[..])).await.unwrap();
    socket.send(Message::binary(&b"\x04{\"Width\":80,\"Height\":24}"[..])).await.unwrap();
    socket.send(Message::binary(&b"\xff\x00"[..])).await.unwrap();
    let channels = gather(&mut socket).await;
    assert_eq!((channels[&1].as_str(), channels[&2].as_str()), ("say itabc", "done"));
    let status: Value = serde_json::from_str(&channels[&3]).unwrap();
    assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
    drop(socket);
    upgrader.tasks.close();
    upgrader.tasks.wait().await;
}

#[tokio::test]
async fn older_and_base64_channels_work() {
    for protocol in ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"] {
        let (mut socket, _) = websocket("exec", "command=x&stdout=1", protocol).await;
        let channels = gather(&mut socket).await;
        assert_eq!(
            (channels[&1].as_str(), channels[&3].as_str()),
            ("x", r#"{"metadata":{},"status":"Success"}"#)
        );
    }
    let (mut socket, _) = websocket("exec", "command=x&stdout=1", "channel.k8s.io").await;
    assert_eq!(gather(&mut socket).await.get(&3).map_or("", String::as_str), "", "no news is good news");
}

#[tokio::test]
async fn logs_come_over_a_websocket_too() {
    let expected = [("binary.k8s.io", "log of c\n"), ("base64.binary.k8s.io", "bG9nIG9mIGMK")];
    for (protocol, text) in expected {
        let (mut socket, upgrader) = websocket("log", "container=c", protocol).await;
        let mut messages = vec![];
        while let Some(Ok(message)) = socket.next().await {
            messages.push(message.to_text().unwrap().to_owned());
        }
        assert_eq!(messages, ["", text, ""], "{protocol}: what it starts with, the log, goodbye");
        upgrader.tasks.close();
        upgrader.tasks.wait().await;
    }
    let unknown = [("upgrade", "websocket"), KEY, ("sec-websocket-protocol", "v4.channel.k8s.io")];
    let refused = ask("log", "", &unknown).await.0.err().unwrap().to_string();
    assert!(refused.starts_with("requested protocol(s) are not supported: [v4.channel.k8s.io]"), "{refused}");
}

#[tokio::test]
async fn refusals_travel_as_the_protocol_wants() {
    let (mut socket, _) = websocket("exec", "command=missing&stdout=1", "v5.channel.k8s.io").await;
    let status: Value = serde_json::from_str(&gather(&mut socket).await[&3]).unwrap();
    assert_eq!((status["status"].as_str(), status["code"].as_u64()), (Some("Failure"), Some(500)));
    let spdy = [("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v4.channel.k8s.io")];
    let refused = ask("exec", "command=missing&stdout=1", &spdy).await.0.err().unwrap();
    assert_eq!(refused.code(), 500);
    for (subresource, query, headers, message) in [
        ("exec", "command=x&stdout=1", &[][..], "Upgrade request required"),
        ("exec", "command=x", &spdy[..], "you must specify at least 1 of stdin, stdout, stderr"),
        ("exec", "container=z&stdout=1", &spdy[..], "container z is not valid for pod p"),
        (
            "log",
            "tailLines=-1",
            &[][..],
            "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
        ),
    ] {
        assert_eq!(ask(subresource, query, headers).await.0.err().unwrap().to_string(), message);
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_process_and_the_task() {
    let (socket, upgrader) = websocket("exec", "command=x&stdin=1&stdout=1", "v5.channel.k8s.io").await;
    drop(socket);
    upgrader.tasks.close();
    upgrader.tasks.wait().await;
}

#[tokio::test]
async fn the_listener_can_end_a_session() {
    let (mut socket, upgrader) = websocket("exec", "command=x&stdin=1&stdout=1", "v5.channel.k8s.io").await;
    assert!(socket.next().await.unwrap().is_ok());
    upgrader.shutdown.cancel();
    upgrader.tasks.close();
    upgrader.tasks.wait().await;
}

/// The client's side of SPDY.
struct Spdy<T> {
    io: T,
    pack: Pack,
    next: u32,
}

impl<T: Io> Spdy<T> {
    fn new(io: T) -> Self {
        Self { io, pack: Pack::default(), next: 1 }
    }

    async fn open(&mut self, headers: &[(&str, &str)]) -> u32 {
        let headers: Headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let block = self.pack.block(&headers).unwrap().into();
        let id = self.next;
        self.next += 2;
        self.send(Frame::SynStream { id, fin: false, block }).await;
        id
    }

    async fn send(&mut self, frame: Frame) {
        self.io.write_all(&frame.encode()).await.unwrap();
    }

    /// Data by stream, until all of `streams` are finished.
    async fn gather(&mut self, streams: &[u32]) -> HashMap<u32, String> {
        let (mut texts, mut open) = (HashMap::<u32, String>::new(), streams.to_vec());
        while !open.is_empty() {
            match Frame::read(&mut self.io).await.unwrap().expect("the connection goes on") {
                Frame::Data { id, fin, data } => {
                    texts.entry(id).or_default().push_str(std::str::from_utf8(&data).unwrap());
                    if fin {
                        open.retain(|o| *o != id);
                    }
                }
                Frame::SynReply { .. } | Frame::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
        texts
    }
}

#[tokio::test]
async fn sessions_work_over_spdy() {
    let headers = [
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", "v9.channel.k8s.io"),
        ("x-stream-protocol-version", "v4.channel.k8s.io"),
    ];
    let (answer, client, upgrader) = ask("exec", "command=say&stdin=1&stdout=1&stderr=1", &headers).await;
    assert_eq!(answer.unwrap().headers()["x-stream-protocol-version"], "v4.channel.k8s.io");
    let mut spdy = Spdy::new(client);
    let error = spdy.open(&[("streamtype", "error")]).await;
    let stdin = spdy.open(&[("streamtype", "stdin")]).await;
    let stdout = spdy.open(&[("streamtype", "stdout")]).await;
    let stderr = spdy.open(&[("streamtype", "stderr")]).await;
    spdy.send(Frame::Ping(1)).await;
    spdy.send(Frame::Data { id: stdin, fin: true, data: Bytes::from_static(b" hello") }).await;
    let texts = spdy.gather(&[error, stdout, stderr]).await;
    assert_eq!((texts[&stdout].as_str(), texts[&stderr].as_str()), ("say hello", "done"));
    assert!(texts[&error].contains("\"message\":\"6\""));
    drop(spdy);
    upgrader.tasks.close();
    upgrader.tasks.wait().await;
}

async fn forward<T: Io>(io: T) {
    let mut spdy = Spdy::new(io);
    for request in ["0", "1"] {
        let error = spdy.open(&[("streamtype", "error"), ("port", "80"), ("requestid", request)]).await;
        let data = spdy.open(&[("streamtype", "data"), ("port", "80"), ("requestid", request)]).await;
        spdy.send(Frame::Data { id: data, fin: true, data: Bytes::from_static(b"to and fro") }).await;
        let texts = spdy.gather(&[error, data]).await;
        assert_eq!((texts[&data].as_str(), texts[&error].as_str()), ("to and fro", ""));
    }
    let data = spdy.open(&[("streamtype", "data"), ("port", "81"), ("requestid", "2")]).await;
    let error = spdy.open(&[("streamtype", "error"), ("port", "81"), ("requestid", "2")]).await;
    let texts = spdy.gather(&[error, data]).await;
    assert_eq!(texts[&error], "error forwarding port 81 to pod p, uid u: connection refused");
}

#[tokio::test]
async fn ports_are_forwarded_over_spdy() {
    let headers = [("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "portforward.k8s.io")];
    let (answer, client, _) = ask("portforward", "", &headers).await;
    assert_eq!(answer.unwrap().status(), 101);
    forward(client).await;
}

#[tokio::test]
async fn ports_are_forwarded_through_a_websocket() {
    let (socket, _) = websocket("portforward", "", "SPDY/3.1+portforward.k8s.io").await;
    let (near, far) = tokio::io::duplex(4096);
    let (mut sink, mut source) = socket.split();
    let (mut from, mut to) = tokio::io::split(far);
    tokio::spawn(async move {
        let mut buffer = [0; 100];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            sink.send(Message::binary(Bytes::copy_from_slice(&buffer[..read]))).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(Message::Binary(data))) = source.next().await {
            to.write_all(&data).await.unwrap();
        }
    });
    forward(near).await;
}

#[tokio::test]
async fn ports_are_forwarded_over_channels() {
    let (mut socket, upgrader) = websocket("portforward", "ports=80&ports=81", "v4.channel.k8s.io").await;
    socket.send(Message::binary(&b"\x00to and fro"[..])).await.unwrap();
    let mut channels: HashMap<u8, Vec<u8>> = HashMap::new();
    while channels.get(&0).is_none_or(|c| c.len() < 12) || channels.get(&3).is_none_or(|c| c.len() < 3) {
        let Message::Binary(data) = socket.next().await.unwrap().unwrap() else { continue };
        channels.entry(data[0]).or_default().extend_from_slice(&data[1..]);
    }
    assert_eq!(channels[&0], b"\x50\x00to and fro");
    assert_eq!(channels[&1], b"\x50\x00");
    assert_eq!(channels[&3], b"\x51\x00connection refused");
    drop(socket);
    upgrader.tasks.close();
    upgrader.tasks.wait().await;
    let headers = [("upgrade", "websocket"), KEY, ("sec-websocket-protocol", "v4.channel.k8s.io")];
    let refused = ask("portforward", "", &headers).await.0.err().unwrap();
    assert_eq!(refused.to_string(), "query parameter \"ports\" is required");
}

#[tokio::test]
async fn logs_need_a_node_to_be_more_than_empty() {
    let body = |answer: Result<Response<client::Body>>| async {
        match answer.unwrap().into_body() {
            client::Body::Full(bytes) => bytes.to_vec(),
            client::Body::Stream(stream) => node::connect::read_all(stream).await,
        }
    };
    assert_eq!(body(ask("log", "", &[]).await.0).await, b"log of c\n");
    let mut unbound = pod();
    unbound["spec"]["nodeName"] = "".into();
    let kubelet: Arc<dyn Kubelet> = Arc::new(Echo);
    let request = || Request {
        method: Method::GET,
        headers: HeaderMap::new(),
        query: Query::parse("stdout=1"),
        rest: String::new(),
        raw_query: String::new(),
        body: Bytes::new(),
        upgrade: None,
    };
    assert_eq!(body(node::connect::pod(&kubelet, &unbound, "log", "p", request()).await).await, b"");
    let refused = node::connect::pod(&kubelet, &unbound, "exec", "p", request()).await.err().unwrap();
    assert_eq!(refused.to_string(), "pod p does not have a host assigned");
}
