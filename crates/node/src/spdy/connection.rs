//! The server end of a SPDY connection: accepts streams and moves their bytes.
//!
//! One reader serves all streams, so a stream whose data is not taken holds up the others, as it does in Kubernetes;
//! nothing is buffered beyond [`CHUNKS`] per stream and [`FRAMES`] to write.

use super::frame::Frame;
use super::headers::{Headers, Pack, Unpack};
use crate::kubelet::Io;
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

/// Chunks waiting per stream.
const CHUNKS: usize = 16;
/// Frames waiting to be written.
const FRAMES: usize = 32;
/// Open streams per connection; more are refused.
const STREAMS: usize = 1024;
/// How long the client may take to hang up after we are done.
const GOODBYE: Duration = Duration::from_secs(2);

/// A stream that the client opened.
pub struct Stream {
    /// What the client said of it.
    pub headers: Headers,
    /// What the client sends; ends when it is done.
    pub data: mpsc::Receiver<Bytes>,
    /// The way back.
    pub sender: StreamSender,
}

/// Sends on one stream.
#[derive(Clone)]
pub struct StreamSender {
    id: u32,
    frames: mpsc::Sender<Out>,
}

enum Out {
    Frame(Frame),
    Accept(u32),
    Close,
}

/// The connection is gone.
#[derive(Debug)]
pub struct Gone;

impl StreamSender {
    /// The stream's number, odd.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write(&self, data: Bytes) -> Result<(), Gone> {
        self.send(Frame::Data { id: self.id, fin: false, data }).await
    }

    /// Says that nothing more comes.
    pub async fn finish(&self) {
        let _ = self.send(Frame::Data { id: self.id, fin: true, data: Bytes::new() }).await;
    }

    /// Ends the stream at once.
    pub async fn reset(&self) {
        let _ = self.send(Frame::Reset { id: self.id, status: 5 }).await;
    }

    async fn send(&self, frame: Frame) -> Result<(), Gone> {
        self.frames.send(Out::Frame(frame)).await.map_err(|_| Gone)
    }
}

/// Accepts streams; something must poll [`drive`](Driver::drive) meanwhile.
pub struct Connection {
    /// Streams as the client opens them; ends with the connection.
    pub streams: mpsc::Receiver<Stream>,
    frames: mpsc::Sender<Out>,
}

/// Moves the connection's bytes.
pub struct Driver {
    reader: Reader,
    io: WriteHalf<Box<dyn Io>>,
    frames: mpsc::Receiver<Out>,
}

impl Connection {
    /// Takes over `io`.
    pub fn new(io: Box<dyn Io>) -> (Self, Driver) {
        let (read, write) = tokio::io::split(io);
        let (frames, to_write) = mpsc::channel(FRAMES);
        let (accepted, streams) = mpsc::channel(CHUNKS);
        let reader = Reader {
            io: read,
            unpack: Unpack::default(),
            open: HashMap::new(),
            accepted,
            frames: frames.clone(),
        };
        (Self { streams, frames }, Driver { reader, io: write, frames: to_write })
    }

    /// Asks the driver to write what is queued and end.
    pub async fn close(&self) {
        let _ = self.frames.send(Out::Close).await;
    }
}

impl Driver {
    /// Runs until [`Connection::close`] or until the client is gone.
    pub async fn drive(self) {
        let Self { mut reader, mut io, frames } = self;
        let write = write(&mut io, frames);
        let mut read = std::pin::pin!(reader.run());
        tokio::select! {
            result = &mut read => {
                if let Err(error) = result {
                    tracing::debug!(%error, "SPDY connection ended");
                }
                return;
            }
            result = write => if result.is_err() { return },
        }
        let _ = tokio::time::timeout(GOODBYE, read).await;
    }
}

async fn write(io: &mut WriteHalf<Box<dyn Io>>, mut frames: mpsc::Receiver<Out>) -> io::Result<()> {
    let (mut pack, mut last) = (Pack::default(), 0);
    while let Some(out) = frames.recv().await {
        match out {
            Out::Frame(frame) => io.write_all(&frame.encode()).await?,
            Out::Accept(id) => {
                last = id;
                let block = pack.block(&vec![])?.into();
                io.write_all(&Frame::SynReply { id, block }.encode()).await?;
            }
            Out::Close => {
                io.write_all(&Frame::GoAway { last }.encode()).await?;
                return io.shutdown().await;
            }
        }
        if frames.is_empty() {
            io.flush().await?;
        }
    }
    Ok(())
}

struct Reader {
    io: ReadHalf<Box<dyn Io>>,
    unpack: Unpack,
    /// Streams that the client may still send on.
    open: HashMap<u32, mpsc::Sender<Bytes>>,
    accepted: mpsc::Sender<Stream>,
    frames: mpsc::Sender<Out>,
}

impl Reader {
    async fn run(&mut self) -> io::Result<()> {
        while let Some(frame) = Frame::read(&mut self.io).await? {
            match frame {
                Frame::SynStream { id, fin, block } => {
                    let headers = self.unpack.block(&block)?;
                    self.accept(id, fin, headers).await;
                }
                Frame::SynReply { block, .. } | Frame::Headers { block } => drop(self.unpack.block(&block)?),
                Frame::Data { id, fin, data } => self.data(id, fin, data).await,
                Frame::Reset { id, .. } => drop(self.open.remove(&id)),
                Frame::Ping(id) if id % 2 == 1 => self.send(Out::Frame(Frame::Ping(id))).await,
                Frame::Ping(_) | Frame::GoAway { .. } | Frame::Other => {}
            }
        }
        Ok(())
    }

    async fn accept(&mut self, id: u32, fin: bool, headers: Headers) {
        if self.open.len() >= STREAMS {
            self.open.retain(|_, stream| !stream.is_closed());
        }
        if self.open.len() >= STREAMS || self.open.contains_key(&id) {
            return self.send(Out::Frame(Frame::Reset { id, status: 3 })).await;
        }
        let (data_tx, data) = mpsc::channel(CHUNKS);
        if !fin {
            self.open.insert(id, data_tx);
        }
        self.send(Out::Accept(id)).await;
        let sender = StreamSender { id, frames: self.frames.clone() };
        let _ = self.accepted.send(Stream { headers, data, sender }).await;
    }

    async fn data(&mut self, id: u32, fin: bool, data: Bytes) {
        // Unknown streams are ones that ended while the data was under way.
        let Some(stream) = self.open.get(&id) else { return };
        let closed = !data.is_empty() && stream.send(data).await.is_err();
        if fin || closed {
            self.open.remove(&id);
        }
    }

    async fn send(&mut self, out: Out) {
        // A closed queue means that the writer ended, and this reader with it.
        let _ = self.frames.send(out).await;
    }
}
