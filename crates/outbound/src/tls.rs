//! Whom to trust, and what to say when nobody is to be trusted.

use api::Destination;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::io;
use std::sync::Arc;

pub(crate) fn config(to: &Destination) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = if to.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        builder.with_root_certificates(roots(to.ca_bundle.as_deref())?)
    };
    match &to.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let certificates =
                CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| e.to_string())?;
            builder
                .with_client_auth_cert(certificates.map_err(|e| e.to_string())?, key)
                .map_err(|e| e.to_string())
        }
    }
}

fn roots(ca_bundle: Option<&[u8]>) -> Result<RootCertStore, String> {
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
    Ok(roots)
}

/// A failed handshake in the words of a Go client.
pub(crate) fn failure(error: &io::Error, host: &str) -> String {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    let Some(inner) = inner else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "EOF".into(),
            io::ErrorKind::ConnectionReset => "read: connection reset by peer".into(),
            _ => error.to_string(),
        };
    };
    let unverified = |why: &str| format!("tls: failed to verify certificate: x509: {why}");
    match inner {
        Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                unverified("certificate signed by unknown authority")
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                unverified("certificate has expired or is not yet valid")
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                unverified(&not_valid_for(presented, host))
            }
            CertificateError::NotValidForName => {
                unverified(&format!("certificate is not valid for any names, but wanted to match {host}"))
            }
            other => format!("tls: failed to verify certificate: {other}"),
        },
        Error::InvalidMessage(_) => "tls: first record does not look like a TLS handshake".into(),
        Error::AlertReceived(alert) => format!("remote error: tls: {alert:?}"),
        other => format!("tls: {other}"),
    }
}

fn not_valid_for(presented: &[String], host: &str) -> String {
    // `DnsName("a.b")` and `IpAddress(127.0.0.1)` are how rustls shows names.
    let names = presented.iter().map(|shown| {
        let inner = shown.split_once('(').map_or(shown.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    });
    match names.collect::<Vec<_>>().as_slice() {
        [] => format!("certificate is not valid for any names, but wanted to match {host}"),
        names => format!("certificate is valid for {}, not {host}", names.join(", ")),
    }
}

/// `insecureSkipTLSVerify`: whoever answers is believed to be who they say, as long as they hold the key they show.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
