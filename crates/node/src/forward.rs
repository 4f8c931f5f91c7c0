//! Port-forwarding: SPDY, bare or inside of a WebSocket (plain WebSocket channels are in `forward_channels`). For each connection the client opens two streams, `error` and
//! `data`, with the same request id.

use crate::connect::{self, Protocol, Request};
use crate::forward_channels;
use crate::kubelet::{Io, Kubelet, PortForward};
use crate::options::PortForwardOptions;
use crate::spdy::{Connection, Stream, headers};
use crate::ws;
use bytes::Bytes;
use client::Body;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use http::Response;
use object::{ApiError, Result, meta};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

const PORT_FORWARD: &str = "portforward.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// Bytes between the WebSocket and the SPDY inside of it.
const PIPE: usize = 64 << 10;
/// Bytes read from the pod at once.
const CHUNK: usize = 16 << 10;
/// Streams waiting for their partner, and connections; more are refused.
const PENDING: usize = 256;

/// Answers `portforward`.
pub(crate) async fn serve(
    kubelet: &Arc<dyn Kubelet>,
    pod: &Value,
    request: Request,
) -> Result<Response<Body>> {
    connect::require_node(pod)?;
    let ports = PortForwardOptions::parse(&request.query);
    let (protocol, upgrade) = Protocol::negotiate(request)?;
    let (namespace, name) = (meta::namespace(pod), meta::name(pod));
    let who = format!("pod {name}, uid {}", meta::uid(pod));
    match protocol {
        Protocol::WebSocket { key, offered } if !offered.iter().any(|o| o == TUNNEL) => {
            let channels = ws::Channels::choose(&offered)?;
            let ports = ports?.ports;
            let network = kubelet.port_forward(namespace, name).await?;
            upgrade.serve(move |io| forward_channels::run(io, channels, network, ports));
            Ok(connect::switch_to_websocket(&key, channels.protocol()))
        }
        Protocol::WebSocket { key, .. } => {
            let network = kubelet.port_forward(namespace, name).await?;
            upgrade.serve(move |io| tunnel(io, network, who));
            Ok(connect::switch_to_websocket(&key, TUNNEL))
        }
        Protocol::Spdy { offered } => {
            accepts(&offered, PORT_FORWARD)?;
            let network = kubelet.port_forward(namespace, name).await?;
            upgrade.serve(move |io| run(io, network, who));
            Ok(connect::switch_to_spdy(PORT_FORWARD))
        }
    }
}

fn accepts(offered: &[String], known: &str) -> Result<()> {
    match offered.iter().any(|o| o == known) {
        true => Ok(()),
        false => Err(ApiError::BadRequest(format!(
            "unable to negotiate protocol: client supports [{}], server accepts [{known}]",
            offered.join(" ")
        ))),
    }
}

/// SPDY inside of the binary messages of a WebSocket.
async fn tunnel(io: Box<dyn Io>, network: Box<dyn PortForward>, who: String) {
    let (outside, inside) = tokio::io::duplex(PIPE);
    let (mut from, mut to) = tokio::io::split(outside);
    let (mut sink, mut source) = ws::accept(io).await.split();
    let incoming = async {
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(data) if to.write_all(&data).await.is_ok() => {}
                Message::Binary(_) | Message::Close(_) => break,
                _ => {}
            }
        }
        let _ = to.shutdown().await;
    };
    let outgoing = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if sink.send(Message::binary(Bytes::copy_from_slice(&buffer[..read]))).await.is_err() {
                break;
            }
        }
        let _ = sink.send(ws::goodbye()).await;
    };
    tokio::select! {
        _ = async { tokio::join!(incoming, outgoing) } => {}
        () = run(Box::new(inside) as Box<dyn Io>, network, who) => {}
    }
}

/// Serves connections into the pod until the client is gone.
async fn run(io: Box<dyn Io>, network: Box<dyn PortForward>, who: String) {
    let (mut connection, driver) = Connection::new(io);
    let work = async {
        let (mut waiting, mut open) = (HashMap::new(), FuturesUnordered::new());
        loop {
            tokio::select! {
                stream = connection.streams.recv() => match stream {
                    None => return,
                    Some(stream) if open.len() >= PENDING || waiting.len() >= PENDING => stream.sender.reset().await,
                    Some(stream) => {
                        if let Some((error, data)) = pair(&mut waiting, stream) {
                            open.push(forward(network.as_ref(), &who, error, data));
                        }
                    }
                },
                Some(()) = open.next() => {}
            }
        }
    };
    tokio::select! {
        () = driver.drive() => {}
        () = work => {}
    }
}

/// The error and data streams of a request, once both are there.
fn pair(waiting: &mut HashMap<String, Stream>, stream: Stream) -> Option<(Stream, Stream)> {
    let is_error = headers::value(&stream.headers, "streamtype") == "error";
    let id = match headers::value(&stream.headers, "requestid") {
        // Clients of old open the error stream right before the data stream, without an id.
        "" if is_error => format!("stream {}", stream.sender.id()),
        "" => format!("stream {}", stream.sender.id().saturating_sub(2)),
        id => id.to_owned(),
    };
    match waiting.remove(&id) {
        Some(partner) if is_error => Some((stream, partner)),
        Some(partner) => Some((partner, stream)),
        None => {
            waiting.insert(id, stream);
            None
        }
    }
}

async fn forward(network: &dyn PortForward, who: &str, error: Stream, data: Stream) {
    let text = headers::value(&data.headers, "port");
    let opened = match text.parse::<u16>() {
        Ok(port @ 1..) => network.open(port).await,
        _ => Err(format!("{} is not a valid port", object::error::quote(text))),
    };
    match opened {
        Ok(io) => exchange(io, data).await,
        Err(why) => {
            let message = format!("error forwarding port {text} to {who}: {why}");
            let _ = error.sender.write(message.into()).await;
            data.sender.finish().await;
        }
    }
    error.sender.finish().await;
}

/// Copies both ways until both sides are done, or the client's stream is reset.
async fn exchange(io: Box<dyn Io>, stream: Stream) {
    let (mut from_pod, mut to_pod) = tokio::io::split(io);
    let Stream { mut data, sender, .. } = stream;
    let inbound = async {
        while let Some(chunk) = data.recv().await {
            if to_pod.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _ = to_pod.shutdown().await;
    };
    let outbound = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = from_pod.read(&mut buffer).await {
            if sender.write(Bytes::copy_from_slice(&buffer[..read])).await.is_err() {
                break;
            }
        }
        sender.finish().await;
    };
    // Once the pod hung up, what the client still sends has nowhere to go.
    let mut inbound = std::pin::pin!(inbound);
    let mut outbound = std::pin::pin!(outbound);
    tokio::select! {
        () = &mut inbound => outbound.await,
        () = &mut outbound => {}
    }
}
