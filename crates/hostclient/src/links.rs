//! Links in what a host's proxy answers. An API server makes links of a proxied page lead through its proxy, so those that come
//! from the host name the host's pod: here they are made to lead through the proxy that the client asked.

use bytes::{Bytes, BytesMut};
use client::{Body, BodyStream};
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Response, header};
use memchr::memmem;

/// Answers `answer` with links that start with `from` starting with `to` instead.
pub(crate) fn lead_back(mut answer: Response<Body>, from: String, to: String) -> Response<Body> {
    let headers = answer.headers_mut();
    let place = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if let Some(rest) = place.and_then(|place| place.strip_prefix(&from))
        && let Ok(place) = HeaderValue::from_str(&format!("{to}{rest}"))
    {
        headers.insert(header::LOCATION, place);
    }
    if !is_page(headers) {
        return answer;
    }
    headers.remove(header::CONTENT_LENGTH);
    answer.map(|body| match body {
        Body::Full(bytes) => Body::Full(Replacing::new(from, to).end(bytes)),
        Body::Stream(pieces) => Body::Stream(replaced(pieces, Replacing::new(from, to))),
    })
}

/// Whether an answer is a page whose text can be read.
fn is_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
    text(header::CONTENT_TYPE).starts_with("text/html") && text(header::CONTENT_ENCODING).is_empty()
}

fn replaced(pieces: BodyStream, replacing: Replacing) -> BodyStream {
    let last = futures::stream::once(async { None });
    let pieces = pieces.map(Some).chain(last);
    let replaced = pieces.scan(replacing, |replacing, piece| {
        let piece = match piece {
            Some(Ok(piece)) => Ok(replacing.next(&piece)),
            Some(Err(error)) => Err(error),
            None => Ok(replacing.end(Bytes::new())),
        };
        futures::future::ready(Some(piece))
    });
    replaced.filter(|piece| futures::future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty()))).boxed()
}

/// Replaces a text in what comes piece by piece.
struct Replacing {
    from: String,
    to: String,
    /// What may be the beginning of the text: shorter than it.
    held: BytesMut,
}

impl Replacing {
    fn new(from: String, to: String) -> Self {
        Self { from, to, held: BytesMut::new() }
    }

    /// What of all pieces up to this one is certain.
    fn next(&mut self, piece: &[u8]) -> Bytes {
        self.held.extend_from_slice(piece);
        let all = std::mem::take(&mut self.held);
        let mut out = BytesMut::with_capacity(all.len());
        let mut done = 0;
        for at in memmem::find_iter(&all, &self.from) {
            out.extend_from_slice(&all[done..at]);
            out.extend_from_slice(self.to.as_bytes());
            done = at + self.from.len();
        }
        let last = done.max(all.len().saturating_sub(self.from.len() - 1));
        let begun = (last..all.len()).find(|at| self.from.as_bytes().starts_with(&all[*at..]));
        let certain = begun.unwrap_or(all.len());
        out.extend_from_slice(&all[done..certain]);
        self.held.extend_from_slice(&all[certain..]);
        out.freeze()
    }

    /// The rest, with the last piece.
    fn end(&mut self, piece: Bytes) -> Bytes {
        let mut out = BytesMut::from(self.next(&piece));
        out.extend_from_slice(&std::mem::take(&mut self.held));
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "/api/v1/namespaces/host/pods/web-x-shop-x-demo:80/proxy";
    const TO: &str = "/api/v1/namespaces/shop/pods/web/proxy";

    async fn text(body: Body) -> String {
        let pieces = match body {
            Body::Full(bytes) => vec![bytes],
            Body::Stream(pieces) => pieces.map(Result::unwrap).collect().await,
        };
        String::from_utf8(pieces.concat()).unwrap()
    }

    fn answer(kind: &str, body: Body) -> Response<Body> {
        let answer = Response::builder().header(header::CONTENT_TYPE, kind).header(header::CONTENT_LENGTH, 7);
        answer.header(header::LOCATION, format!("{FROM}/b?c")).body(body).unwrap()
    }

    #[tokio::test]
    async fn links_lead_through_the_proxy_that_was_asked() {
        let page = format!("<a href=\"{FROM}/a\">/api/v1/names</a>{FROM}/api/");
        let expected = page.replace(FROM, TO);
        for length in [1, 7, 1000] {
            let pieces: Vec<_> =
                page.as_bytes().chunks(length).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
            let body = Body::Stream(futures::stream::iter(pieces).boxed());
            let led = lead_back(answer("text/html; charset=utf-8", body), FROM.into(), TO.into());
            assert_eq!(led.headers()[header::LOCATION], format!("{TO}/b?c"));
            assert!(!led.headers().contains_key(header::CONTENT_LENGTH));
            assert_eq!(text(led.into_body()).await, expected, "in pieces of {length}");
        }
        let led = lead_back(answer("text/html", Body::Full(page.clone().into())), FROM.into(), TO.into());
        assert_eq!(text(led.into_body()).await, expected);
        let led = lead_back(answer("text/plain", Body::Full(page.clone().into())), FROM.into(), TO.into());
        assert_eq!((led.headers()[header::CONTENT_LENGTH].len(), text(led.into_body()).await), (1, page));
    }
}
