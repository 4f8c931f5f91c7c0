//! What the load generator speaks: HTTP/2 over TLS, with a bearer token, to whichever server is measured.
//!
//! Certificates are not checked: the servers are on the same machine, and what they are is for the caller to know.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A server, and how to get in.
#[derive(Clone)]
pub(crate) struct Address {
    /// `HOST:PORT`.
    pub authority: String,
    pub token: String,
}

impl Address {
    /// Of `https://HOST:PORT`.
    pub fn parse(url: &str, token: &str) -> Result<Self, String> {
        let authority = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        match authority {
            Some(authority) if authority.contains(':') => {
                Ok(Self { authority: authority.to_owned(), token: token.to_owned() })
            }
            _ => Err(format!("{url}: give https://HOST:PORT")),
        }
    }
}

/// One connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: Arc<Address>,
}

impl Connection {
    pub async fn open(address: &Address) -> Result<Self, String> {
        let stream = TcpStream::connect(&address.authority).await.map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let name = ServerName::try_from("localhost").map_err(|e| e.to_string())?;
        let stream = TlsConnector::from(tls()?).connect(name, stream).await.map_err(|e| e.to_string())?;
        let (sender, driver) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        tokio::spawn(driver);
        Ok(Self { sender, address: Arc::new(address.clone()) })
    }

    /// An answer whose body is still to be read.
    pub async fn begin(&self, asked: Asked) -> Result<(StatusCode, Incoming), String> {
        let request = Request::builder()
            .method(asked.method)
            .uri(format!("https://{}{}", self.address.authority, asked.path))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.address.token))
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "joey-bench")
            .header(header::CONTENT_TYPE, asked.content_type)
            .body(Full::new(asked.body))
            .map_err(|e| e.to_string())?;
        let response = self.sender.clone().send_request(request).await.map_err(|e| e.to_string())?;
        let (parts, body) = response.into_parts();
        Ok((parts.status, body))
    }

    /// Asks and reads the whole answer; anything but success is an error.
    pub async fn ask(&self, asked: Asked) -> Result<Bytes, String> {
        let told = format!("{} {}", asked.method, asked.path);
        let (status, body) = self.begin(asked).await?;
        let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        match status.is_success() {
            true => Ok(body),
            false => Err(format!("{told}: {status}: {}", String::from_utf8_lossy(&body))),
        }
    }
}

/// A request.
pub(crate) struct Asked {
    pub method: Method,
    pub path: String,
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Asked {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), content_type: "application/json", body: Bytes::new() }
    }

    pub fn send(method: Method, path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method, path: path.into(), content_type: "application/json", body: body.into() }
    }
}

fn tls() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked(provider.signature_verification_algorithms)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Unchecked(rustls::crypto::WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
