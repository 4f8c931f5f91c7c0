//! Key pairs: made, read from and written as PEM, used to sign certificates and tokens.

use crate::{der, rsa_keys};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;

/// Why a key, certificate or request could not be read, made or used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoError(pub String);

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CryptoError {}

pub(crate) fn error(text: impl Into<String>) -> CryptoError {
    CryptoError(text.into())
}

/// A private key: ECDSA P-256 (for certificates) or RSA (for tokens); others may bring either for both.
pub struct PrivateKey {
    pkcs8: Vec<u8>,
    pair: Pair,
}

enum Pair {
    /// For certificates (ASN.1 signatures) and for tokens (fixed width).
    P256(Box<(EcdsaKeyPair, EcdsaKeyPair)>),
    Rsa(Box<rsa::KeyPair>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

impl PrivateKey {
    /// A new ECDSA P-256 key.
    pub fn generate() -> Result<Self, CryptoError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        Self::from_pkcs8(made.map_err(|_| error("no randomness to make a key"))?.as_ref().to_vec())
    }

    /// A new RSA key of 2048 bits, as Kubernetes' own tools make for service accounts. Slow: see [`rsa_keys`].
    pub fn generate_rsa() -> Result<Self, CryptoError> {
        Self::from_pkcs8(rsa_keys::generate()?)
    }

    /// Reads the first private key of a PEM text: PKCS#8, SEC1 (`EC PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`).
    pub fn from_pem(pem: &str) -> Result<Self, CryptoError> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| error(format!("no private key: {e}")))?;
        let version = der::unsigned(&[0]);
        let wrap = |algorithm: &[&[u8]], key: &[u8]| {
            der::sequence(&[&version, &der::sequence(algorithm), &der::octet_string(key)])
        };
        Self::from_pkcs8(match &key {
            PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der().to_vec(),
            PrivateKeyDer::Sec1(key) => wrap(
                &[&der::oid(der::OID_EC_PUBLIC_KEY), &der::oid(der::OID_PRIME256V1)],
                key.secret_sec1_der(),
            ),
            PrivateKeyDer::Pkcs1(key) => {
                wrap(&[&der::oid(der::OID_RSA_ENCRYPTION), &der::null()], key.secret_pkcs1_der())
            }
            _ => return Err(error("private key of an unknown form")),
        })
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, CryptoError> {
        let random = SystemRandom::new();
        let pair = match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8, &random) {
            Ok(pair) => {
                let fixed = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random)
                    .map_err(|e| error(format!("cannot use the key: {e}")))?;
                Pair::P256(Box::new((pair, fixed)))
            }
            Err(_) => match rsa::KeyPair::from_pkcs8(&pkcs8) {
                Ok(pair) => Pair::Rsa(Box::new(pair)),
                Err(e) => return Err(error(format!("private key is neither ECDSA P-256 nor RSA: {e}"))),
            },
        };
        Ok(Self { pkcs8, pair })
    }

    /// The key as PKCS#8 PEM.
    pub fn to_pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    /// The key as PKCS#8 DER.
    pub fn to_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half as `SubjectPublicKeyInfo` DER.
    pub fn public_key_info(&self) -> Vec<u8> {
        match &self.pair {
            Pair::P256(pair) => p256_public_key_info(pair.0.public_key().as_ref()),
            Pair::Rsa(pair) => {
                let algorithm = der::sequence(&[&der::oid(der::OID_RSA_ENCRYPTION), &der::null()]);
                der::sequence(&[&algorithm, &der::bit_string(pair.public().as_ref())])
            }
        }
    }

    /// The public half, for verification.
    pub fn public_key(&self) -> PublicKey {
        match &self.pair {
            Pair::P256(pair) => PublicKey::p256(pair.0.public_key().as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let public = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                PublicKey::rsa(public.n, public.e)
            }
        }
    }

    /// `AlgorithmIdentifier` and signature, as certificates hold them.
    pub(crate) fn sign_certificate(&self, message: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        match &self.pair {
            Pair::P256(pair) => {
                let signature =
                    pair.0.sign(&SystemRandom::new(), message).map_err(|_| error("cannot sign"))?;
                Ok((der::sequence(&[&der::oid(der::OID_ECDSA_SHA256)]), signature.as_ref().to_vec()))
            }
            Pair::Rsa(pair) => {
                let algorithm = der::sequence(&[&der::oid(der::OID_RSA_SHA256), &der::null()]);
                Ok((algorithm, rsa_sign(pair, message)?))
            }
        }
    }

    /// The algorithm of a certificate's signature, without signing.
    pub(crate) fn certificate_algorithm(&self) -> Vec<u8> {
        match &self.pair {
            Pair::P256(_) => der::sequence(&[&der::oid(der::OID_ECDSA_SHA256)]),
            Pair::Rsa(_) => der::sequence(&[&der::oid(der::OID_RSA_SHA256), &der::null()]),
        }
    }

    /// A JWT's signature (`ES256`: two numbers of fixed width; `RS256`: PKCS#1).
    pub(crate) fn sign_token(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.pair {
            Pair::P256(pair) => {
                let signature =
                    pair.1.sign(&SystemRandom::new(), message).map_err(|_| error("cannot sign"))?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => rsa_sign(pair, message),
        }
    }

    /// `ES256` or `RS256`.
    pub fn token_algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::P256(_) => "ES256",
            Pair::Rsa(_) => "RS256",
        }
    }
}

fn rsa_sign(pair: &rsa::KeyPair, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| error("cannot sign"))?;
    Ok(signature)
}

fn p256_public_key_info(point: &[u8]) -> Vec<u8> {
    let algorithm = der::sequence(&[&der::oid(der::OID_EC_PUBLIC_KEY), &der::oid(der::OID_PRIME256V1)]);
    der::sequence(&[&algorithm, &der::bit_string(point)])
}

/// A public key that verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The `kid` that tokens name it by.
    pub id: String,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PublicKey {
    /// A P-256 key of its uncompressed point; the id is Kubernetes' (SHA-256 of the `SubjectPublicKeyInfo`).
    fn p256(point: Vec<u8>) -> Self {
        let id = key_id(&p256_public_key_info(&point));
        Self { id, material: Material::P256(point) }
    }

    fn rsa(n: Vec<u8>, e: Vec<u8>) -> Self {
        let key = der::sequence(&[&der::unsigned(&n), &der::unsigned(&e)]);
        let algorithm = der::sequence(&[&der::oid(der::OID_RSA_ENCRYPTION), &der::null()]);
        let id = key_id(&der::sequence(&[&algorithm, &der::bit_string(&key)]));
        Self { id, material: Material::Rsa { n, e } }
    }

    /// Reads every public key of a PEM text: `PUBLIC KEY`, or the public half of a private key.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, CryptoError> {
        let mut keys = Vec::new();
        for info in rustls_pki_types::SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()) {
            let info = info.map_err(|e| error(format!("bad PEM: {e}")))?;
            keys.push(Self::from_public_key_info(info.as_ref())?);
        }
        if keys.is_empty() {
            keys.push(PrivateKey::from_pem(text)?.public_key());
        }
        Ok(keys)
    }

    /// Reads `SubjectPublicKeyInfo` DER.
    pub fn from_public_key_info(info: &[u8]) -> Result<Self, CryptoError> {
        use x509_parser::prelude::FromDer;
        use x509_parser::public_key::PublicKey as Parsed;
        let (_, info) =
            x509_parser::x509::SubjectPublicKeyInfo::from_der(info).map_err(|e| error(e.to_string()))?;
        match info.parsed().map_err(|e| error(e.to_string()))? {
            Parsed::RSA(key) => Ok(Self::rsa(strip(key.modulus), strip(key.exponent))),
            Parsed::EC(point) if point.data().len() == 65 => Ok(Self::p256(point.data().to_vec())),
            _ => Err(error("public key is neither ECDSA P-256 nor RSA")),
        }
    }

    /// Reads one key of a JWKS; `None` if its kind is not one we verify with.
    pub fn from_jwk(jwk: &serde_json::Value) -> Option<Self> {
        let bytes = |key: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[key].as_str()?.trim_end_matches('=')).ok();
        let point = |width: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            (x.len() == width && y.len() == width).then(|| [vec![4], x, y].concat())
        };
        let mut key = match (jwk["kty"].as_str()?, jwk["crv"].as_str()) {
            ("RSA", _) => Self::rsa(bytes("n")?, bytes("e")?),
            ("EC", Some("P-256")) => Self::p256(point(32)?),
            ("EC", Some("P-384")) => Self { id: String::new(), material: Material::P384(point(48)?) },
            _ => return None,
        };
        key.id = jwk["kid"].as_str().unwrap_or("").to_owned();
        Some(key)
    }

    /// The key as an entry of a JWKS document.
    pub fn to_jwk(&self) -> serde_json::Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let ec = |crv: &str, alg: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            serde_json::json!({"use": "sig", "kty": "EC", "kid": self.id, "crv": crv, "alg": alg, "x": text(x), "y": text(y)})
        };
        match &self.material {
            Material::P256(point) => ec("P-256", "ES256", point),
            Material::P384(point) => ec("P-384", "ES384", point),
            Material::Rsa { n, e } => serde_json::json!(
                {"use": "sig", "kty": "RSA", "kid": self.id, "alg": "RS256", "n": text(n), "e": text(e)}),
        }
    }

    /// The algorithm this key signs with by default.
    pub fn algorithm(&self) -> &'static str {
        match &self.material {
            Material::P256(_) => "ES256",
            Material::P384(_) => "ES384",
            Material::Rsa { .. } => "RS256",
        }
    }

    /// Is `signature` this key's, by the algorithm a token names?
    pub(crate) fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        use ring::signature as s;
        let ec = |algorithm, point: &[u8]| {
            s::UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
        };
        match (&self.material, algorithm) {
            (Material::P256(point), "ES256") => ec(&s::ECDSA_P256_SHA256_FIXED, point),
            (Material::P384(point), "ES384") => ec(&s::ECDSA_P384_SHA384_FIXED, point),
            (Material::Rsa { n, e }, _) => {
                let parameters = match algorithm {
                    "RS256" => &s::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &s::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &s::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &s::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &s::RSA_PSS_2048_8192_SHA384,
                    "PS512" => &s::RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                s::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn strip(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn key_id(public_key_info: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, public_key_info))
}

/// DER as PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_round_trip() {
        let key = PrivateKey::generate().unwrap();
        let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.public_key(), again.public_key());
        let public = pem("PUBLIC KEY", &key.public_key_info());
        assert_eq!(PublicKey::all_from_pem(&public).unwrap(), [key.public_key()]);
        assert_eq!(PublicKey::from_jwk(&key.public_key().to_jwk()), Some(key.public_key()));
        assert!(PrivateKey::from_pem("nonsense").is_err());
        assert!(PublicKey::all_from_pem("nonsense").is_err());
    }

    #[test]
    fn signatures() {
        let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let signature = key.sign_token(b"text").unwrap();
        assert!(key.public_key().verifies("ES256", b"text", &signature));
        assert!(!key.public_key().verifies("ES256", b"other", &signature));
        assert!(!key.public_key().verifies("RS256", b"text", &signature));
        assert!(!key.public_key().verifies("none", b"text", b""));
        assert!(!other.public_key().verifies("ES256", b"text", &signature));
    }

    #[test]
    fn rsa_keys_are_made() {
        let key = PrivateKey::generate_rsa().unwrap();
        assert_eq!(key.token_algorithm(), "RS256");
        let signature = key.sign_token(b"text").unwrap();
        assert_eq!(signature.len(), 256);
        assert!(key.public_key().verifies("RS256", b"text", &signature));
        assert!(!key.public_key().verifies("RS256", b"other", &signature));
        assert_eq!(PrivateKey::from_pem(&key.to_pem()).unwrap().public_key(), key.public_key());
    }

    #[test]
    fn keys_others_made() {
        let rsa = PrivateKey::from_pem(include_str!("../testdata/rsa.key")).unwrap();
        let public = PublicKey::all_from_pem(include_str!("../testdata/rsa.pub")).unwrap();
        assert_eq!(public, [rsa.public_key()]);
        assert_eq!(PublicKey::from_jwk(&rsa.public_key().to_jwk()), Some(rsa.public_key()));
        // The id is what `openssl pkey -pubout -outform DER | openssl dgst -sha256 -binary | base64` says.
        assert_eq!(public[0].id, "IJWRT_Q3w2vI4GppxSEosvIawd1QPe__qCX8nyLo01c");
        let signature = rsa.sign_token(b"text").unwrap();
        assert_eq!(rsa.token_algorithm(), "RS256");
        assert!(public[0].verifies("RS256", b"text", &signature));
        assert!(!public[0].verifies("RS512", b"text", &signature));
        let ec = PrivateKey::from_pem(include_str!("../testdata/ec-sec1.key")).unwrap();
        assert_eq!(ec.token_algorithm(), "ES256");
    }
}
