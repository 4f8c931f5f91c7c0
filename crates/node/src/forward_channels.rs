//! Port-forwarding over WebSocket channels, as clients without SPDY do it (`?ports=80&ports=81`): for the port at place
//! `i`, channel `2i` carries data and `2i + 1` errors. Each begins with the port's number, little end first. Every port is
//! one connection.

use crate::kubelet::{Io, PortForward};
use crate::ws::{self, Channels};
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// Chunks waiting in each direction.
const CHUNKS: usize = 16;
/// Bytes read from the pod at once.
const CHUNK: usize = 16 << 10;

/// Serves until the client is gone or all connections are over.
pub(crate) async fn run(io: Box<dyn Io>, channels: Channels, network: Box<dyn PortForward>, ports: Vec<u16>) {
    let (mut sink, mut source) = ws::accept(io).await.split();
    let (out, mut outgoing) = mpsc::channel::<Message>(CHUNKS);
    let (mut inputs, mut connections) = (vec![], FuturesUnordered::new());
    for (at, port) in ports.into_iter().enumerate() {
        let (input, data) = mpsc::channel(CHUNKS);
        inputs.push(Some(input));
        let numbers = [(2 * at) as u8, (2 * at + 1) as u8];
        connections.push(connect(network.as_ref(), port, channels, numbers, data, out.clone()));
    }
    drop(out);
    let reading = async {
        while let Some(Ok(message)) = source.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
            let Some((channel, data)) = channels.decode(message) else { continue };
            let place = inputs.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
            let Some(Some(input)) = place else { continue };
            // A connection that is over takes nothing; the others go on.
            let _ = input.send(data).await;
        }
    };
    let serving = async { while connections.next().await.is_some() {} };
    let writing = async {
        while let Some(message) = outgoing.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _ = sink.send(ws::goodbye()).await;
    };
    tokio::select! {
        () = reading => {}
        _ = async { tokio::join!(serving, writing) } => {}
    }
}

async fn connect(
    network: &dyn PortForward,
    port: u16,
    channels: Channels,
    [data_channel, error_channel]: [u8; 2],
    mut data: mpsc::Receiver<Bytes>,
    out: mpsc::Sender<Message>,
) {
    let send = |channel: u8, bytes: &[u8]| {
        let (message, out) = (channels.encode(channel, bytes), &out);
        async move { out.send(message).await.is_ok() }
    };
    for channel in [data_channel, error_channel] {
        if !send(channel, &port.to_le_bytes()).await {
            return;
        }
    }
    let io = match network.open(port).await {
        Ok(io) => io,
        Err(why) => {
            send(error_channel, why.as_bytes()).await;
            return;
        }
    };
    let (mut from_pod, mut to_pod) = tokio::io::split(io);
    let inbound = async {
        while let Some(chunk) = data.recv().await {
            if to_pod.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    let outbound = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = from_pod.read(&mut buffer).await {
            if !send(data_channel, &buffer[..read]).await {
                return;
            }
        }
    };
    tokio::select! {
        () = inbound => {}
        () = outbound => {}
    }
}
