//! Answers that only flow to the client (logs, watches), over a WebSocket instead of a body: each chunk is a message.
//!
//! Browsers use it, for they cannot send headers with a WebSocket and cannot read a body piece by piece everywhere. What
//! the client says is read and dropped, so that its goodbye and its pings are heard.

use crate::connect::{listed, switch_to_websocket, websocket_key};
use crate::kubelet::Io;
use crate::upgrade::Upgrade;
use crate::ws::{self, accept, goodbye};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use client::{Body, BodyStream};
use futures::{SinkExt, StreamExt};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, Response};
use object::{ApiError, Result};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// How chunks become messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As they are, in binary messages.
    Binary,
    /// In base64, in text messages.
    Base64,
    /// Each is UTF-8 and a text message.
    Text,
}

/// The sub-protocols of a stream of bytes; without one it is binary.
const OF_BYTES: [(&str, Framing); 3] =
    [("", Framing::Binary), ("binary.k8s.io", Framing::Binary), ("base64.binary.k8s.io", Framing::Base64)];

/// Sends `stream`, the bytes of a log, as the client's sub-protocol wants. An empty message comes first, as the sign that
/// it begins.
///
/// # Errors
/// `BadRequest` when none of the offered sub-protocols is known or the connection cannot be upgraded.
pub(crate) fn bytes(
    headers: &HeaderMap,
    upgrade: Option<Upgrade>,
    stream: BodyStream,
) -> Result<Response<Body>> {
    let offered = listed(headers, SEC_WEBSOCKET_PROTOCOL.as_str());
    let known = |name: &str| OF_BYTES.iter().find(|(known, _)| *known == name).copied();
    let chosen = match offered.is_empty() {
        true => known(""),
        false => offered.iter().find_map(|name| known(name)),
    };
    let (protocol, framing) = chosen.ok_or_else(|| {
        let offered = offered.join(" ");
        let all = OF_BYTES.map(|(name, _)| name).join(" ");
        ApiError::BadRequest(format!(
            "requested protocol(s) are not supported: [{offered}]; supports [{all}]"
        ))
    })?;
    let begins = futures::stream::iter([Ok(Bytes::new())]);
    switch(headers, upgrade, (protocol, framing), begins.chain(stream).boxed())
}

/// Sends `stream`, the events of a watch, each as one message.
///
/// # Errors
/// `BadRequest` when the connection cannot be upgraded.
pub fn events(
    headers: &HeaderMap,
    upgrade: Option<Upgrade>,
    framing: Framing,
    stream: BodyStream,
) -> Result<Response<Body>> {
    switch(headers, upgrade, ("", framing), stream)
}

fn switch(
    headers: &HeaderMap,
    upgrade: Option<Upgrade>,
    (protocol, framing): (&'static str, Framing),
    stream: BodyStream,
) -> Result<Response<Body>> {
    let key = websocket_key(headers)?;
    let upgrade = upgrade.ok_or_else(|| ApiError::BadRequest("Upgrade request required".into()))?;
    let answer = switch_to_websocket(key, protocol);
    upgrade.serve(move |io| send(io, framing, stream));
    Ok(answer)
}

/// Sends until the stream ends or the client goes.
async fn send(io: Box<dyn Io>, framing: Framing, mut stream: BodyStream) {
    let (mut sink, mut source) = accept(io).await.split();
    let output = async {
        while let Some(Ok(chunk)) = stream.next().await {
            sink.send(framing.message(chunk)).await?;
        }
        sink.send(goodbye()).await
    };
    let gone = async { while let Some(Ok(_)) = source.next().await {} };
    let ended: std::result::Result<(), Error> = tokio::select! {
        () = gone => return,
        ended = output => ended,
    };
    if ended.is_ok() {
        ws::await_goodbye(&mut source).await;
    }
}

impl Framing {
    fn message(self, chunk: Bytes) -> Message {
        match self {
            Self::Binary => Message::Binary(chunk),
            Self::Base64 => Message::text(BASE64_STANDARD.encode(chunk)),
            Self::Text => Utf8Bytes::try_from(chunk.clone()).map_or(Message::Binary(chunk), Message::Text),
        }
    }
}
