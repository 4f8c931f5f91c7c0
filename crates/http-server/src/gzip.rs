//! Compression of large complete answers, as Kubernetes does it: gzip, fast, only when asked for.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, VARY};
use std::io::Write;

/// Bytes that are compressed without leaving the connection's task; larger ones go to the blocking pool.
const INLINE: usize = 512 << 10;

/// Whether the client takes gzip.
pub(crate) fn accepted(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        gzip && !parts.any(|p| matches!(p.split_once('='), Some(("q", q)) if q.trim().parse() == Ok(0.0)))
    })
}

/// Compresses `body` and says so in `headers`; leaves both alone when something else encoded it.
pub(crate) async fn compress(body: Bytes, headers: &mut HeaderMap) -> Bytes {
    if headers.contains_key(CONTENT_ENCODING) {
        return body;
    }
    let plain = body.clone();
    let packed = match body.len() {
        0..INLINE => Some(gzip(&body)),
        _ => tokio::task::spawn_blocking(move || gzip(&body)).await.ok(),
    };
    let Some(Ok(packed)) = packed else { return plain };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.remove(CONTENT_LENGTH);
    packed.into()
}

fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 6), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_accept_encoding() {
        let takes = |value: &'static str| {
            accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(takes("gzip") && takes("deflate, GZIP;q=0.5") && takes("br,gzip"));
        assert!(!takes("identity") && !takes("gzip;q=0") && !takes("x-gzip") && !takes(""));
    }
}
