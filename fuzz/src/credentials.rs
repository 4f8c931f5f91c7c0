//! What strangers show before anybody knows them: certificates, requests for them, keys and tokens.

use crate::targets::{line, text};
use access::certificates::{CertificateRequest, user_from_certificate, verify_client_certificate};
use access::static_tokens::StaticTokens;
use access::tokens::TokenVerifier;
use access::{CertificateAuthority, PrivateKey, PublicKey, authenticator, bootstrap_tokens, keys, oidc};
use std::sync::OnceLock;

const NOW: i64 = 1_700_000_000;

/// DER as it is, PEM as it is, and DER in PEM.
pub(crate) fn certificates(data: &[u8]) {
    static AUTHORITY: OnceLock<Vec<u8>> = OnceLock::new();
    let authority = AUTHORITY.get_or_init(|| {
        let made = CertificateAuthority::generate("fuzz", NOW).expect("a certificate authority");
        made.certificate_der().to_vec()
    });
    let _ = user_from_certificate(data, Some(NOW));
    assert!(verify_client_certificate(data, &[data], &[authority], NOW).is_err(), "nobody signed it");
    let _ = PublicKey::from_public_key_info(data);
    for pem in [data.to_vec(), keys::pem("CERTIFICATE REQUEST", data).into_bytes()] {
        let _ = CertificateRequest::from_pem(&pem);
    }
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY", "CERTIFICATE"] {
        let pem = keys::pem(label, data);
        let _ = (PrivateKey::from_pem(&pem), PublicKey::all_from_pem(&pem));
    }
    if let Some(text) = text(data) {
        let _ = (PrivateKey::from_pem(text), PublicKey::all_from_pem(text));
        let _ = CertificateAuthority::from_pem(text, text);
    }
}

/// A token, and on the next line the keys of its issuer; also as a file of static tokens and as headers.
pub(crate) fn tokens(data: &[u8]) {
    static VERIFIER: OnceLock<TokenVerifier> = OnceLock::new();
    let verifier = VERIFIER.get_or_init(|| TokenVerifier {
        issuers: vec!["https://kubernetes.default.svc".into()],
        keys: vec![PrivateKey::generate().expect("a key").public_key()],
        api_audiences: vec!["https://kubernetes.default.svc".into()],
    });
    let (token, set) = line(data);
    let Some(token) = text(token) else { return };
    assert!(!matches!(verifier.verify(token, &[], NOW), Ok(Some(_))), "nobody signed it");
    let _ = (oidc::names_of(token), bootstrap_tokens::BootstrapToken::parse(token));
    let _ = (authenticator::bearer_token(token), authenticator::websocket_bearer_token(token));
    let _ = access::impersonation::wanted_user([("impersonate-user", token), (token, token)].into_iter());
    if let Ok(set) = serde_json::from_slice(set) {
        oidc::keys_of(&set);
        let _ = PublicKey::from_jwk(&set);
    }
    if let Some(all) = text(data) {
        let _ = StaticTokens::parse(all, "tokens.csv");
    }
}

/// Somebody's kubeconfig, which says where a host is and who joey is there.
pub(crate) fn kubeconfig(data: &[u8]) {
    if let Some(text) = text(data) {
        let _ = hostclient::parse(text, std::path::Path::new("/nowhere"));
    }
}
