//! Whose token is this? Signature, issuer, audience and time; whether what it is bound to still exists is for
//! [`check_bound`](super::check_bound), which needs the objects.

use super::claims::{Claims, LEGACY_ISSUER, ObjectRef};
use super::jwt::{self, Jwt, Untimely};
use crate::keys::PublicKey;
use crate::rbac::quote_list;
use crate::user::{
    EXTRA_CREDENTIAL_ID, EXTRA_NODE_NAME, EXTRA_NODE_UID, EXTRA_POD_NAME, EXTRA_POD_UID, UserInfo,
    service_account_username,
};
use serde_json::Value;

/// Why a token that looked like ours is refused, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError(pub String);

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenError {}

/// A token found good, as far as it can be without looking at objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// What it says.
    pub claims: Claims,
    /// Those of its audiences that were asked for.
    pub audiences: Vec<String>,
    /// A token of a Secret, which must still hold it.
    pub legacy: bool,
}

impl VerifiedToken {
    /// The service account, with what the token says of pod and node (`system:authenticated` is not added).
    pub fn user(&self) -> UserInfo {
        let claims = &self.claims;
        let account = &claims.service_account;
        let mut user = UserInfo::service_account(&claims.namespace, &account.name, &account.uid);
        let mut extra = |key: &str, value: &str| {
            user.extra.insert(key.into(), vec![value.into()]);
        };
        if !claims.id.is_empty() {
            extra(EXTRA_CREDENTIAL_ID, &format!("JTI={}", claims.id));
        }
        let pod = claims.pod.as_ref();
        for (reference, name_key, uid_key) in
            [(pod, EXTRA_POD_NAME, EXTRA_POD_UID), (claims.node.as_ref(), EXTRA_NODE_NAME, EXTRA_NODE_UID)]
        {
            if let Some(reference) = reference {
                extra(name_key, &reference.name);
                if !reference.uid.is_empty() {
                    extra(uid_key, &reference.uid);
                }
            }
        }
        user
    }

    /// Has the time come from which the token's use is noted as stale?
    pub fn is_stale(&self, now: i64) -> bool {
        self.claims.warn_after.is_some_and(|time| now > time)
    }
}

/// Verifies the tokens of a cluster's service accounts.
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    /// Issuers accepted, the current one first.
    pub issuers: Vec<String>,
    /// Keys accepted, the current one first.
    pub keys: Vec<PublicKey>,
    /// Who the API server is to its clients: what tokens are for when nobody says.
    pub api_audiences: Vec<String>,
}

impl TokenVerifier {
    /// Verifies a token for `audiences` (empty: the API server's). `Ok(None)`: it is not one of ours.
    pub fn verify(
        &self,
        token: &str,
        audiences: &[String],
        now: i64,
    ) -> Result<Option<VerifiedToken>, TokenError> {
        let Some(jwt) = Jwt::parse(token) else { return Ok(None) };
        let issuer = jwt.claims["iss"].as_str().unwrap_or("");
        let legacy = issuer == LEGACY_ISSUER;
        if !legacy && !self.issuers.iter().any(|own| own == issuer) {
            return Ok(None);
        }
        if !jwt.verified_by(&self.keys) {
            let known = self.keys.iter().any(|key| jwt.may_be_by(key));
            let why = if known {
                "go-jose/go-jose: error in cryptographic primitive"
            } else {
                "invalid signature, no keys found"
            };
            return Err(TokenError(why.into()));
        }
        let mut of_token = jwt::audiences(&jwt.claims);
        if of_token.is_empty() && legacy {
            of_token.clone_from(&self.api_audiences);
        }
        let wanted = if audiences.is_empty() { &self.api_audiences } else { audiences };
        let audiences: Vec<String> =
            wanted.iter().filter(|audience| of_token.contains(audience)).cloned().collect();
        if audiences.is_empty() {
            return Err(TokenError(format!(
                "token audiences {} is invalid for the target audiences {}",
                quote_list(of_token.iter().map(String::as_str)),
                quote_list(wanted.iter().map(String::as_str)),
            )));
        }
        let claims = if legacy {
            read_legacy(&jwt.claims)?
        } else {
            check_times(&jwt.claims, now)?;
            Claims::from_json(&jwt.claims)
                .ok_or_else(|| TokenError("service account token has no service account".into()))?
        };
        let subject = service_account_username(&claims.namespace, &claims.service_account.name);
        if jwt.claims["sub"].as_str() != Some(&subject) {
            return Err(TokenError("sub claim is not the service account's name".into()));
        }
        Ok(Some(VerifiedToken { claims, audiences, legacy }))
    }
}

fn check_times(claims: &Value, now: i64) -> Result<(), TokenError> {
    jwt::check_times(claims, now).map_err(|error| {
        TokenError(match error {
            Untimely::Expired => "service account token has expired".into(),
            Untimely::NotYet => "service account token is not valid yet".into(),
            Untimely::FromTheFuture => "service account token is issued in the future".into(),
        })
    })
}

fn read_legacy(claims: &Value) -> Result<Claims, TokenError> {
    let text = |key: &str, what: &str| {
        let found =
            claims[format!("kubernetes.io/serviceaccount/{key}")].as_str().filter(|text| !text.is_empty());
        found.map(str::to_owned).ok_or_else(|| TokenError(format!("{what} claim is missing")))
    };
    Ok(Claims {
        namespace: text("namespace", "namespace")?,
        service_account: ObjectRef {
            name: text("service-account.name", "serviceAccountName")?,
            uid: text("service-account.uid", "serviceAccountUID")?,
        },
        secret: Some(ObjectRef { name: text("secret.name", "secretName")?, uid: String::new() }),
        expires_at: i64::MAX,
        ..Claims::default()
    })
}
