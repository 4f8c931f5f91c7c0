//! What a client of exec, attach, logs or port-forward sends once its connection was taken over: WebSocket messages and
//! their channels, SPDY frames and streams. However it goes, the session ends when the client does.

use crate::targets::{line, text};
use bytes::Bytes;
use client::BodyStream;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method};
use node::spdy::frame::Frame;
use node::spdy::headers::{Headers, Pack};
use node::{ExecOptions, Io, Kubelet, LogOptions, PortForward, Query, Request, Session, Upgrade, Upgrader};
use object::{Result, Value, json};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

/// Sends back what it gets.
struct Echo;

impl Kubelet for Echo {
    fn logs(&self, _: &str, _: &str, _: LogOptions) -> BoxFuture<'_, Result<BodyStream>> {
        Box::pin(async { Ok(futures::stream::iter([Ok(Bytes::from_static(b"log\n"))]).boxed()) })
    }

    fn exec(&self, _: &str, _: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        let (session, mut process) = Session::pair(options.streams);
        tokio::spawn(async move {
            let (mut told, out) = (0, process.stdout.clone());
            while let Some(data) = match &mut process.stdin {
                Some(stdin) => stdin.recv().await,
                None => None,
            } {
                told += 1;
                if let Some(out) = &out
                    && out.send(data).await.is_err()
                {
                    break;
                }
            }
            drop(out);
            process.exit(told);
        });
        Box::pin(async { Ok(session) })
    }

    fn attach(&self, namespace: &str, pod: &str, options: ExecOptions) -> BoxFuture<'_, Result<Session>> {
        self.exec(namespace, pod, options)
    }

    fn port_forward(&self, _: &str, _: &str) -> BoxFuture<'_, Result<Box<dyn PortForward>>> {
        Box::pin(async { Ok(Box::new(Echo) as Box<dyn PortForward>) })
    }
}

impl PortForward for Echo {
    fn open(&self, port: u16) -> BoxFuture<'_, std::result::Result<Box<dyn Io>, String>> {
        Box::pin(async move {
            if port > 80 {
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

/// `SUBRESOURCE PROTOCOL QUERY`, then what is sent on the connection. A protocol without a `/` is one of WebSockets; with SPDY, the
/// streams of a session, or of one forwarded port, are open by then.
pub(crate) fn sessions(data: &[u8]) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    });
    let (first, sent) = line(data);
    let mut words = text(first).unwrap_or_default().splitn(3, ' ');
    let (Some(subresource), Some(protocol)) = (words.next(), words.next()) else { return };
    let query = words.next().unwrap_or_default();
    let Ok(offered) = HeaderValue::from_str(protocol) else { return };
    runtime.block_on(serve(subresource, offered, query, sent));
}

async fn serve(subresource: &str, protocol: HeaderValue, query: &str, sent: &[u8]) {
    // What the client sends fits in, so that nobody waits for anybody.
    let (server, mut client) = tokio::io::duplex(1 << 20);
    let upgrader = Upgrader::default();
    let upgrade =
        Upgrade::new(upgrader.clone(), Box::pin(async move { Ok(Box::new(server) as Box<dyn Io>) }));
    let spdy = protocol.as_bytes().starts_with(b"SPDY/3.1") && !protocol.as_bytes().contains(&b'+');
    let mut headers = HeaderMap::new();
    if spdy {
        headers.insert("upgrade", HeaderValue::from_static("SPDY/3.1"));
        let version = if subresource == "portforward" { "portforward.k8s.io" } else { "v4.channel.k8s.io" };
        headers.insert("x-stream-protocol-version", HeaderValue::from_static(version));
        client.write_all(&streams(subresource)).await.expect("there is room");
    } else {
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        headers.insert("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        headers.insert("sec-websocket-protocol", protocol);
    }
    let request = Request {
        method: Method::GET,
        headers,
        query: Query::parse(query),
        rest: String::new(),
        raw_query: query.into(),
        body: Bytes::new(),
        upgrade: Some(upgrade),
    };
    let kubelet: Arc<dyn Kubelet> = Arc::new(Echo);
    if node::connect::pod(&kubelet, &pod(), subresource, "p", request).await.is_err() {
        return;
    }
    // The connection is not always taken over, or kept until all is read: then nobody is there to read this.
    let _ = client.write_all(sent).await;
    let _ = client.shutdown().await;
    upgrader.tasks.close();
    let all = async {
        let mut answers = Vec::new();
        let (read, ()) = tokio::join!(client.read_to_end(&mut answers), upgrader.tasks.wait());
        read.expect("a pipe");
    };
    tokio::time::timeout(Duration::from_secs(8), all).await.expect("a session ends when its client is gone");
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"nodeName": "node", "containers": [{"name": "c"}]},
    })
}

/// The opening of the streams that a client needs.
fn streams(subresource: &str) -> Vec<u8> {
    let all: &[&[(&str, &str)]] = if subresource == "portforward" {
        &[
            &[("streamtype", "error"), ("port", "80"), ("requestid", "0")],
            &[("streamtype", "data"), ("port", "80"), ("requestid", "0")],
        ]
    } else {
        &[&[("streamtype", "error")], &[("streamtype", "stdin")], &[("streamtype", "stdout")]]
    };
    let mut pack = Pack::default();
    let opened = all.iter().zip((1..).step_by(2)).map(|(headers, id)| {
        let headers: Headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let block = pack.block(&headers).expect("headers fit").into();
        Frame::SynStream { id, fin: false, block }.encode()
    });
    opened.flat_map(|frame| frame.to_vec()).collect()
}
