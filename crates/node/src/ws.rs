//! Sessions over a WebSocket: each message starts with the number of its channel.
//!
//! `v5.channel.k8s.io` adds channel 255, by which the client closes another channel. In the `base64` variants the
//! number is an ASCII digit and the rest of each (text) message is base64.

use crate::kubelet::Io;
use crate::options::Streams;
use crate::session::{Session, TerminalSize, failure, final_status};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use object::{ApiError, Result};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Longest message taken from a client; longer ones end the connection.
const MAX_MESSAGE: usize = 4 << 20;

/// How long the client may take to answer the closing of the WebSocket.
const GOODBYE: Duration = Duration::from_secs(2);

/// A channel sub-protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    name: &'static str,
    base64: bool,
    /// The error channel carries a `Status`; before v4 it carried text.
    status: bool,
}

const KNOWN: [Channels; 5] = [
    Channels { name: "v5.channel.k8s.io", base64: false, status: true },
    Channels { name: "v4.channel.k8s.io", base64: false, status: true },
    Channels { name: "v4.base64.channel.k8s.io", base64: true, status: true },
    Channels { name: "channel.k8s.io", base64: false, status: false },
    Channels { name: "base64.channel.k8s.io", base64: true, status: false },
];

impl Channels {
    /// The first offer that is known; binary without a name when nothing is offered.
    pub(crate) fn choose(offered: &[String]) -> Result<Self> {
        if offered.is_empty() {
            return Ok(Self { name: "", base64: false, status: false });
        }
        offered.iter().find_map(|o| KNOWN.iter().find(|k| k.name == o)).copied().ok_or_else(|| {
            let known = KNOWN.map(|k| k.name).join(" ");
            ApiError::BadRequest(format!(
                "unable to negotiate protocol: client supports [{}], server accepts [{known}]",
                offered.join(" ")
            ))
        })
    }

    pub(crate) fn protocol(self) -> &'static str {
        self.name
    }

    pub(crate) fn encode(self, channel: u8, data: &[u8]) -> Message {
        if self.base64 {
            return Message::text(format!("{channel}{}", BASE64_STANDARD.encode(data)));
        }
        let mut message = BytesMut::with_capacity(data.len() + 1);
        message.put_u8(channel);
        message.put_slice(data);
        Message::binary(message.freeze())
    }

    /// Channel and payload of a message; `None` for control messages and what makes no sense.
    pub(crate) fn decode(self, message: Message) -> Option<(u8, Bytes)> {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text),
            _ => return None,
        };
        let (first, rest) = (*data.first()?, data.slice(1..));
        match self.base64 {
            true => Some((first.checked_sub(b'0')?, BASE64_STANDARD.decode(rest).ok()?.into())),
            false => Some((first, rest)),
        }
    }
}

/// The closing that clients take for a good end.
pub(crate) fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

/// A WebSocket server end on an upgraded connection.
pub(crate) async fn accept(io: Box<dyn Io>) -> WebSocketStream<Box<dyn Io>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// Serves a session until the process ends or the client is gone.
pub(crate) async fn run(io: Box<dyn Io>, channels: Channels, streams: Streams, session: Result<Session>) {
    let (mut sink, mut source) = accept(io).await.split();
    // The client takes the first message as the sign that the session began.
    let first = [(streams.stdout, STDOUT), (streams.stderr, STDERR), (true, ERROR)];
    let channel = first.iter().find(|(wanted, _)| *wanted).map_or(ERROR, |(_, channel)| *channel);
    if sink.send(channels.encode(channel, b"")).await.is_err() {
        return;
    }
    match session {
        Err(error) => {
            let status = failure(&error);
            let _ = sink.send(channels.encode(ERROR, &error_text(channels, &status))).await;
        }
        Ok(session) => {
            let Session { stdin, stdout, stderr, resize, status, guard } = session;
            let input = read(&mut source, channels, stdin, resize);
            let output = async {
                copy(&mut sink, channels, stdout, stderr).await?;
                let status = final_status(status).await;
                sink.send(channels.encode(ERROR, &error_text(channels, &status))).await
            };
            tokio::select! {
                () = input => return,
                result = output => if result.is_err() { return },
            }
            drop(guard);
        }
    }
    let _ = sink.send(goodbye()).await;
    await_goodbye(&mut source).await;
}

/// Waits until the client has said goodbye too, for a while.
pub(crate) async fn await_goodbye<S>(source: &mut S)
where
    S: Stream<Item = std::result::Result<Message, Error>> + Unpin,
{
    let drain = async { while let Some(Ok(_)) = source.next().await {} };
    let _ = tokio::time::timeout(GOODBYE, drain).await;
}

fn error_text(channels: Channels, status: &serde_json::Value) -> Vec<u8> {
    match (channels.status, status["status"] == "Success") {
        (true, _) => status.to_string().into_bytes(),
        (false, true) => vec![],
        (false, false) => status["message"].as_str().unwrap_or("").as_bytes().to_vec(),
    }
}

/// Hands the client's messages on; returns when it is gone.
async fn read<S>(
    source: &mut S,
    channels: Channels,
    mut stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<TerminalSize>,
) where
    S: Stream<Item = std::result::Result<Message, Error>> + Unpin,
{
    while let Some(Ok(message)) = source.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
        match channels.decode(message) {
            Some((STDIN, data)) => {
                // Nobody reads: what the client goes on to send is dropped, as a closed pipe would.
                let closed = match &stdin {
                    Some(stdin) => !data.is_empty() && stdin.send(data).await.is_err(),
                    None => false,
                };
                if closed {
                    stdin = None;
                }
            }
            Some((RESIZE, data)) => {
                if let Some(size) = TerminalSize::parse(&data) {
                    let _ = resize.try_send(size);
                }
            }
            Some((CLOSE, data)) if data.first() == Some(&STDIN) => stdin = None,
            _ => {}
        }
    }
}

/// Sends the process's output until it has closed both streams.
async fn copy<S>(
    sink: &mut S,
    channels: Channels,
    mut stdout: Option<mpsc::Receiver<Bytes>>,
    mut stderr: Option<mpsc::Receiver<Bytes>>,
) -> std::result::Result<(), Error>
where
    S: Sink<Message, Error = Error> + Unpin,
{
    while stdout.is_some() || stderr.is_some() {
        let (channel, chunk) = tokio::select! {
            chunk = receive(&mut stdout) => (STDOUT, chunk),
            chunk = receive(&mut stderr) => (STDERR, chunk),
        };
        match chunk {
            Some(data) => sink.send(channels.encode(channel, &data)).await?,
            None if channel == STDOUT => stdout = None,
            None => stderr = None,
        }
    }
    Ok(())
}

/// The next chunk; waits for ever on a stream that is not there.
async fn receive(stream: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match stream {
        Some(stream) => stream.recv().await,
        None => std::future::pending().await,
    }
}
