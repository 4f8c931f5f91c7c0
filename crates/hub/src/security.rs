//! Who a control plane lets in, beyond its own administrator: what is given to it in files, made ready for the API server.

use crate::{Error, TokenKeys};
use access::tokens::{PendingIssuer, TokenIssuer, TokenVerifier};
use access::{CertificateAuthority, PrivateKey, PublicKey};
use api::AccessOptions;

/// The issuer and audience of service-account tokens, as in most clusters.
const ISSUER: &str = "https://kubernetes.default.svc";

/// Foreign keys, authorities and doors. The default has none: a cluster of its own.
#[derive(Default)]
pub struct Security {
    /// The doors.
    pub access: AccessOptions,
    /// PEM of authorities whose client certificates name users, besides the cluster's own.
    pub client_ca: String,
    /// `--service-account-issuer`: the first one signs, all are accepted.
    pub issuers: Vec<String>,
    /// `--api-audiences`; empty: the first issuer.
    pub audiences: Vec<String>,
    /// Signs service-account tokens instead of the cluster's own key.
    pub signing_key: Option<PrivateKey>,
    /// Verify service-account tokens too.
    pub keys: Vec<PublicKey>,
}

impl Security {
    /// The issuer that signs.
    pub(crate) fn issuer(&self) -> &str {
        self.issuers.first().map_or(ISSUER, String::as_str)
    }

    /// The issuer of service-account tokens, and what verifies them. `own` are the cluster's own keys.
    pub(crate) fn tokens(&mut self, own: TokenKeys) -> Result<(PendingIssuer, TokenVerifier), Error> {
        let mut issuers = std::mem::take(&mut self.issuers);
        if issuers.is_empty() {
            issuers.push(ISSUER.into());
        }
        let mut keys = std::mem::take(&mut self.keys);
        let mut audiences = std::mem::take(&mut self.audiences);
        if audiences.is_empty() {
            audiences.extend(issuers.first().cloned());
        }
        let issuer = match self.signing_key.take() {
            Some(key) => TokenIssuer::new(&issuers[0], key).into(),
            None => {
                keys.extend(own.former);
                own.issuer
            }
        };
        Ok((issuer, TokenVerifier { issuers, keys, api_audiences: audiences }))
    }

    /// PEM of all authorities whose certificates the listener verifies. What each of them may say is the API server's to
    /// tell apart, once there are several.
    pub(crate) fn authorities(&mut self, own: &CertificateAuthority) -> Result<String, Error> {
        let clients = format!("{}{}", own.certificate_pem(), self.client_ca);
        let Some(proxies) = &self.access.front_proxy else { return Ok(clients) };
        self.access.client_authorities = certificates(&clients)?;
        Ok(format!("{clients}{}", proxies.authorities_pem))
    }
}

/// The certificates of a PEM text, as DER.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Error> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.map_err(|e| Error(format!("bad PEM: {e}")))?;
    if all.is_empty() {
        return Err(Error("no certificate in the PEM".into()));
    }
    Ok(all.iter().map(|der| der.as_ref().to_vec()).collect())
}
