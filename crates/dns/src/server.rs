//! Sockets: datagrams and streams to messages. Bounded: [`QUESTIONS`] in work at a time and [`CONNECTIONS`] open; what
//! comes beyond is dropped, and clients ask again.

use crate::message;
use crate::resolver::Resolver;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Questions worked on at a time.
const QUESTIONS: usize = 256;
/// Connections open at a time.
const CONNECTIONS: usize = 64;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// The longest question that comes in one datagram.
const DATAGRAM: usize = 4096;

/// Where questions come in.
pub struct Listener {
    /// Datagrams.
    pub datagrams: UdpSocket,
    /// Streams.
    pub streams: TcpListener,
}

/// Serves until `shutdown`.
pub async fn serve(listener: Listener, resolver: Arc<Resolver>, shutdown: CancellationToken) {
    let Listener { datagrams, streams } = listener;
    let serving = async {
        tokio::join!(
            serve_datagrams(Arc::new(datagrams), &resolver, &shutdown),
            accept(streams, &resolver, &shutdown)
        );
    };
    shutdown.run_until_cancelled(serving).await;
}

async fn serve_datagrams(socket: Arc<UdpSocket>, resolver: &Arc<Resolver>, shutdown: &CancellationToken) {
    let permits = Arc::new(Semaphore::new(QUESTIONS));
    while socket.readable().await.is_ok() {
        // On the stack and only for a moment: an idle server holds no buffer.
        let mut buffer = [0; DATAGRAM];
        let Ok((length, peer)) = socket.try_recv_from(&mut buffer) else { continue };
        let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
        let question = buffer[..length].to_vec();
        let (socket, resolver) = (socket.clone(), resolver.clone());
        let work = async move {
            if let Some(answer) = message::answer(&resolver, &question, false).await {
                let _ = socket.send_to(&answer, peer).await;
            }
            drop(permit);
        };
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(work));
    }
}

async fn accept(listener: TcpListener, resolver: &Arc<Resolver>, shutdown: &CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most often: others must end first.
                tracing::debug!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let resolver = resolver.clone();
        let work = async move {
            let _ = converse(stream, &resolver).await;
            drop(permit);
        };
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(work));
    }
}

/// Question after question, each with its length before it.
async fn converse(mut stream: TcpStream, resolver: &Resolver) -> std::io::Result<()> {
    loop {
        let question = tokio::time::timeout(SILENCE, read(&mut stream)).await??;
        let Some(answer) = message::answer(resolver, &question, true).await else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
        tokio::time::timeout(SILENCE, stream.write_all(&framed)).await??;
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > DATAGRAM {
        return Err(std::io::Error::other("longer than any question"));
    }
    let mut question = vec![0; length];
    stream.read_exact(&mut question).await?;
    Ok(question)
}
