//! Tokens of an external OpenID Connect provider: verified with its published keys, mapped to a user by its claims.
//!
//! Fetching the keys is the caller's.

use crate::keys::PublicKey;
use crate::tokens::TokenError;
use crate::tokens::jwt::{self, Jwt};
use crate::user::{EXTRA_CREDENTIAL_ID, UserInfo};
use object::error::quote;
use serde_json::Value;
use std::collections::BTreeMap;

/// How one issuer's tokens are understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// The issuer's URL, as in `iss`.
    pub issuer_url: String,
    /// The token must be for one of these.
    pub audiences: Vec<String>,
    /// The claim that is the user name.
    pub username_claim: String,
    /// Put before it.
    pub username_prefix: String,
    /// The claim that lists the groups; empty: none.
    pub groups_claim: String,
    /// Put before each.
    pub groups_prefix: String,
    /// The claim that is the uid; empty: none.
    pub uid_claim: String,
    /// Claims that must have these values.
    pub required_claims: BTreeMap<String, String>,
    /// Algorithms accepted; empty: `RS256`.
    pub signing_algorithms: Vec<String>,
}

impl OidcConfig {
    /// The configuration of the API server's `--oidc-…` flags, with their defaults.
    pub fn new(issuer_url: impl Into<String>, client_id: impl Into<String>) -> Self {
        let issuer_url = issuer_url.into();
        Self {
            username_claim: "sub".into(),
            username_prefix: format!("{issuer_url}#"),
            issuer_url,
            audiences: vec![client_id.into()],
            groups_claim: String::new(),
            groups_prefix: String::new(),
            uid_claim: String::new(),
            required_claims: BTreeMap::new(),
            signing_algorithms: vec![],
        }
    }

    /// Sets the user name's claim and prefix as the flags mean them: no prefix given means the issuer's URL and `#`,
    /// except for `email`; `-` means none.
    pub fn username(&mut self, claim: &str, prefix: Option<&str>) {
        self.username_claim = claim.into();
        self.username_prefix = match prefix {
            Some("-") => String::new(),
            Some(prefix) if !prefix.is_empty() => prefix.into(),
            _ if claim == "email" => String::new(),
            _ => format!("{}#", self.issuer_url),
        };
    }

    /// Whose token is it? `Ok(None)`: not this issuer's. (`system:authenticated` is not added.)
    pub fn authenticate(
        &self,
        token: &str,
        keys: &[PublicKey],
        now: i64,
    ) -> Result<Option<UserInfo>, TokenError> {
        let Some(jwt) = Jwt::parse(token) else { return Ok(None) };
        if jwt.claims["iss"].as_str() != Some(&self.issuer_url) {
            return Ok(None);
        }
        let fail = |why: String| Err(TokenError(format!("oidc: {why}")));
        let algorithm = jwt.header["alg"].as_str().unwrap_or("");
        let accepted = match self.signing_algorithms.as_slice() {
            [] => algorithm == "RS256",
            some => some.iter().any(|own| own == algorithm),
        };
        if !accepted {
            return fail(format!(
                "verify token: id token signed with unsupported algorithm, got {}",
                quote(algorithm)
            ));
        }
        if !jwt.verified_by(keys) {
            return fail("verify token: failed to verify signature".into());
        }
        let claims = &jwt.claims;
        if !jwt::audiences(claims).iter().any(|audience| self.audiences.contains(audience)) {
            return fail("verify token: the token is for no audience of ours".into());
        }
        if claims["exp"].as_f64().is_none() || jwt::check_times(claims, now).is_err() {
            return fail("verify token: token is expired or not valid yet".into());
        }
        for (claim, wanted) in &self.required_claims {
            if claims[claim].as_str() != Some(wanted) {
                return fail(format!("required claim {claim} value does not match"));
            }
        }
        match self.user(claims) {
            Ok(user) => Ok(Some(user)),
            Err(why) => fail(why),
        }
    }

    fn user(&self, claims: &Value) -> Result<UserInfo, String> {
        let text = |claim: &str, what: &str| match claims[claim].as_str() {
            Some("") | None => Err(format!("parse {what} claims {}: claim not present", quote(claim))),
            Some(text) => Ok(text.to_owned()),
        };
        let username = text(&self.username_claim, "username")?;
        // Whoever may choose an address without owning it could be anyone.
        let verified = &claims["email_verified"];
        if self.username_claim == "email" && !verified.is_null() && verified != true {
            return Err("email not verified".into());
        }
        let mut user =
            UserInfo { username: format!("{}{username}", self.username_prefix), ..UserInfo::default() };
        if !self.uid_claim.is_empty() {
            user.uid = text(&self.uid_claim, "uid")?;
        }
        user.groups = match &claims[self.groups_claim.as_str()] {
            _ if self.groups_claim.is_empty() => vec![],
            Value::Null => vec![],
            Value::String(one) => vec![format!("{}{one}", self.groups_prefix)],
            Value::Array(list) if list.iter().all(Value::is_string) => list
                .iter()
                .filter_map(Value::as_str)
                .map(|one| format!("{}{one}", self.groups_prefix))
                .collect(),
            _ => {
                return Err(format!(
                    "parse groups claim {}: not a list of strings",
                    quote(&self.groups_claim)
                ));
            }
        };
        if let Some(id) = claims["jti"].as_str().filter(|id| !id.is_empty()) {
            user.extra.insert(EXTRA_CREDENTIAL_ID.into(), vec![format!("JTI={id}")]);
        }
        Ok(user)
    }
}

/// The issuer and the key that a token names; nothing of it is verified.
pub fn names_of(token: &str) -> Option<(String, String)> {
    let jwt = Jwt::parse(token)?;
    let key = jwt.header["kid"].as_str().unwrap_or("").to_owned();
    Some((jwt.claims["iss"].as_str()?.to_owned(), key))
}

/// The keys of a JWKS document; keys of a kind we do not verify with are passed over.
pub fn keys_of(jwks: &Value) -> Vec<PublicKey> {
    let keys = jwks["keys"].as_array().into_iter().flatten();
    keys.filter(|key| key["use"].is_null() || key["use"] == "sig").filter_map(PublicKey::from_jwk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PrivateKey;
    use serde_json::json;

    const NOW: i64 = 1_795_364_879;

    #[test]
    fn users_by_claims() {
        let key = PrivateKey::generate().unwrap();
        let keys = keys_of(&crate::tokens::jwks(&[key.public_key()]));
        let mut config = OidcConfig::new("https://id.example", "kube");
        config.signing_algorithms = vec!["ES256".into()];
        config.groups_claim = "groups".into();
        config.groups_prefix = "oidc:".into();
        let good = json!({"iss": "https://id.example", "aud": ["kube"], "exp": NOW + 60, "sub": "jane", "groups": ["a", "b"],
                          "email": "j@x", "email_verified": false});
        let with = |key: &str, value: Value| {
            let mut claims = good.clone();
            claims[key] = value;
            claims
        };
        let user = |config: &OidcConfig, claims: &Value| {
            let token = jwt::sign(&key, &key.public_key().id, claims).unwrap();
            config.authenticate(&token, &keys, NOW)
        };
        assert_eq!(
            user(&config, &good),
            Ok(Some(UserInfo::new("https://id.example#jane", &["oidc:a", "oidc:b"])))
        );
        assert_eq!(user(&config, &with("iss", "https://other".into())), Ok(None));
        assert_eq!(user(&config, &with("groups", "one".into())).unwrap().unwrap().groups, ["oidc:one"]);
        for bad in [
            with("aud", "other".into()),
            with("exp", (NOW - 100).into()),
            with("exp", Value::Null),
            with("nbf", (NOW + 100).into()),
            with("sub", Value::Null),
            with("groups", json!([1])),
        ] {
            assert!(user(&config, &bad).is_err(), "{bad}");
        }
        config.required_claims.insert("hd".into(), "x".into());
        assert!(user(&config, &good).is_err());
        assert!(user(&config, &with("hd", "x".into())).is_ok());

        config.required_claims.clear();
        config.username("email", None);
        assert_eq!(user(&config, &good), Err(TokenError("oidc: email not verified".into())));
        assert_eq!(user(&config, &with("email_verified", true.into())).unwrap().unwrap().username, "j@x");
        config.signing_algorithms.clear();
        assert!(user(&config, &good).is_err());
    }

    #[test]
    fn prefixes() {
        let mut config = OidcConfig::new("https://i", "c");
        for (claim, prefix, expected) in [
            ("sub", None, "https://i#"),
            ("email", None, ""),
            ("sub", Some("-"), ""),
            ("email", Some("p:"), "p:"),
        ] {
            config.username(claim, prefix);
            assert_eq!(config.username_prefix, expected);
        }
    }
}
