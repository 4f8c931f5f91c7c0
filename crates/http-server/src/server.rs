//! The accepting loop and the life of a listener.

use crate::connection::Connections;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::tls::Tls;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long the kernel lets an idle connection be silent before it asks whether the peer is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Pause after the process ran out of file descriptors or the like.
const BREATHER: Duration = Duration::from_millis(100);

/// What to serve.
pub struct Server {
    /// Where; bound by the caller, who also handles a port in use.
    pub listener: TcpListener,
    /// `None` serves plain HTTP (tests, metrics).
    pub tls: Option<Tls>,
    /// Who answers.
    pub handler: Arc<dyn Handler>,
    /// Bounds.
    pub limits: Limits,
}

/// Serves until `shutdown`; then lets requests under way end within [`Limits::drain`], ends streams and upgraded
/// connections, and returns when nothing of the listener is left.
pub async fn serve(server: Server, shutdown: CancellationToken) {
    let Server { listener, tls, handler, limits } = server;
    let connections = Connections::new(tls, handler, limits, shutdown.clone());
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, address, permit)) => connections.start(stream, address, permit),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
    drop(listener);
    connections.end().await;
}

async fn accept(
    listener: &TcpListener,
    connections: &Connections,
) -> std::io::Result<(TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.permit().await;
    let (stream, address) = listener.accept().await?;
    // Best effort: a socket that refuses an option still works.
    let _ = stream.set_nodelay(true);
    let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE);
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive);
    Ok((stream, address, permit))
}
