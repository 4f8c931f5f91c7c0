//! A certificate signing request (PKCS#10), read and checked.

use super::template::SubjectAltNames;
use crate::keys::{CryptoError, error};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use std::net::IpAddr;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509CertificationRequest};

/// A request whose signature was found to be its own key's.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The subject, in DER.
    pub subject: Vec<u8>,
    /// `CN` of the subject.
    pub common_name: String,
    /// All `O` of the subject.
    pub organizations: Vec<String>,
    /// Names asked for.
    pub alt_names: SubjectAltNames,
    pub(super) public_key_info: Vec<u8>,
}

impl CertificateRequest {
    /// Reads the PEM text of a `CertificateSigningRequest`'s `spec.request`.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CryptoError> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|_| error("PEM block type must be CERTIFICATE REQUEST"))?;
        let (rest, request) =
            X509CertificationRequest::from_der(der.as_ref()).map_err(|e| error(e.to_string()))?;
        if !rest.is_empty() {
            return Err(error("asn1: syntax error: trailing data"));
        }
        request.verify_signature().map_err(|e| error(format!("x509: invalid signature: {e}")))?;
        let info = &request.certification_request_info;
        let text =
            |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or("").to_owned();
        Ok(Self {
            subject: info.subject.as_raw().to_vec(),
            common_name: info.subject.iter_common_name().last().map(text).unwrap_or_default(),
            organizations: info.subject.iter_organization().map(text).collect(),
            alt_names: alt_names(&request),
            public_key_info: info.subject_pki.raw.to_vec(),
        })
    }
}

fn alt_names(request: &X509CertificationRequest<'_>) -> SubjectAltNames {
    let mut names = SubjectAltNames::default();
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(found) = extension else { continue };
        for name in &found.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                GeneralName::RFC822Name(name) => names.email.push((*name).to_owned()),
                GeneralName::URI(name) => names.uri.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.ip.extend(address(bytes)),
                _ => {}
            }
        }
    }
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
