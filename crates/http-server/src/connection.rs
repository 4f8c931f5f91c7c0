//! One connection: TLS, then HTTP/1.1 or HTTP/2, then request by request.

use crate::body::{self, Failure};
use crate::cork::cork;
use crate::gzip;
use crate::handler::{Handler, Peer};
use crate::limits::Limits;
use crate::response::{Outgoing, status};
use crate::stall::Stall;
use crate::tls::{Shown, Tls};
use crate::turns::Turns;
use client::Body;
use futures::FutureExt;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use node::{Io, Upgrade, Upgrader};
use object::ApiError;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// First byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What Go's servers tell a client that forgot the `s` of `https`.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// Bytes that one HTTP/2 request may have waiting to be sent.
const SEND_BUFFER: usize = 64 << 10;
/// Bytes that one HTTP/2 request, and all of a connection, may have waiting to be read.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of a request's line and headers, and of what is read ahead of a body. Selectors may be long.
const HEADERS: usize = 128 << 10;

/// All connections of a listener.
pub(crate) struct Connections {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

struct Shared {
    tls: Option<Tls>,
    handler: Arc<dyn Handler>,
    limits: Limits,
    /// One permit for each of [`Limits::bodies`].
    budget: Arc<Semaphore>,
    /// One permit for each of [`Limits::answers`].
    unsent: Arc<Semaphore>,
    turns: Turns,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    upgrader: Upgrader,
}

/// The other end of a connection.
struct Client {
    address: SocketAddr,
    shown: Shown,
    /// Ends what is streamed to it. Its own, so that streams do not wait for each other to look at one token.
    shutdown: CancellationToken,
}

impl Client {
    fn new(address: SocketAddr, shown: Shown, listener: &CancellationToken) -> Self {
        Self { address, shown, shutdown: listener.child_token() }
    }
}

impl Connections {
    pub(crate) fn new(
        tls: Option<Tls>,
        handler: Arc<dyn Handler>,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(limits.connections));
        let budget = Arc::new(Semaphore::new(limits.bodies));
        let unsent = Arc::new(Semaphore::new(limits.answers));
        let turns = Turns::new(limits.threads);
        let upgrader = Upgrader { tasks: TaskTracker::new(), shutdown: shutdown.clone() };
        let shared = Shared {
            tls,
            handler,
            limits,
            budget,
            unsent,
            turns,
            shutdown,
            tasks: TaskTracker::new(),
            upgrader,
        };
        Self { shared: Arc::new(shared), permits }
    }

    /// Waits until one more connection may be accepted.
    pub(crate) async fn permit(&self) -> OwnedSemaphorePermit {
        self.permits.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Serves a connection in a task of its own.
    pub(crate) fn start(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        let shared = self.shared.clone();
        let turns = shared.turns.clone();
        self.shared.tasks.spawn(turns.take(async move {
            match shared.tls.clone() {
                Some(tls) => shared.handshake(stream, address, permit, tls).await,
                None => {
                    let stream = Stall::new(stream, shared.limits.stall, permit);
                    let client = Client::new(address, Shown::Nothing, &shared.shutdown);
                    shared.serve(stream, client).await;
                }
            }
        }));
    }

    /// Waits for everything to end; the shutdown was signalled before.
    pub(crate) async fn end(&self) {
        let Shared { tasks, upgrader, .. } = &*self.shared;
        tasks.close();
        tasks.wait().await;
        upgrader.tasks.close();
        upgrader.tasks.wait().await;
    }
}

impl Shared {
    async fn handshake(
        self: Arc<Self>,
        mut stream: TcpStream,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
        tls: Tls,
    ) {
        let shaking = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
                let _ = stream.write_all(NOT_TLS).await;
                return Err(std::io::Error::other("not TLS"));
            }
            let stream = Stall::new(stream, self.limits.stall, permit);
            TlsAcceptor::from(tls.config.clone()).accept(stream).await
        };
        let timed = tokio::time::timeout(self.limits.handshake, shaking);
        match self.shutdown.run_until_cancelled(timed).await {
            Some(Ok(Ok(stream))) => {
                let shown = tls.judge(stream.get_ref().1.peer_certificates());
                let client = Client::new(address, shown, &self.shutdown);
                self.serve(stream, client).await;
            }
            Some(Ok(Err(error))) => tracing::debug!(%address, %error, "TLS handshake failed"),
            Some(Err(_)) => tracing::debug!(%address, "TLS handshake timed out"),
            None => {}
        }
    }

    /// Serves HTTP until the client is gone or the listener shuts down.
    async fn serve<T: Io>(self: Arc<Self>, io: T, client: Client) {
        let mut builder = Builder::new(self.turns.clone());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_buf_size(HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(HEADERS as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER);
        let (shared, client) = (self.clone(), Arc::new(client));
        let shutdown = client.shutdown.clone();
        let service = service_fn(move |request| {
            let (shared, client) = (shared.clone(), client.clone());
            async move { shared.answer(request, &client).await }
        });
        let (io, cork) = cork(io);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = cork.drive(connection.as_mut()) => result,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(self.limits.drain, cork.drive(connection)).await {
                    Ok(result) => result,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(error, "connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>, client: &Client) -> Result<Response<Outgoing>, Gone> {
        let takes_gzip = gzip::accepted(request.headers());
        let asked = tracing::enabled!(target: LOG, tracing::Level::DEBUG).then(|| Asked::new(&request));
        let response = self.respond(request, client).await?;
        if let Some(asked) = asked {
            asked.answered(response.status());
        }
        let (mut parts, body) = response.into_parts();
        let body = match body {
            Body::Full(bytes) if takes_gzip && bytes.len() > self.limits.gzip => {
                Body::Full(gzip::compress(bytes, &mut parts.headers).await)
            }
            body => body,
        };
        let Some(body) = Outgoing::new(body, &client.shutdown, &self.unsent) else {
            return Ok(Outgoing::of(&ApiError::TooManyRequests {
                message: "Too many answers were not read yet, please try again later.".into(),
                retry_after: 1,
                causes: vec![],
            }));
        };
        Ok(Response::from_parts(parts, body))
    }

    async fn respond(&self, mut request: Request<Incoming>, client: &Client) -> Result<Response<Body>, Gone> {
        let (certificate, intermediates) = match &client.shown {
            Shown::Nothing => (None, Arc::default()),
            Shown::Verified(certificate, rest) => (Some(certificate.clone()), rest.clone()),
            Shown::Refused(_) if request.headers().contains_key(header::AUTHORIZATION) => {
                (None, Arc::default())
            }
            Shown::Refused(why) => {
                tracing::info!(address = %client.address, %why, "client certificate refused");
                return Ok(status(&ApiError::Unauthorized));
            }
        };
        let upgrade = self.upgrade(&mut request);
        let (parts, body) = request.into_parts();
        let whole = match body::read(body, &self.limits, &self.budget).await {
            Ok(whole) => whole,
            Err(Failure::Answer(error)) => return Ok(status(&error)),
            Err(Failure::Gone) => return Err(Gone),
        };
        let mut request = Request::from_parts(parts, whole.bytes);
        if let Some(upgrade) = upgrade {
            request.extensions_mut().insert(upgrade);
        }
        let peer = Peer { certificate, intermediates, address: client.address };
        let path = request.uri().path().to_owned();
        let handled = AssertUnwindSafe(self.handler.handle(request, peer)).catch_unwind().await;
        drop(whole.permit);
        Ok(handled.unwrap_or_else(|_| {
            tracing::error!(path, "a request made the server panic");
            let message = "This request caused apiserver to panic. Look in the logs for details.";
            status(&ApiError::Internal(message.into()))
        }))
    }

    /// The right to take over the connection, when the client asks for another protocol.
    fn upgrade(&self, request: &mut Request<Incoming>) -> Option<Upgrade> {
        if !request.headers().contains_key(header::UPGRADE) || request.version() != http::Version::HTTP_11 {
            return None;
        }
        let upgraded = hyper::upgrade::on(request);
        let connection = async move {
            let io = upgraded.await.map_err(std::io::Error::other)?;
            Ok(Box::new(TokioIo::new(io)) as Box<dyn Io>)
        };
        Some(Upgrade::new(self.upgrader.clone(), Box::pin(connection)))
    }
}

/// Where requests are logged: with the API's own words, without query (it may hold secrets).
const LOG: &str = "api::requests";

/// A request, as the log shows it.
struct Asked {
    method: http::Method,
    path: String,
    began: std::time::Instant,
}

impl Asked {
    fn new(request: &Request<Incoming>) -> Self {
        let path = request.uri().path().to_owned();
        Self { method: request.method().clone(), path, began: std::time::Instant::now() }
    }

    fn answered(self, status: http::StatusCode) {
        let Self { method, path, began } = self;
        let status = status.as_u16();
        tracing::debug!(target: LOG, %method, path, status, milliseconds = began.elapsed().as_millis() as u64);
    }
}

/// The client went away in mid-request.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the client went away")
    }
}

impl std::error::Error for Gone {}
