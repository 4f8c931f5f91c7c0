//! Who are you? In-process identity, bearer token, client certificate, or nobody.

use crate::call::Call;
use crate::{Api, Peer, failure, in_process, stored};
use access::UserInfo;
use access::authenticator::{self, Authenticated, TokenAuthenticator};
use object::{ApiError, Result, Value};
use std::collections::HashMap;

/// Verifying a token may ask for objects that it stands and falls with, one after the other.
const ROUNDS: usize = 4;

/// All tokens that a server with this configuration accepts.
pub(crate) fn authenticator(config: &crate::Config) -> TokenAuthenticator {
    TokenAuthenticator {
        static_tokens: config.static_tokens.clone(),
        service_accounts: config.verifier.clone(),
        bootstrap_tokens: config.access.bootstrap_tokens,
        oidc: Vec::new(),
    }
}

/// The request's user.
///
/// # Errors
/// `Unauthorized` when credentials are given and not good.
pub(crate) async fn user(api: &Api, call: &mut Call, peer: &Peer) -> Result<UserInfo> {
    if let Some(user) = &peer.user {
        return Ok(user.clone());
    }
    // The mark of in-process callers is worth nothing from outside.
    call.headers.remove(in_process::MARK);
    if let Some(token) = authenticator::bearer_token(call.header("authorization")).map(str::to_owned) {
        call.headers.remove(http::header::AUTHORIZATION);
        return known(api, &token, call.now).await;
    }
    let protocols = call.header("sec-websocket-protocol");
    if let Some((token, rest)) = authenticator::websocket_bearer_token(protocols)? {
        if let Ok(rest) = http::HeaderValue::try_from(rest) {
            call.headers.insert(http::header::SEC_WEBSOCKET_PROTOCOL, rest);
        }
        return known(api, &token, call.now).await;
    }
    if let Some(der) = &peer.certificate {
        let user = access::certificates::user_from_certificate(der).ok().flatten();
        return user.map(UserInfo::authenticated).ok_or(ApiError::Unauthorized);
    }
    Ok(UserInfo::anonymous())
}

async fn known(api: &Api, token: &str, now: jiff::Timestamp) -> Result<UserInfo> {
    let found = token_user(api, token, &[], now).await?;
    found.map(|found| found.user).map_err(|_| ApiError::Unauthorized)
}

/// The user behind a bearer token and the audiences it is good for; `Err` says why it is good for nothing here.
pub(crate) async fn token_user(
    api: &Api,
    token: &str,
    audiences: &[String],
    now: jiff::Timestamp,
) -> Result<std::result::Result<Authenticated, Vec<String>>> {
    let mut known: HashMap<String, Option<Value>> = HashMap::new();
    learn_own_key(api);
    let tokens = api.authenticator.load_full();
    let mut outcome = Err(Vec::new());
    for _ in 0..ROUNDS {
        let mut missing = Vec::new();
        let mut lookup = |resource: &str, namespace: &str, name: &str| {
            let key = key(resource, namespace, name);
            let found = known.get(&key).cloned();
            found.unwrap_or_else(|| {
                missing.push(key);
                None
            })
        };
        outcome = tokens.authenticate(token, audiences, &mut lookup, now.as_second());
        if missing.is_empty() {
            break;
        }
        for key in missing {
            let object = get(api, &key).await?;
            known.insert(key, object);
        }
    }
    Ok(outcome)
}

/// The key that signs tokens may have been made after the server was opened.
fn learn_own_key(api: &Api) {
    let Some(issuer) = api.config.issuer.ready() else { return };
    if !api.authenticator.load().service_accounts.keys.contains(issuer.public_key()) {
        api.authenticator.rcu(|tokens| {
            let mut tokens = TokenAuthenticator::clone(tokens);
            tokens.service_accounts.keys.insert(0, issuer.public_key().clone());
            tokens
        });
    }
}

fn key(resource: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        format!("/core/{resource}/{name}")
    } else {
        format!("/core/{resource}/{namespace}/{name}")
    }
}

async fn get(api: &Api, key: &str) -> Result<Option<Value>> {
    let (entry, _) = api.store().get(key).await.map_err(failure::store)?;
    Ok(entry.as_ref().and_then(stored::decode))
}
