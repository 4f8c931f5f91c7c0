//! SPDY/3.1 frames on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest frame taken; a longer one ends the connection. Clients send at most 32 kB at once.
const MAX_FRAME: usize = 1 << 20;

const VERSION: u16 = 3;
const FIN: u8 = 1;

/// A frame; header blocks are still packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a stream.
    SynStream {
        /// Stream.
        id: u32,
        /// The opener will send nothing.
        fin: bool,
        /// Packed headers.
        block: Bytes,
    },
    /// Accepts a stream.
    SynReply {
        /// Stream.
        id: u32,
        /// Packed headers.
        block: Bytes,
    },
    /// Ends a stream at once.
    Reset {
        /// Stream.
        id: u32,
        /// Why; 3 is `REFUSED_STREAM`, 5 `CANCEL`.
        status: u32,
    },
    /// Wants itself back.
    Ping(u32),
    /// No more streams will be taken.
    GoAway {
        /// The last stream taken.
        last: u32,
    },
    /// More headers; packed with the same context, so they must be unpacked though nobody wants them.
    Headers {
        /// Packed headers.
        block: Bytes,
    },
    /// Bytes of a stream.
    Data {
        /// Stream.
        id: u32,
        /// The sender is done.
        fin: bool,
        /// Payload.
        data: Bytes,
    },
    /// A frame that carries nothing we need (settings, window updates).
    Other,
}

impl Frame {
    /// Reads the next frame; `None` at the end of the connection.
    ///
    /// # Errors
    /// When the connection breaks or does not speak SPDY/3.
    pub async fn read<R: AsyncRead + Unpin>(io: &mut R) -> io::Result<Option<Self>> {
        let mut head = [0; 8];
        match io.read_exact(&mut head).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        };
        let word = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (flags, length) = (head[4], u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize);
        if length > MAX_FRAME {
            return Err(invalid("frame too long"));
        }
        let mut payload = vec![0; length];
        io.read_exact(&mut payload).await?;
        let payload = Bytes::from(payload);
        let fin = flags & FIN != 0;
        if word >> 31 == 0 {
            return Ok(Some(Self::Data { id: word, fin, data: payload }));
        }
        if (word >> 16) as u16 & 0x7fff != VERSION {
            return Err(invalid("version is not 3"));
        }
        Self::control(word as u16, fin, payload).map(Some)
    }

    fn control(kind: u16, fin: bool, payload: Bytes) -> io::Result<Self> {
        let number = |at: usize| {
            let bytes = payload.get(at..at + 4).ok_or_else(|| invalid("frame too short"))?;
            Ok::<_, io::Error>(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let id = |at| number(at).map(|n| n & 0x7fff_ffff);
        let block = |at: usize| match payload.len() >= at {
            true => Ok(payload.slice(at..)),
            false => Err(invalid("frame too short")),
        };
        Ok(match kind {
            1 => Self::SynStream { id: id(0)?, fin, block: block(10)? },
            2 => Self::SynReply { id: id(0)?, block: block(4)? },
            3 => Self::Reset { id: id(0)?, status: number(4)? },
            6 => Self::Ping(number(0)?),
            7 => Self::GoAway { last: id(0)? },
            8 => Self::Headers { block: block(4)? },
            _ => Self::Other,
        })
    }

    /// The frame's bytes.
    pub fn encode(&self) -> Bytes {
        let mut payload = BytesMut::new();
        let (kind, fin) = match self {
            Self::Data { id, fin, data } => {
                let mut out = BytesMut::with_capacity(8 + data.len());
                out.put_u32(*id);
                put_length(&mut out, *fin, data.len());
                out.put_slice(data);
                return out.freeze();
            }
            Self::SynStream { id, fin, block } => {
                payload.put_u32(*id);
                payload.put_u32(0);
                payload.put_u16(0);
                payload.put_slice(block);
                (1, *fin)
            }
            Self::SynReply { id, block } => {
                payload.put_u32(*id);
                payload.put_slice(block);
                (2, false)
            }
            Self::Reset { id, status } => {
                payload.put_u32(*id);
                payload.put_u32(*status);
                (3, false)
            }
            Self::Ping(id) => {
                payload.put_u32(*id);
                (6, false)
            }
            Self::GoAway { last } => {
                payload.put_u32(*last);
                payload.put_u32(0);
                (7, false)
            }
            Self::Headers { .. } | Self::Other => return Bytes::new(),
        };
        let mut out = BytesMut::with_capacity(8 + payload.len());
        out.put_u16(0x8000 | VERSION);
        out.put_u16(kind);
        put_length(&mut out, fin, payload.len());
        out.put_slice(&payload);
        out.freeze()
    }
}

fn put_length(out: &mut BytesMut, fin: bool, length: usize) {
    out.put_u32(u32::from(fin) << 24 | length as u32);
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back() {
        let frames = [
            Frame::SynStream { id: 1, fin: true, block: Bytes::from_static(b"abc") },
            Frame::SynReply { id: 1, block: Bytes::from_static(b"x") },
            Frame::Data { id: 1, fin: true, data: Bytes::from_static(b"hello") },
            Frame::Reset { id: 3, status: 5 },
            Frame::Ping(7),
            Frame::GoAway { last: 3 },
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(|f| f.encode()).collect();
        let mut read = bytes.as_slice();
        for frame in frames {
            assert_eq!(Frame::read(&mut read).await.unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut read).await.unwrap(), None);
    }

    #[tokio::test]
    async fn hostile_frames_are_refused() {
        for bytes in [
            &[0u8, 0, 0, 1, 0, 0xff, 0xff, 0xff][..],
            &[0x80, 2, 0, 1, 0, 0, 0, 0],
            &[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0],
        ] {
            assert!(Frame::read(&mut &bytes[..]).await.is_err());
        }
    }
}
