//! HTTPS to servers that an API server calls: webhooks, and extension API servers that it passes requests on to. One request
//! a connection; errors in the words of a Go client, as people who look for them expect.

mod answers;
mod fence;
mod forward;
mod tls;

pub use fence::Fenced;

use api::{Destination, Outbound};
use bytes::Bytes;
use client::Body;
use futures::future::BoxFuture;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Answers larger than this are refused.
const MAX_ANSWER: usize = 8 << 20;

/// Calls over TLS, trusting the CA that a destination names or else the system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Https;

/// Which addresses may be called.
type Reach<'a> = &'a (dyn Fn(IpAddr) -> bool + Send + Sync);

impl Outbound for Https {
    fn post(&self, to: Destination, body: Bytes, timeout: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(posted(to, body, timeout, &|_| true))
    }

    fn forward(
        &self,
        to: Destination,
        request: Request<Bytes>,
        upgrade: Option<node::Upgrade>,
    ) -> BoxFuture<'_, Result<Response<Body>, String>> {
        Box::pin(forward::forward(to, request, upgrade, &|_| true))
    }
}

async fn posted(to: Destination, body: Bytes, timeout: Duration, reach: Reach<'_>) -> Result<Bytes, String> {
    let url = to.url.clone();
    let answer = tokio::time::timeout(timeout, post(to, body, reach)).await;
    let unanswered = |why: String| format!("Post \"{url}\": {why}");
    match answer {
        Err(_) => Err(unanswered("context deadline exceeded".into())),
        Ok(Err(why)) => Err(unanswered(why)),
        Ok(Ok((code, content_type, body))) => answers::successful(code, &content_type, body),
    }
}

/// The code, the content type and the body of an answer.
async fn post(to: Destination, body: Bytes, reach: Reach<'_>) -> Result<(u16, String, Bytes), String> {
    let (mut sender, connection, uri) = connect(&to, reach).await?;
    let request = Request::post(path_of(&uri))
        .header(header::HOST, authority_of(&uri))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))
        .map_err(|e| e.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let code = answer.status().as_u16();
        let content_type = answer.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| e.to_string())?;
        Ok((code, content_type, body.to_bytes()))
    };
    // The connection makes progress only while it is polled; it ends with the exchange.
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(e) => Err(broken(&e)),
        },
    }
}

type Stream = TokioIo<TlsStream<TcpStream>>;

/// A connection to a destination, ready for one request.
async fn connect(
    to: &Destination,
    reach: Reach<'_>,
) -> Result<(SendRequest<Full<Bytes>>, Connection<Stream, Full<Bytes>>, http::Uri), String> {
    let uri: http::Uri = to.url.parse().map_err(|e: http::uri::InvalidUri| e.to_string())?;
    let host = uri.host().ok_or("no Host in request URL")?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let (address, port) = to.connect.clone().unwrap_or_else(|| (host.clone(), port));
    let stream = dial(&address, port, reach).await?;
    let name = ServerName::try_from(host.clone()).map_err(|e| e.to_string())?;
    let connector = TlsConnector::from(Arc::new(tls::config(to)?));
    let stream = connector.connect(name, stream).await.map_err(|e| tls::failure(&e, &host))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|e| broken(&e))?;
    Ok((sender, connection, uri))
}

fn path_of(uri: &http::Uri) -> &str {
    uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

fn authority_of(uri: &http::Uri) -> &str {
    uri.authority().map_or("", http::uri::Authority::as_str)
}

/// A connection that ended too early, or spoke something else.
fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() { "EOF".into() } else { error.to_string() }
}

/// Tries the addresses of a host one after the other; the error is that of the first.
async fn dial(host: &str, port: u16, reach: Reach<'_>) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host((host, port)).await;
    let mut addresses: Vec<SocketAddr> = addresses.map(Iterator::collect).unwrap_or_default();
    // Go tries IPv4 first and tells of that.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut first = None;
    for address in addresses {
        if !reach(address.ip()) {
            first.get_or_insert_with(|| {
                format!("dial tcp {address}: this virtual cluster may not call this address")
            });
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests are whole when they are written: waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => {
                let why = match error.kind() {
                    ErrorKind::ConnectionRefused => "connect: connection refused".into(),
                    ErrorKind::TimedOut => "i/o timeout".into(),
                    ErrorKind::HostUnreachable => "connect: no route to host".into(),
                    ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
                    _ => error.to_string(),
                };
                first.get_or_insert_with(|| format!("dial tcp {address}: {why}"));
            }
        }
    }
    Err(first.unwrap_or_else(|| format!("dial tcp: lookup {host}: no such host")))
}

#[cfg(test)]
mod tests;
