//! What a service account token says, and signing it.

use super::jwt;
use crate::keys::{CryptoError, PrivateKey, PublicKey};
use crate::user::service_account_username;
use serde_json::{Value, json};

/// The issuer of tokens kept in Secrets.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// Name and uid of an object a token speaks of. An empty uid: the object was not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

impl ObjectRef {
    /// The reference to an object.
    pub fn of(object: &Value) -> Self {
        Self { name: object::meta::name(object).into(), uid: object::meta::uid(object).into() }
    }

    fn read(json: &Value) -> Option<Self> {
        let text = |key: &str| json[key].as_str().unwrap_or("").to_owned();
        json.is_object().then(|| Self { name: text("name"), uid: text("uid") })
    }

    fn to_json(&self) -> Value {
        let mut json = json!({"name": self.name});
        if !self.uid.is_empty() {
            json["uid"] = self.uid.as_str().into();
        }
        json
    }
}

/// The claims of a service account token. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Namespace of the account and what the token is bound to.
    pub namespace: String,
    /// The account.
    pub service_account: ObjectRef,
    /// The pod it is bound to.
    pub pod: Option<ObjectRef>,
    /// The Secret it is bound to.
    pub secret: Option<ObjectRef>,
    /// The node of the pod, or the node it is bound to.
    pub node: Option<ObjectRef>,
    /// For whom; never empty.
    pub audiences: Vec<String>,
    /// `iat` and `nbf`.
    pub issued_at: i64,
    /// `exp`.
    pub expires_at: i64,
    /// From then on using the token is noted as stale.
    pub warn_after: Option<i64>,
    /// `jti`: a uuid.
    pub id: String,
}

impl Claims {
    /// All but the issuer, as the token holds them.
    fn to_json(&self, issuer: &str) -> Value {
        let mut kubernetes =
            json!({"namespace": self.namespace, "serviceaccount": self.service_account.to_json()});
        for (key, reference) in [("pod", &self.pod), ("secret", &self.secret), ("node", &self.node)] {
            if let Some(reference) = reference {
                kubernetes[key] = reference.to_json();
            }
        }
        if let Some(time) = self.warn_after {
            kubernetes["warnafter"] = time.into();
        }
        json!({
            "aud": self.audiences, "exp": self.expires_at, "iat": self.issued_at, "iss": issuer, "jti": self.id,
            "kubernetes.io": kubernetes, "nbf": self.issued_at,
            "sub": service_account_username(&self.namespace, &self.service_account.name),
        })
    }

    /// Reads claims; `None` when they are not a service account's.
    pub(super) fn from_json(claims: &Value) -> Option<Self> {
        let kubernetes = &claims["kubernetes.io"];
        Some(Self {
            namespace: kubernetes["namespace"].as_str()?.to_owned(),
            service_account: ObjectRef::read(&kubernetes["serviceaccount"])?,
            pod: ObjectRef::read(&kubernetes["pod"]),
            secret: ObjectRef::read(&kubernetes["secret"]),
            node: ObjectRef::read(&kubernetes["node"]),
            audiences: jwt::audiences(claims),
            issued_at: claims["iat"].as_i64().unwrap_or(0),
            expires_at: claims["exp"].as_i64().unwrap_or(i64::MAX),
            warn_after: kubernetes["warnafter"].as_i64().filter(|time| *time != 0),
            id: claims["jti"].as_str().unwrap_or("").to_owned(),
        })
    }
}

/// Signs tokens in the name of one issuer.
#[derive(Debug)]
pub struct TokenIssuer {
    issuer: String,
    key: PrivateKey,
    public: PublicKey,
}

impl TokenIssuer {
    /// An issuer, by its URL.
    pub fn new(issuer: impl Into<String>, key: PrivateKey) -> Self {
        Self { issuer: issuer.into(), public: key.public_key(), key }
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key that verifies this issuer's tokens.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// A token of these claims.
    pub fn issue(&self, claims: &Claims) -> Result<String, CryptoError> {
        jwt::sign(&self.key, &self.public.id, &claims.to_json(&self.issuer))
    }

    /// A token that says just this.
    pub fn sign(&self, claims: &Value) -> Result<String, CryptoError> {
        jwt::sign(&self.key, &self.public.id, claims)
    }

    /// A token without expiry, to be kept in a Secret.
    pub fn issue_legacy(
        &self,
        namespace: &str,
        service_account: &ObjectRef,
        secret: &str,
    ) -> Result<String, CryptoError> {
        jwt::sign(&self.key, &self.public.id, &legacy_claims(namespace, service_account, secret))
    }
}

/// The claims of a token that is kept in the Secret `secret`.
pub fn legacy_claims(namespace: &str, service_account: &ObjectRef, secret: &str) -> Value {
    json!({
        "iss": LEGACY_ISSUER,
        "sub": service_account_username(namespace, &service_account.name),
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": service_account.name,
        "kubernetes.io/serviceaccount/service-account.uid": service_account.uid,
    })
}
