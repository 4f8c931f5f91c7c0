//! HTTPS to servers that an API server calls: webhooks. One request a connection; errors in the words of a Go client, as
//! people who look for them expect.

use api::{Destination, Outbound};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Answers larger than this are refused.
const MAX_ANSWER: usize = 8 << 20;

/// Calls over TLS, trusting the CA that a destination names or else the system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Https;

impl Outbound for Https {
    fn post(&self, to: Destination, body: Bytes, timeout: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move {
            let url = to.url.clone();
            let answer = tokio::time::timeout(timeout, post(to, body)).await;
            let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            answer.unwrap_or_else(|_| Err(late.into())).map_err(|e| format!("Post \"{url}\": {e}"))
        })
    }
}

async fn post(to: Destination, body: Bytes) -> Result<Bytes, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let uri: http::Uri = to.url.parse().map_err(|e: http::uri::InvalidUri| text(&e))?;
    let host = uri.host().ok_or("no Host in request URL")?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let address = to.connect.clone().unwrap_or_else(|| (host.clone(), port));
    let stream = connect(&address).await?;
    let name = ServerName::try_from(host.clone()).map_err(|e| text(&e))?;
    let connector = TlsConnector::from(Arc::new(config(to.ca_bundle.as_deref())?));
    let tls = connector.connect(name, stream).await.map_err(|e| format!("tls: {e}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.map_err(|e| text(&e))?;
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let request = Request::post(path)
        .header(header::HOST, uri.authority().map_or(host.as_str(), http::uri::Authority::as_str))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))
        .map_err(|e| text(&e))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|e| text(&e))?;
        let status = answer.status();
        let body =
            Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| text(&e))?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("the server responded with the status code {status}"))
        }
    };
    // The connection makes progress only while it is polled; it ends with the exchange.
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(e) => Err(text(&e)),
        },
    }
}

async fn connect((host, port): &(String, u16)) -> Result<TcpStream, String> {
    TcpStream::connect((host.as_str(), *port)).await.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::ConnectionRefused => "connect: connection refused".into(),
            ErrorKind::TimedOut => "i/o timeout".into(),
            ErrorKind::HostUnreachable => "connect: no route to host".into(),
            _ => error.to_string(),
        };
        format!("dial tcp {host}:{port}: {why}")
    })
}

fn config(ca_bundle: Option<&[u8]>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_bundle {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate
                    .map_err(|_| "unable to load root certificates: unable to parse bytes as PEM block")?;
                roots.add(certificate).map_err(|e| e.to_string())?;
            }
        }
        None => {
            let (_added, _unreadable) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_who_did_not_answer() {
        // Port 1 of the loopback: nothing listens there.
        let to =
            Destination { url: "https://127.0.0.1:1/hook?timeout=2s".into(), connect: None, ca_bundle: None };
        let error = Https.post(to, Bytes::new(), Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(
            error,
            "Post \"https://127.0.0.1:1/hook?timeout=2s\": dial tcp 127.0.0.1:1: connect: connection refused"
        );
    }
}
