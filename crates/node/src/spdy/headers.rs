//! Header blocks of SPDY/3.1: name-value pairs, compressed with one zlib context per direction and a known dictionary.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use std::io;

/// Longest header block, unpacked; a longer one ends the connection.
const MAX_BLOCK: usize = 16 << 10;

/// The dictionary begins with these words, each after its length in four bytes,
const WORDS: [&str; 65] = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// and ends with this.
const TAIL: &str = "\
    100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Au\
    thoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidd\
    en404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr Ma\
    y Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,imag\
    e/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicpri\
    vatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary of the SPDY/3 specification.
fn dictionary() -> Vec<u8> {
    let mut out = vec![];
    for word in WORDS {
        out.extend_from_slice(&(word.len() as u32).to_be_bytes());
        out.extend_from_slice(word.as_bytes());
    }
    out.extend_from_slice(TAIL.as_bytes());
    out
}

/// Name-value pairs in order; names are lower case.
pub type Headers = Vec<(String, String)>;

/// The first value of `name` (in lower case).
pub fn value<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

/// Unpacks the blocks of one direction, in order.
pub struct Unpack(Decompress);

impl Default for Unpack {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY header block: {why}"))
}

impl Unpack {
    /// Unpacks the next block.
    ///
    /// # Errors
    /// When it is malformed or too long; the context is of no use then.
    pub fn block(&mut self, block: &[u8]) -> io::Result<Headers> {
        let (began, mut out) = (self.0.total_in(), Vec::with_capacity(512));
        loop {
            let consumed = (self.0.total_in() - began) as usize;
            let before = (self.0.total_in(), self.0.total_out());
            match self.0.decompress_vec(&block[consumed.min(block.len())..], &mut out, FlushDecompress::Sync)
            {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| invalid("unknown dictionary"))?;
                    continue;
                }
                Err(error) => return Err(invalid(&error.to_string())),
                Ok(_) => {}
            }
            let done = (self.0.total_in() - began) as usize >= block.len();
            if out.len() < out.capacity() && done {
                return parse(&out);
            }
            if out.len() >= MAX_BLOCK {
                return Err(invalid("too long"));
            }
            if out.len() == out.capacity() {
                out.reserve(out.len().max(512));
            } else if before == (self.0.total_in(), self.0.total_out()) {
                return Err(invalid("truncated"));
            }
        }
    }
}

/// Packs the blocks of one direction, in order.
pub struct Pack(Compress);

impl Default for Pack {
    fn default() -> Self {
        Self(Compress::new(Compression::fast(), true))
    }
}

impl Pack {
    /// Packs the next block.
    ///
    /// # Errors
    /// Never in practice: the compressor is given all the room it wants.
    pub fn block(&mut self, headers: &Headers) -> io::Result<Vec<u8>> {
        let mut plain = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&(text.len() as u32).to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        let (began, mut out) = (self.0.total_in(), Vec::with_capacity(plain.len() + 64));
        loop {
            let consumed = (self.0.total_in() - began) as usize;
            self.0
                .compress_vec(&plain[consumed..], &mut out, FlushCompress::Sync)
                .map_err(io::Error::other)?;
            if (self.0.total_in() - began) as usize == plain.len() && out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(out.len().max(64));
        }
    }
}

fn parse(mut block: &[u8]) -> io::Result<Headers> {
    let count = number(&mut block)?;
    let mut headers = vec![];
    for _ in 0..count {
        let name = text(&mut block)?;
        headers.push((name.to_ascii_lowercase(), text(&mut block)?));
    }
    Ok(headers)
}

fn number(block: &mut &[u8]) -> io::Result<usize> {
    let (bytes, rest) = block.split_first_chunk::<4>().ok_or_else(|| invalid("truncated"))?;
    *block = rest;
    Ok(u32::from_be_bytes(*bytes) as usize)
}

fn text(block: &mut &[u8]) -> io::Result<String> {
    let length = number(block)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or_else(|| invalid("truncated"))?;
    *block = rest;
    String::from_utf8(bytes.to_vec()).map_err(|_| invalid("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_dictionary_is_the_specified_one() {
        let mut compress = Compress::new(Compression::fast(), true);
        assert_eq!(compress.set_dictionary(&dictionary()).unwrap(), 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_come_back_whether_packed_with_the_dictionary_or_not() {
        let blocks =
            [pairs(&[("streamtype", "error"), ("port", "80")]), pairs(&[("streamtype", "data")]), pairs(&[])];
        let mut with_dictionary = Pack::default();
        with_dictionary.0.set_dictionary(&dictionary()).unwrap();
        for mut pack in [Pack::default(), with_dictionary] {
            let mut unpack = Unpack::default();
            for block in &blocks {
                assert_eq!(unpack.block(&pack.block(block).unwrap()).unwrap(), *block);
            }
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut pack = Pack::default();
        let block = pack.block(&pairs(&[("a", &"x".repeat(1 << 20))])).unwrap();
        assert!(block.len() < 16 << 10);
        assert!(Unpack::default().block(&block).unwrap_err().to_string().contains("too long"));
        assert!(Unpack::default().block(b"rubbish").is_err());
        assert!(Unpack::default().block(&[0x78]).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let good = Pack::default().block(&pairs(&[("streamtype", "data"), ("port", "80")])).unwrap();
        for at in 0..good.len() {
            for flip in [1, 0x10, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                // Whatever comes out, it comes to an end.
                let _ = Unpack::default().block(&bad);
            }
            let _ = Unpack::default().block(&good[..at]);
        }
    }
}
