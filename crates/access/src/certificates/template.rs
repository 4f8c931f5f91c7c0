//! What goes into a certificate: subject, alternative names, usages; and the certificate's own bytes.

use crate::der;
use crate::keys::{CryptoError, PrivateKey, error};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;

/// A subject: common name, organizations (in a client certificate: user and groups) and perhaps a uid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// `CN`.
    pub common_name: String,
    /// `O`, any number.
    pub organizations: Vec<String>,
    /// Kubernetes' uid attribute.
    pub uid: Option<String>,
}

impl Subject {
    /// A subject of a common name only.
    pub fn named(common_name: impl Into<String>) -> Self {
        Self { common_name: common_name.into(), ..Self::default() }
    }

    pub(super) fn to_der(&self) -> Vec<u8> {
        let part = |oid: &[u8], text: &str| der::set(&der::sequence(&[&der::oid(oid), &der::utf8(text)]));
        let mut parts: Vec<_> = self.organizations.iter().map(|o| part(der::OID_ORGANIZATION, o)).collect();
        if !self.common_name.is_empty() {
            parts.push(part(der::OID_COMMON_NAME, &self.common_name));
        }
        parts.extend(self.uid.iter().map(|uid| part(der::OID_KUBERNETES_UID, uid)));
        der::sequence(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// Subject alternative names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectAltNames {
    /// Host names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ip: Vec<IpAddr>,
    /// Mail addresses.
    pub email: Vec<String>,
    /// URIs.
    pub uri: Vec<String>,
}

impl SubjectAltNames {
    /// Sorts a list of names and addresses apart.
    pub fn hosts<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for host in hosts {
            match host.parse() {
                Ok(address) => names.ip.push(address),
                Err(_) => names.dns.push(host.to_owned()),
            }
        }
        names
    }

    /// No name at all?
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ip.is_empty() && self.email.is_empty() && self.uri.is_empty()
    }

    fn to_der(&self) -> Vec<u8> {
        let mut names = Vec::new();
        names.extend(self.dns.iter().map(|name| der::tlv(0x82, name.as_bytes())));
        names.extend(self.email.iter().map(|name| der::tlv(0x81, name.as_bytes())));
        names.extend(self.ip.iter().map(|address| match address {
            IpAddr::V4(v4) => der::tlv(0x87, &v4.octets()),
            IpAddr::V6(v6) => der::tlv(0x87, &v6.octets()),
        }));
        names.extend(self.uri.iter().map(|name| der::tlv(0x86, name.as_bytes())));
        der::sequence(&names.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// What the key may be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usages {
    bits: u16,
    extended: Vec<&'static [u8]>,
}

/// Usages of `certificates.k8s.io` that are bits of the `KeyUsage` extension.
const BITS: &[(&str, u16)] = &[
    ("signing", 0),
    ("digital signature", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("cert sign", 5),
    ("crl sign", 6),
    ("encipher only", 7),
    ("decipher only", 8),
];

/// Those that are object identifiers of the `ExtendedKeyUsage` extension.
const EXTENDED: &[(&str, &[u8])] = &[
    ("any", &[0x55, 0x1d, 0x25, 0x00]),
    ("server auth", &[0x2b, 6, 1, 5, 5, 7, 3, 1]),
    ("client auth", &[0x2b, 6, 1, 5, 5, 7, 3, 2]),
    ("code signing", &[0x2b, 6, 1, 5, 5, 7, 3, 3]),
    ("email protection", &[0x2b, 6, 1, 5, 5, 7, 3, 4]),
    ("s/mime", &[0x2b, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsec end system", &[0x2b, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsec tunnel", &[0x2b, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsec user", &[0x2b, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[0x2b, 6, 1, 5, 5, 7, 3, 8]),
    ("ocsp signing", &[0x2b, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoft sgc", &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3]),
    ("netscape sgc", &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1]),
];

impl Usages {
    /// Reads usages as `certificates.k8s.io` spells them.
    pub fn parse<'a>(usages: impl IntoIterator<Item = &'a str>) -> Result<Self, CryptoError> {
        let mut parsed = Self::default();
        for usage in usages {
            if let Some((_, bit)) = BITS.iter().find(|(name, _)| *name == usage) {
                parsed.bits |= 1 << bit;
            } else if let Some((_, oid)) = EXTENDED.iter().find(|(name, _)| *name == usage) {
                if !parsed.extended.contains(oid) {
                    parsed.extended.push(oid);
                }
            } else {
                return Err(error(format!("unrecognized usage {}", object::error::quote(usage))));
            }
        }
        Ok(parsed)
    }
}

/// All of a certificate but its signature.
pub(super) struct Template<'a> {
    /// Subject, in DER.
    pub subject: &'a [u8],
    pub alt_names: &'a SubjectAltNames,
    pub usages: &'a Usages,
    pub is_ca: bool,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// `SubjectPublicKeyInfo`, in DER.
    pub public_key_info: &'a [u8],
    pub issuer: &'a [u8],
    /// The issuer's key identifier.
    pub authority_key_id: &'a [u8],
}

/// A key identifier: the beginning of the key information's SHA-256 (RFC 7093).
pub(super) fn key_id(public_key_info: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, public_key_info).as_ref()[..20].to_vec()
}

impl Template<'_> {
    /// The certificate, signed with the issuer's key.
    pub fn sign(&self, key: &PrivateKey) -> Result<Vec<u8>, CryptoError> {
        let mut serial = [0u8; 16];
        SystemRandom::new().fill(&mut serial).map_err(|_| error("no randomness for a serial number"))?;
        serial[0] &= 0x7f;
        let tbs = der::sequence(&[
            &der::tlv(0xa0, &der::unsigned(&[2])),
            &der::unsigned(&serial),
            &key.certificate_algorithm(),
            self.issuer,
            &der::sequence(&[&der::time(self.not_before), &der::time(self.not_after)]),
            self.subject,
            self.public_key_info,
            &der::tlv(0xa3, &self.extensions()),
        ]);
        let (algorithm, signature) = key.sign_certificate(&tbs)?;
        Ok(der::sequence(&[&tbs, &algorithm, &der::bit_string(&signature)]))
    }

    fn extensions(&self) -> Vec<u8> {
        let extension = |id: u8, critical: bool, value: &[u8]| {
            let critical = if critical { der::boolean_true() } else { vec![] };
            der::sequence(&[&der::oid(&[0x55, 0x1d, id]), &critical, &der::octet_string(value)])
        };
        let mut list = Vec::new();
        if self.usages.bits != 0 {
            list.push(extension(15, true, &der::named_bits(self.usages.bits)));
        }
        if !self.usages.extended.is_empty() {
            let oids: Vec<_> = self.usages.extended.iter().map(|oid| der::oid(oid)).collect();
            list.push(extension(
                37,
                false,
                &der::sequence(&oids.iter().map(Vec::as_slice).collect::<Vec<_>>()),
            ));
        }
        let constraints = if self.is_ca { der::boolean_true() } else { vec![] };
        list.push(extension(19, true, &der::sequence(&[&constraints])));
        if self.is_ca {
            list.push(extension(14, false, &der::octet_string(&key_id(self.public_key_info))));
        } else {
            list.push(extension(35, false, &der::sequence(&[&der::tlv(0x80, self.authority_key_id)])));
        }
        if !self.alt_names.is_empty() {
            // Clients must look at the names when there is no subject to look at.
            let critical = self.subject == der::sequence(&[]);
            list.push(extension(17, critical, &self.alt_names.to_der()));
        }
        der::sequence(&list.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}
