//! Sessions over SPDY: the client opens one stream for each of error, stdin, stdout, stderr and resize.

use crate::kubelet::Io;
use crate::options::Streams;
use crate::session::{Session, TerminalSize, final_status};
use crate::spdy::{Connection, Stream, StreamSender, headers};
use bytes::Bytes;
use object::{ApiError, Result};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the client may take to open its streams, as the kubelet allows.
const CREATION: Duration = Duration::from_secs(30);

/// A remote-command sub-protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// No resize stream, text on the error stream.
    V2,
    /// With a resize stream.
    V3,
    /// A `Status` on the error stream.
    V4,
}

impl Version {
    /// The first offer that is known.
    pub(crate) fn choose(offered: &[String]) -> Result<Self> {
        let known = [Self::V4, Self::V3, Self::V2];
        offered.iter().find_map(|o| known.into_iter().find(|v| v.name() == o)).ok_or_else(|| {
            ApiError::ForbiddenMessage(format!(
                "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
                offered.join(" "),
                known.map(Self::name).join(" ")
            ))
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2.channel.k8s.io",
            Self::V3 => "v3.channel.k8s.io",
            Self::V4 => "v4.channel.k8s.io",
        }
    }
}

/// Serves a session until the process ends or the client is gone.
pub(crate) async fn run(io: Box<dyn Io>, version: Version, streams: Streams, session: Session) {
    let (mut connection, driver) = Connection::new(io);
    let work = async {
        let opened = tokio::time::timeout(CREATION, collect(&mut connection, version, streams)).await;
        if let Ok(Some(opened)) = opened {
            converse(opened, version, session).await;
        }
        connection.close().await;
        // The driver ends once everything is written.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = driver.drive() => {}
        () = work => {}
    }
}

type Opened = HashMap<String, Stream>;

async fn collect(connection: &mut Connection, version: Version, streams: Streams) -> Option<Opened> {
    let wanted = [
        (true, "error"),
        (streams.stdin, "stdin"),
        (streams.stdout, "stdout"),
        (streams.stderr, "stderr"),
        (streams.tty && version != Version::V2, "resize"),
    ];
    let expected = wanted.iter().filter(|(wanted, _)| *wanted).count();
    let mut opened = Opened::new();
    while opened.len() < expected {
        let stream = connection.streams.recv().await?;
        let kind = headers::value(&stream.headers, "streamtype").to_owned();
        match wanted.iter().any(|(wanted, name)| *wanted && *name == kind) {
            true => drop(opened.insert(kind, stream)),
            false => stream.sender.reset().await,
        }
    }
    Some(opened)
}

async fn converse(mut opened: Opened, version: Version, session: Session) {
    let Session { stdin, stdout, stderr, resize, status, guard: _guard } = session;
    let mut data = |name: &str| opened.get_mut(name).map(|s| std::mem::replace(&mut s.data, closed()));
    let (stdin_data, resize_data) = (data("stdin"), data("resize"));
    let sender = |name: &str| opened.get(name).map(|s| s.sender.clone());
    let (to_stdout, to_stderr, to_error) = (sender("stdout"), sender("stderr"), sender("error"));
    let input = async {
        tokio::join!(feed(stdin_data, stdin), sizes(resize_data, resize));
        std::future::pending::<()>().await;
    };
    let output = async {
        tokio::join!(copy(stdout, to_stdout), copy(stderr, to_stderr));
        let status = final_status(status).await;
        let text = match (version, status["status"] == "Success") {
            (Version::V4, _) => status.to_string(),
            (_, true) => String::new(),
            (_, false) => status["message"].as_str().unwrap_or("").to_owned(),
        };
        if let Some(error) = to_error {
            if !text.is_empty() {
                let _ = error.write(text.into()).await;
            }
            error.finish().await;
        }
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}

fn closed() -> mpsc::Receiver<Bytes> {
    mpsc::channel(1).1
}

async fn feed(from: Option<mpsc::Receiver<Bytes>>, to: Option<mpsc::Sender<Bytes>>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    while let Some(data) = from.recv().await {
        if to.send(data).await.is_err() {
            break;
        }
    }
    drop(to);
    // What nobody reads any more is still taken off the connection.
    while from.recv().await.is_some() {}
}

/// Sizes come as JSON documents, one a line.
async fn sizes(from: Option<mpsc::Receiver<Bytes>>, to: mpsc::Sender<TerminalSize>) {
    let Some(mut from) = from else { return };
    while let Some(data) = from.recv().await {
        for size in data.split(|b| *b == b'\n').filter_map(TerminalSize::parse) {
            let _ = to.try_send(size);
        }
    }
}

async fn copy(from: Option<mpsc::Receiver<Bytes>>, to: Option<StreamSender>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    while let Some(data) = from.recv().await {
        if to.write(data).await.is_err() {
            return;
        }
    }
    to.finish().await;
}
