//! Bearer tokens, from the header to the user: every kind of token we know is tried in turn.

use crate::bootstrap_tokens::BootstrapToken;
use crate::keys::PublicKey;
use crate::oidc::OidcConfig;
use crate::static_tokens::StaticTokens;
use crate::tokens::{TokenError, TokenVerifier, check_bound};
use crate::user::UserInfo;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use object::{ApiError, Result};
use serde_json::Value;

/// Finds an object by resource, namespace and name.
pub type Lookup<'a> = &'a mut dyn FnMut(&str, &str, &str) -> Option<Value>;

/// Whom a token was found to be, and for which audiences it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The user, with `system:authenticated`.
    pub user: UserInfo,
    /// Those of the audiences asked for that the token is for.
    pub audiences: Vec<String>,
    /// A service account token past the time from which its use is noted.
    pub stale: bool,
}

/// All the tokens one API server accepts.
#[derive(Clone)]
pub struct TokenAuthenticator {
    /// Tokens of a file.
    pub static_tokens: StaticTokens,
    /// Service account tokens.
    pub service_accounts: TokenVerifier,
    /// Are bootstrap tokens accepted?
    pub bootstrap_tokens: bool,
    /// External issuers and their keys.
    pub oidc: Vec<(OidcConfig, Vec<PublicKey>)>,
}

impl TokenAuthenticator {
    /// Whose token is it? `audiences`: for whom it must be, empty: for the API server. The errors are the words of
    /// those that knew the token and refused it; there are none when nobody knew it. `now`: seconds since 1970.
    pub fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        lookup: Lookup<'_>,
        now: i64,
    ) -> std::result::Result<Authenticated, Vec<String>> {
        let mut errors = Vec::new();
        let mut note = |error: TokenError| errors.push(error.0);
        if let Some(user) = self.static_tokens.user(token) {
            return self.without_audience(user.clone(), audiences).ok_or(errors);
        }
        match self.service_accounts.verify(token, audiences, now) {
            Ok(Some(mut verified)) => match check_bound(&mut verified, token, lookup, now) {
                Ok(()) => {
                    return Ok(Authenticated {
                        user: verified.user().authenticated(),
                        stale: verified.is_stale(now),
                        audiences: verified.audiences,
                    });
                }
                Err(error) => note(error),
            },
            Ok(None) => {}
            Err(error) => note(error),
        }
        if let Some(bootstrap) = BootstrapToken::parse(token).filter(|_| self.bootstrap_tokens)
            && let Some(secret) = lookup("secrets", "kube-system", &bootstrap.secret_name())
            && let Some(user) = bootstrap.user(&secret, now)
        {
            return self.without_audience(user, audiences).ok_or(errors);
        }
        for (config, keys) in &self.oidc {
            match config.authenticate(token, keys, now) {
                Ok(Some(user)) => return self.without_audience(user, audiences).ok_or(errors),
                Ok(None) => {}
                Err(error) => note(error),
            }
        }
        Err(errors)
    }

    /// Tokens that say nothing of audiences are for the API server.
    fn without_audience(&self, user: UserInfo, wanted: &[String]) -> Option<Authenticated> {
        let own = &self.service_accounts.api_audiences;
        let audiences: Vec<_> =
            own.iter().filter(|audience| wanted.is_empty() || wanted.contains(audience)).cloned().collect();
        // A server without audiences does not tell them apart.
        (own.is_empty() || !audiences.is_empty()).then(|| Authenticated {
            user: user.authenticated(),
            audiences,
            stale: false,
        })
    }
}

/// The token of an `Authorization: Bearer …` header; `None` when it has none, or an empty one.
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let mut parts = authorization.trim().splitn(3, ' ');
    parts.next().filter(|scheme| scheme.eq_ignore_ascii_case("bearer"))?;
    parts.next().filter(|token| !token.is_empty())
}

/// The token browsers put among the `Sec-WebSocket-Protocol`s, and the protocols without it.
pub fn websocket_bearer_token(protocols: &str) -> Result<Option<(String, String)>> {
    const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
    let all: Vec<&str> = protocols.split(',').map(str::trim).collect();
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        all.into_iter().partition(|protocol| protocol.starts_with(PREFIX));
    let bad = |message: &str| Err(ApiError::BadRequest(message.into()));
    match tokens.as_slice() {
        [] => Ok(None),
        [one] => {
            let decoded = BASE64_URL_SAFE_NO_PAD.decode(&one[PREFIX.len()..]).ok();
            match decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(_) if others.is_empty() => bad("missing additional subprotocol"),
                Some(token) if !token.is_empty() => Ok(Some((token, others.join(",")))),
                _ => bad("invalid base64.bearer.authorization token encoding"),
            }
        }
        _ => bad("multiple base64.bearer.authorization tokens specified"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PrivateKey;
    use crate::tokens::{Claims, ObjectRef, TokenIssuer};
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;

    const NOW: i64 = 1_795_364_879;

    #[test]
    fn headers() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("Bearer abc def", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
            ("", None),
        ] {
            assert_eq!(bearer_token(header), token, "{header}");
        }
        let protocol =
            format!("base64url.bearer.authorization.k8s.io.{}", BASE64_URL_SAFE_NO_PAD.encode("abc"));
        let found = websocket_bearer_token(&format!("v5.channel.k8s.io, {protocol}")).unwrap();
        assert_eq!(found, Some(("abc".to_owned(), "v5.channel.k8s.io".to_owned())));
        assert_eq!(websocket_bearer_token("v5.channel.k8s.io").unwrap(), None);
        assert!(websocket_bearer_token(&protocol).is_err());
        assert!(websocket_bearer_token(&format!("x,{protocol},{protocol}")).is_err());
    }

    #[test]
    fn every_kind_of_token() {
        let api = "https://kubernetes.default.svc".to_owned();
        let issuer = TokenIssuer::new(api.clone(), PrivateKey::generate().unwrap());
        let authenticator = TokenAuthenticator {
            static_tokens: StaticTokens::parse("secret,admin,uid-admin,\"system:masters\"", "f").unwrap(),
            service_accounts: TokenVerifier {
                issuers: vec![api.clone()],
                keys: vec![issuer.public_key().clone()],
                api_audiences: vec![api.clone()],
            },
            bootstrap_tokens: true,
            oidc: vec![],
        };
        let claims = Claims {
            namespace: "ns".into(),
            service_account: ObjectRef { name: "robot".into(), uid: "u".into() },
            audiences: vec![api.clone()],
            issued_at: NOW,
            expires_at: NOW + 3600,
            ..Claims::default()
        };
        let token = issuer.issue(&claims).unwrap();
        let mut lookup = |resource: &str, _: &str, name: &str| match (resource, name) {
            ("serviceaccounts", "robot") => Some(json!({"metadata": {"uid": "u"}})),
            ("secrets", "bootstrap-token-abcdef") => {
                let text = |text: &str| BASE64_STANDARD.encode(text);
                Some(json!({"type": "bootstrap.kubernetes.io/token", "data": {
                    "token-id": text("abcdef"), "token-secret": text("0123456789abcdef"),
                    "usage-bootstrap-authentication": text("true")}}))
            }
            _ => None,
        };
        let other = ["other".to_owned()];
        let wrong = format!("token audiences [\"{api}\"] is invalid for the target audiences [\"other\"]");
        for (token, audiences, result) in [
            ("secret", &[][..], Ok("admin")),
            ("secret", &other, Err(vec![])),
            (&token, &[], Ok("system:serviceaccount:ns:robot")),
            (&token, &other, Err(vec![wrong])),
            ("abcdef.0123456789abcdef", &[], Ok("system:bootstrap:abcdef")),
            ("abcdef.0123456789abcdeX", &[], Err(vec![])),
            ("nonsense", &[], Err(vec![])),
        ] {
            let got = authenticator.authenticate(token, audiences, &mut lookup, NOW);
            if let Ok(found) = &got {
                assert!(found.user.has_group("system:authenticated"));
                assert_eq!(found.audiences, std::slice::from_ref(&api));
            }
            assert_eq!(
                got.as_ref().map(|found| found.user.username.as_str()),
                result.as_ref().map(|name| *name),
                "{token}"
            );
        }
    }
}
