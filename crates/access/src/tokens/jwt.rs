//! JSON Web Tokens: three base64 parts, signed. What the claims mean is others' business.

use crate::keys::{CryptoError, PrivateKey, PublicKey};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use base64::{Engine, alphabet};
use serde_json::{Value, json};

/// Longer tokens are not looked at.
const MAX_LENGTH: usize = 64 * 1024;

/// Clocks may differ by this much, in seconds.
pub(crate) const LEEWAY: i64 = 60;

/// A token taken apart. Nothing in it is to be believed before [`Jwt::verified_by`].
pub(crate) struct Jwt<'a> {
    pub header: Value,
    pub claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Takes a token apart; `None` if it is none.
    pub fn parse(token: &'a str) -> Option<Self> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| -> Option<Value> {
            let value: Value = serde_json::from_slice(&BASE64.decode(part).ok()?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self {
            header: json(header)?,
            claims: json(claims)?,
            signed,
            signature: BASE64.decode(signature).ok()?,
        })
    }

    /// Is this a key that the token names, if it names one?
    pub fn may_be_by(&self, key: &PublicKey) -> bool {
        let named = self.header["kid"].as_str().filter(|id| !id.is_empty());
        named.is_none_or(|id| key.id.is_empty() || key.id == id)
    }

    /// Did one of the keys sign this? A token that names a key is tried with that key only.
    pub fn verified_by(&self, keys: &[PublicKey]) -> bool {
        let Some(algorithm) = self.header["alg"].as_str() else { return false };
        // Nobody but us could know what a critical extension demands, and we know none.
        if !self.header["crit"].is_null() {
            return false;
        }
        keys.iter()
            .filter(|key| self.may_be_by(key))
            .any(|key| key.verifies(algorithm, self.signed.as_bytes(), &self.signature))
    }
}

/// As Go reads base64: bits beyond the last byte may be anything.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Signs claims with a key, named by its id.
pub(crate) fn sign(key: &PrivateKey, key_id: &str, claims: &Value) -> Result<String, CryptoError> {
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let header = json!({"alg": key.token_algorithm(), "kid": key_id});
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign_token(signed.as_bytes())?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

/// When a token may not be used, by its `exp`, `nbf` and `iat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untimely {
    Expired,
    NotYet,
    FromTheFuture,
}

/// Checks the times of a token against `now` (seconds since 1970).
pub(crate) fn check_times(claims: &Value, now: i64) -> Result<(), Untimely> {
    // Numeric dates may have a fraction.
    let time = |key: &str| claims[key].as_i64().or_else(|| claims[key].as_f64().map(|time| time as i64));
    if time("nbf").is_some_and(|time| now + LEEWAY < time) {
        return Err(Untimely::NotYet);
    }
    if time("exp").is_some_and(|time| now - LEEWAY > time) {
        return Err(Untimely::Expired);
    }
    if time("iat").is_some_and(|time| now + LEEWAY < time) {
        return Err(Untimely::FromTheFuture);
    }
    Ok(())
}

/// `aud`: one text or a list.
pub(crate) fn audiences(claims: &Value) -> Vec<String> {
    match &claims["aud"] {
        Value::String(one) => vec![one.clone()],
        list => list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signer_verifies() {
        let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let public = [other.public_key(), key.public_key()];
        let token = sign(&key, &key.public_key().id, &json!({"a": 1})).unwrap();
        let jwt = Jwt::parse(&token).unwrap();
        assert_eq!(jwt.claims["a"], 1);
        assert!(jwt.verified_by(&public));
        assert!(!jwt.verified_by(&public[..1]));
        assert!(!jwt.verified_by(&[]));

        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        for forged in [
            format!("{header}.{}.{signature}", part(json!({"a": 2}))),
            format!("{}.{}.{signature}", part(json!({"alg": "none"})), part(json!({"a": 1}))),
            format!("{}.{}.", part(json!({"alg": "none"})), part(json!({"a": 1}))),
            format!(
                "{}.{}.{signature}",
                part(json!({"alg": "ES256", "kid": "other"})),
                part(json!({"a": 1}))
            ),
            format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 64])),
        ] {
            assert!(!Jwt::parse(&forged).unwrap().verified_by(&public), "{forged}");
        }
    }

    #[test]
    fn what_is_no_token() {
        for text in ["", "a", "a.b", "a.b.c", "..", "e30.e30.!", "W10.e30.", "e30.W10.", "e30.e30.e30.e30"] {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
        assert!(Jwt::parse(&"a".repeat(MAX_LENGTH + 1)).is_none());
    }

    #[test]
    fn times() {
        let claims = json!({"exp": 1000, "nbf": 500, "iat": 500});
        for (now, result) in [
            (700, Ok(())),
            (1060, Ok(())),
            (1061, Err(Untimely::Expired)),
            (440, Ok(())),
            (439, Err(Untimely::NotYet)),
        ] {
            assert_eq!(check_times(&claims, now), result, "{now}");
        }
        assert_eq!(check_times(&json!({"iat": 500.5}), 100), Err(Untimely::FromTheFuture));
        assert_eq!(check_times(&json!({}), 100), Ok(()));
    }
}
