//! A certificate authority: a key, its self-signed certificate, and what it issues.

use super::request::CertificateRequest;
use super::template::{Subject, SubjectAltNames, Template, Usages, key_id};
use crate::keys::{CryptoError, PrivateKey, error, pem};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Issued certificates are valid a little before now, for clocks that are behind.
const BACKDATE: i64 = 5 * 60;
const YEAR: i64 = 365 * 24 * 3600;

/// A certificate and its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, in DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: PrivateKey,
}

impl Issued {
    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The key as PEM.
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }
}

/// An authority that signs certificates.
#[derive(Debug)]
pub struct CertificateAuthority {
    certificate: Vec<u8>,
    key: PrivateKey,
    subject: Vec<u8>,
    key_id: Vec<u8>,
    not_after: i64,
}

impl CertificateAuthority {
    /// A new authority (ECDSA P-256, ten years). `now`: seconds since 1970.
    pub fn generate(common_name: &str, now: i64) -> Result<Self, CryptoError> {
        let key = PrivateKey::generate()?;
        let subject = Subject::named(common_name).to_der();
        let public_key_info = key.public_key_info();
        let certificate = Template {
            subject: &subject,
            alt_names: &SubjectAltNames::default(),
            usages: &Usages::parse(["digital signature", "key encipherment", "cert sign"])?,
            is_ca: true,
            not_before: now - BACKDATE,
            not_after: now + 10 * YEAR,
            public_key_info: &public_key_info,
            issuer: &subject,
            authority_key_id: &[],
        }
        .sign(&key)?;
        Self::new(certificate, key)
    }

    /// Reads an authority from its certificate and key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CryptoError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|e| error(format!("no certificate: {e}")))?;
        Self::new(der.as_ref().to_vec(), PrivateKey::from_pem(key)?)
    }

    fn new(certificate: Vec<u8>, key: PrivateKey) -> Result<Self, CryptoError> {
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|e| error(format!("bad certificate: {e}")))?;
        if !parsed.is_ca() {
            return Err(error("certificate is not an authority's"));
        }
        if parsed.public_key().raw != key.public_key_info() {
            return Err(error("certificate and private key do not belong together"));
        }
        let own_id = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let key_id = own_id.unwrap_or_else(|| key_id(parsed.public_key().raw));
        let (subject, not_after) =
            (parsed.subject().as_raw().to_vec(), parsed.validity().not_after.timestamp());
        Ok(Self { certificate, key, subject, key_id, not_after })
    }

    /// The authority's certificate as PEM: what clients trust.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The authority's certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The authority's key as PEM.
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }

    /// Issues a server's certificate, for a year.
    pub fn issue_server(
        &self,
        common_name: &str,
        names: &SubjectAltNames,
        now: i64,
    ) -> Result<Issued, CryptoError> {
        let usages = Usages::parse(["digital signature", "key encipherment", "server auth"])?;
        self.issue(&Subject::named(common_name), names, &usages, YEAR, now)
    }

    /// Issues a client's certificate; the subject names the user and the groups.
    pub fn issue_client(&self, subject: &Subject, seconds: i64, now: i64) -> Result<Issued, CryptoError> {
        let usages = Usages::parse(["digital signature", "key encipherment", "client auth"])?;
        self.issue(subject, &SubjectAltNames::default(), &usages, seconds, now)
    }

    /// Issues a certificate with a new key.
    pub fn issue(
        &self,
        subject: &Subject,
        names: &SubjectAltNames,
        usages: &Usages,
        seconds: i64,
        now: i64,
    ) -> Result<Issued, CryptoError> {
        let key = PrivateKey::generate()?;
        let certificate =
            self.sign(&subject.to_der(), names, usages, &key.public_key_info(), seconds, now)?;
        Ok(Issued { certificate, key })
    }

    /// Signs a request as Kubernetes' signers do: subject, names and key are the request's, usages and duration the
    /// signer's. Gives PEM.
    pub fn sign_request(
        &self,
        request: &CertificateRequest,
        usages: &Usages,
        seconds: i64,
        now: i64,
    ) -> Result<String, CryptoError> {
        let der =
            self.sign(&request.subject, &request.alt_names, usages, &request.public_key_info, seconds, now)?;
        Ok(pem("CERTIFICATE", &der))
    }

    fn sign(
        &self,
        subject: &[u8],
        alt_names: &SubjectAltNames,
        usages: &Usages,
        public_key_info: &[u8],
        seconds: i64,
        now: i64,
    ) -> Result<Vec<u8>, CryptoError> {
        if now >= self.not_after {
            return Err(error("the signer has expired"));
        }
        Template {
            subject,
            alt_names,
            usages,
            is_ca: false,
            not_before: now - BACKDATE,
            not_after: now.saturating_add(seconds).min(self.not_after),
            public_key_info,
            issuer: &self.subject,
            authority_key_id: &self.key_id,
        }
        .sign(&self.key)
    }
}
