//! Client certificates: are they ours, and whom do they name?

use crate::keys::{CryptoError, error};
use crate::user::{EXTRA_CREDENTIAL_ID, UserInfo};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Checks a client's certificate (and the intermediates it sent) against the trusted authorities. `now`: seconds
/// since 1970.
pub fn verify_client_certificate(
    certificate: &[u8],
    intermediates: &[&[u8]],
    authorities: &[&[u8]],
    now: i64,
) -> Result<(), CryptoError> {
    let trusted: Vec<_> = authorities.iter().map(|der| CertificateDer::from(*der)).collect();
    let anchors: Vec<_> =
        trusted.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let intermediates: Vec<_> = intermediates.iter().map(|der| CertificateDer::from(*der)).collect();
    let leaf = CertificateDer::from(certificate);
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    webpki::EndEntityCert::try_from(&leaf)
        .and_then(|leaf| {
            leaf.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &intermediates,
                time,
                webpki::KeyUsage::client_auth(),
                None,
                None,
            )
            .map(|_| ())
        })
        .map_err(|e| error(format!("x509: {e}")))
}

/// The user a certificate names: `CN`, groups from `O`, uid from Kubernetes' own attribute. `Ok(None)` when it has no
/// common name. Does not verify the certificate, except that it must be in force at `now`, if given: connections may
/// live longer than it.
pub fn user_from_certificate(certificate: &[u8], now: Option<i64>) -> Result<Option<UserInfo>, CryptoError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|e| error(format!("bad certificate: {e}")))?;
    let validity = parsed.validity();
    let in_force = |now| validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp();
    if now.is_some_and(|now| !in_force(now)) {
        return Err(error("x509: certificate has expired or is not yet valid"));
    }
    let subject = parsed.subject();
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or("").to_owned();
    let username = subject.iter_common_name().last().map(text).unwrap_or_default();
    if username.is_empty() {
        return Ok(None);
    }
    let mut uids = subject
        .iter_attributes()
        .filter(|value| value.attr_type().as_bytes() == crate::der::OID_KUBERNETES_UID);
    let uid = match (uids.next(), uids.next()) {
        (None, _) => String::new(),
        (Some(_), Some(_)) => return Err(error("expected 1 UID, but found multiple")),
        (Some(one), None) => {
            let uid = one.as_str().map_err(|_| error("unable to parse UID into a string"))?;
            if uid.is_empty() {
                return Err(error("UID cannot be an empty string"));
            }
            uid.to_owned()
        }
    };
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let fingerprint: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut user = UserInfo {
        username,
        uid,
        groups: subject.iter_organization().map(text).collect(),
        ..UserInfo::default()
    };
    user.extra.insert(EXTRA_CREDENTIAL_ID.into(), vec![format!("X509SHA256={fingerprint}")]);
    Ok(Some(user))
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use crate::keys::pem;

    const NOW: i64 = 1_795_364_879;
    const DAY: i64 = 24 * 3600;

    fn jane() -> Subject {
        Subject {
            common_name: "jane".into(),
            organizations: vec!["dev".into(), "ops".into()],
            uid: Some("u-1".into()),
        }
    }

    #[test]
    fn client_certificates_name_users() {
        let ca = CertificateAuthority::generate("joey", NOW).unwrap();
        let issued = ca.issue_client(&jane(), DAY, NOW).unwrap();
        let user = user_from_certificate(&issued.certificate, Some(NOW)).unwrap().unwrap();
        assert!(user_from_certificate(&issued.certificate, Some(NOW + 2 * DAY)).is_err());
        assert_eq!((user.username.as_str(), user.uid.as_str()), ("jane", "u-1"));
        assert_eq!(user.groups, ["dev", "ops"]);
        assert!(user.extra_value(EXTRA_CREDENTIAL_ID).unwrap().starts_with("X509SHA256="));
        let nameless = ca
            .issue_client(&Subject { organizations: vec!["x".into()], ..Subject::default() }, DAY, NOW)
            .unwrap();
        assert_eq!(user_from_certificate(&nameless.certificate, None).unwrap(), None);
        assert!(user_from_certificate(b"nonsense", None).is_err());
    }

    #[test]
    fn only_our_own_clients_pass() {
        let ca = CertificateAuthority::generate("joey", NOW).unwrap();
        let ca = CertificateAuthority::from_pem(&ca.certificate_pem(), &ca.key_pem()).unwrap();
        let other = CertificateAuthority::generate("joey", NOW).unwrap();
        let client = ca.issue_client(&jane(), DAY, NOW).unwrap();
        let server =
            ca.issue_server("api", &SubjectAltNames::hosts(["localhost", "10.0.0.1", "::1"]), NOW).unwrap();
        for (certificate, authority, now, good) in [
            (&client.certificate, &ca, NOW, true),
            (&client.certificate, &ca, NOW + 2 * DAY, false),
            (&client.certificate, &ca, NOW - DAY, false),
            (&client.certificate, &other, NOW, false),
            (&server.certificate, &ca, NOW, false),
        ] {
            let result = verify_client_certificate(certificate, &[], &[authority.certificate_der()], now);
            assert_eq!(result.is_ok(), good, "{result:?}");
        }
        assert!(CertificateAuthority::from_pem(&client.certificate_pem(), &client.key_pem()).is_err());
        assert!(CertificateAuthority::from_pem(&ca.certificate_pem(), &client.key_pem()).is_err());
    }

    #[test]
    fn server_names() {
        let ca = CertificateAuthority::generate("joey", NOW).unwrap();
        let names = SubjectAltNames::hosts(["localhost", "kubernetes.default.svc", "10.0.0.1", "::1"]);
        let server = ca.issue_server("api", &names, NOW).unwrap();
        let der = CertificateDer::from(server.certificate.as_slice());
        let leaf = webpki::EndEntityCert::try_from(&der).unwrap();
        for (name, good) in [
            ("localhost", true),
            ("kubernetes.default.svc", true),
            ("10.0.0.1", true),
            ("::1", true),
            ("other", false),
            ("10.0.0.2", false),
        ] {
            let name = rustls_pki_types::ServerName::try_from(name).unwrap();
            assert_eq!(leaf.verify_is_valid_for_subject_name(&name).is_ok(), good, "{name:?}");
        }
    }

    /// A request as a client would make it: written with our own writer, signed with the client's key.
    fn request(key: &crate::keys::PrivateKey, subject: &Subject) -> String {
        use crate::der;
        let names = der::sequence(&[&der::tlv(0x82, b"pod.example"), &der::tlv(0x87, &[10, 0, 0, 7])]);
        let extension = der::sequence(&[&der::oid(&[0x55, 0x1d, 17]), &der::octet_string(&names)]);
        let oid_extension_request = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
        let attribute =
            der::sequence(&[&der::oid(&oid_extension_request), &der::set(&der::sequence(&[&extension]))]);
        let info = der::sequence(&[
            &der::unsigned(&[0]),
            &subject.to_der(),
            &key.public_key_info(),
            &der::tlv(0xa0, &attribute),
        ]);
        let (algorithm, signature) = key.sign_certificate(&info).unwrap();
        pem("CERTIFICATE REQUEST", &der::sequence(&[&info, &algorithm, &der::bit_string(&signature)]))
    }

    #[test]
    fn signing_a_request() {
        let ca = CertificateAuthority::generate("joey", NOW).unwrap();
        let key = crate::keys::PrivateKey::generate().unwrap();
        let pem = request(&key, &jane());
        let read = CertificateRequest::from_pem(pem.as_bytes()).unwrap();
        assert_eq!((read.common_name.as_str(), read.organizations.len()), ("jane", 2));
        assert_eq!(read.alt_names, SubjectAltNames::hosts(["pod.example", "10.0.0.7"]));
        let usages = Usages::parse(["digital signature", "client auth"]).unwrap();
        let signed = ca.sign_request(&read, &usages, DAY, NOW).unwrap();
        let der =
            <CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(signed.as_bytes()).unwrap();
        verify_client_certificate(der.as_ref(), &[], &[ca.certificate_der()], NOW).unwrap();
        assert_eq!(user_from_certificate(der.as_ref(), None).unwrap().unwrap().groups, ["dev", "ops"]);

        assert!(Usages::parse(["client auth", "nonsense"]).is_err());
        assert!(CertificateRequest::from_pem(b"nonsense").is_err());
        assert!(CertificateRequest::from_pem(ca.certificate_pem().as_bytes()).is_err());
        assert!(ca.sign_request(&read, &usages, DAY, NOW + 100 * 365 * DAY).is_err());
    }

    #[test]
    fn a_request_must_be_signed_by_its_key() {
        let (key, thief) =
            (crate::keys::PrivateKey::generate().unwrap(), crate::keys::PrivateKey::generate().unwrap());
        let good = request(&key, &jane());
        let der = <rustls_pki_types::CertificateSigningRequestDer as rustls_pki_types::pem::PemObject>::from_pem_slice(good.as_bytes()).unwrap();
        let own = key.public_key_info();
        let at = der.as_ref().windows(own.len()).position(|window| window == own).unwrap();
        let mut forged = der.as_ref().to_vec();
        forged[at..at + own.len()].copy_from_slice(&thief.public_key_info());
        assert!(CertificateRequest::from_pem(pem("CERTIFICATE REQUEST", &forged).as_bytes()).is_err());
    }

    #[test]
    fn requests_others_made() {
        let ca = CertificateAuthority::generate("joey", NOW).unwrap();
        let read = CertificateRequest::from_pem(include_bytes!("../../testdata/rsa.csr")).unwrap();
        assert_eq!((read.common_name.as_str(), read.organizations.join(",")), ("jane", "dev,ops".to_owned()));
        let names = &read.alt_names;
        assert_eq!((names.dns.len(), names.ip.len(), names.email.len(), names.uri.len()), (1, 2, 1, 1));
        let usages = Usages::parse(["client auth"]).unwrap();
        for request in [read, CertificateRequest::from_pem(include_bytes!("../../testdata/ec.csr")).unwrap()]
        {
            let signed = ca.sign_request(&request, &usages, DAY, NOW).unwrap();
            let der = <CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(signed.as_bytes())
                .unwrap();
            verify_client_certificate(der.as_ref(), &[], &[ca.certificate_der()], NOW).unwrap();
            assert_eq!(user_from_certificate(der.as_ref(), None).unwrap().unwrap().username, "jane");
        }
    }
}
