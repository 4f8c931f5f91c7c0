//! Questions that are not the virtual cluster's, put to other servers as they came.
//!
//! Each question goes out from a port and with an identifier of its own, so that an answer cannot be guessed; an answer to
//! something else is not taken. Beyond [`IN_FLIGHT`] questions of all virtual clusters together, further ones are refused.

use rand::Rng;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;

/// Questions that may wait for other servers at a time.
const IN_FLIGHT: usize = 512;
/// How long one server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that comes in one datagram.
const DATAGRAM: usize = 4096;

/// A way to other DNS servers, shared by the virtual clusters of a process.
pub struct Forwarder {
    servers: Vec<SocketAddr>,
    permits: Semaphore,
}

impl Forwarder {
    /// Asks these servers, in this order.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, permits: Semaphore::new(IN_FLIGHT) }
    }

    /// Asks the servers that this machine (or the pod that this runs in) uses.
    pub fn system() -> Self {
        let text = std::fs::read_to_string(Path::new("/etc/resolv.conf")).unwrap_or_default();
        Self::new(nameservers(&text))
    }

    /// The answer to `question`, with the question's own identifier; `None` when no server gave one.
    pub(crate) async fn ask(&self, question: &[u8], stream: bool) -> Option<Vec<u8>> {
        let _permit = self.permits.try_acquire().ok()?;
        let identifier: [u8; 2] = rand::rng().random();
        let mut sent = question.to_vec();
        sent.get_mut(..2)?.copy_from_slice(&identifier);
        for server in &self.servers {
            let answer = async {
                if stream { over_stream(*server, &sent).await } else { over_datagram(*server, &sent).await }
            };
            let answer = tokio::time::timeout(PATIENCE, answer).await;
            if let Ok(Ok(mut answer)) = answer
                && answers(&sent, &answer)
            {
                answer[..2].copy_from_slice(question.get(..2)?);
                return Some(answer);
            }
        }
        None
    }
}

async fn over_datagram(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(question, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn over_stream(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Whether `answer` is one to `question`: its identifier, and the same question repeated.
fn answers(question: &[u8], answer: &[u8]) -> bool {
    const HEADER: usize = 12;
    let end = HEADER + question_length(question.get(HEADER..).unwrap_or_default());
    answer.get(2).is_some_and(|flags| flags & 0x80 != 0)
        && question.get(..2) == answer.get(..2)
        && match (question.get(HEADER..end), answer.get(HEADER..end)) {
            (Some(asked), Some(repeated)) => asked.eq_ignore_ascii_case(repeated),
            _ => false,
        }
}

/// The bytes of the first question: labels, type and class.
fn question_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = bytes.get(at).filter(|l| **l != 0) {
        at += usize::from(*length) + 1;
    }
    at + 5
}

fn nameservers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|rest| rest.trim().parse::<IpAddr>().ok());
    addresses.map(|ip| SocketAddr::new(ip, 53)).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_resolvers_read() {
        let text =
            "# comment\nsearch example.org\nnameserver 10.0.0.2\n nameserver fd00::2 \nnameserver nonsense\n";
        assert_eq!(nameservers(text), ["10.0.0.2:53".parse().unwrap(), "[fd00::2]:53".parse().unwrap()]);
    }

    #[test]
    fn takes_only_the_answer_to_its_question() {
        let question = b"\x01\x02\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
        let answer = |from: &[u8], to: &[u8]| {
            let mut bytes = question.to_vec();
            bytes[2] |= 0x80;
            let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to);
            bytes
        };
        assert!(answers(question, &answer(b"\x01a", b"\x01A")));
        assert!(!answers(question, &answer(b"\x01a", b"\x01b")));
        assert!(!answers(question, &answer(b"\x01\x02", b"\x01\x03")));
        assert!(!answers(question, question), "a question is no answer");
        assert!(!answers(b"", b""));
    }
}
