//! Certificates: our own, and what clients show.
//!
//! A client certificate is optional. As in Kubernetes, one that does not verify against the client CA does not break the
//! handshake; the request is answered 401, so that the client shows an error that makes sense.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use std::sync::Arc;

/// A certificate, key or CA that cannot be used.
#[derive(Debug)]
pub struct TlsError(String);

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// The TLS side of a listener.
#[derive(Clone)]
pub struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// What a client's certificate turned out to be.
pub(crate) enum Shown {
    Nothing,
    /// The client's own certificate, and those it sent along.
    Verified(Arc<[u8]>, Arc<[Box<[u8]>]>),
    Refused(String),
}

impl Tls {
    /// Serves with the certificate chain and key in PEM; client certificates must be signed by a CA of
    /// `client_ca_pem`, if any is given.
    ///
    /// # Errors
    /// When one of the three cannot be read, or key and certificate do not belong together.
    pub fn from_pem(
        chain_pem: &[u8],
        key_pem: &[u8],
        client_ca_pem: Option<&[u8]>,
    ) -> Result<Self, TlsError> {
        let chain = certificates("serving certificate", chain_pem)?;
        let key =
            PrivateKeyDer::from_pem_slice(key_pem).map_err(|e| TlsError(format!("serving key: {e}")))?;
        let provider = Arc::new(ring::default_provider());
        let clients = client_ca_pem.map(|pem| client_verifier(pem, provider.clone())).transpose()?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError(e.to_string()))?;
        let builder = match &clients {
            Some(inner) => {
                builder.with_client_cert_verifier(Arc::new(Lenient { inner: inner.clone(), provider }))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|e| TlsError(format!("serving certificate and key: {e}")))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions to resume would be memory per tenant for a round trip saved now and then.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), clients })
    }

    /// Judges the chain that a client showed.
    pub(crate) fn judge(&self, chain: Option<&[CertificateDer<'_>]>) -> Shown {
        let (Some([certificate, rest @ ..]), Some(verifier)) = (chain, &self.clients) else {
            return Shown::Nothing;
        };
        match verifier.verify_client_cert(certificate, rest, UnixTime::now()) {
            Ok(_) => {
                let rest = rest.iter().map(|der| Box::from(der.as_ref())).collect();
                Shown::Verified(certificate.as_ref().into(), rest)
            }
            Err(error) => Shown::Refused(error.to_string()),
        }
    }
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(TlsError(format!("{what}: no certificate in the PEM"))),
        Ok(all) => Ok(all),
        Err(error) => Err(TlsError(format!("{what}: {error}"))),
    }
}

fn client_verifier(
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client CA", pem)? {
        roots.add(certificate).map_err(|e| TlsError(format!("client CA: {e}")))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| TlsError(format!("client CA: {e}")))
}

/// Takes any certificate whose key the client proves to hold; the chain is judged after the handshake.
#[derive(Debug)]
struct Lenient {
    inner: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
