//! Who are you? In-process identity, bearer token, client certificate, or nobody.

mod legacy;

use crate::call::Call;
use crate::{Api, Peer, failure, in_process, stored};
use access::UserInfo;
use access::authenticator::{self, Authenticated, TokenAuthenticator};
use access::certificates::{user_from_certificate, verify_client_certificate};
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
        oidc: config.access.oidc.iter().map(|provider| (provider.config.clone(), Vec::new())).collect(),
    }
}

/// The request's user. Doors are tried in Kubernetes' order: proxy in front, client certificate, token; one that is
/// refused does not keep the next from being tried.
///
/// # Errors
/// `Unauthorized` when credentials are given and none is good, or none are given and nobody may come without.
pub(crate) async fn user(api: &Api, call: &mut Call, peer: &Peer) -> Result<UserInfo> {
    if let Some(user) = &peer.user {
        return Ok(user.clone());
    }
    // The mark of in-process callers is worth nothing from outside.
    call.headers.remove(in_process::MARK);
    let proxied = by_front_proxy(api, call, peer);
    let certified = by_certificate(api, call, peer);
    let token = bearer_token(call);
    call.headers.remove(http::header::AUTHORIZATION);
    let token = token?;
    for found in [proxied, certified] {
        if let Door::Open(user) = found {
            return Ok(user);
        }
    }
    if let Some(token) = token {
        let found = token_user(call, &token, &[]).await?;
        return found.map(|found| found.user).map_err(|_| ApiError::Unauthorized);
    }
    if peer.certificate.is_some() || !api.config.access.anonymous {
        return Err(ApiError::Unauthorized);
    }
    Ok(UserInfo::anonymous())
}

enum Door {
    Open(UserInfo),
    Closed,
}

/// The user that a trusted proxy names. Its headers go no further, whoever sent them.
fn by_front_proxy(api: &Api, call: &mut Call, peer: &Peer) -> Door {
    let Some(trusted) = &api.config.access.front_proxy else { return Door::Closed };
    let named = call.headers.clone();
    let ours: Vec<_> = named.keys().filter(|name| trusted.headers.is_ours(name.as_str())).cloned().collect();
    for name in ours {
        call.headers.remove(name);
    }
    let Some(proxy) = verified(call, peer, &trusted.authorities) else { return Door::Closed };
    let headers: Vec<_> =
        named.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    trusted.headers.user(&proxy.username, headers.iter().copied()).map_or(Door::Closed, Door::Open)
}

/// The user of the client certificate.
fn by_certificate(api: &Api, call: &Call, peer: &Peer) -> Door {
    let user = verified(call, peer, &api.config.access.client_authorities);
    user.map_or(Door::Closed, |user| Door::Open(user.authenticated()))
}

/// Whom the certificate names, if one of the authorities signed it. No authorities: the listener has looked already.
fn verified(call: &Call, peer: &Peer, authorities: &[Vec<u8>]) -> Option<UserInfo> {
    let certificate = peer.certificate.as_ref()?;
    let now = call.now.as_second();
    if !authorities.is_empty() {
        let authorities: Vec<&[u8]> = authorities.iter().map(Vec::as_slice).collect();
        let intermediates: Vec<&[u8]> = peer.intermediates.iter().map(AsRef::as_ref).collect();
        verify_client_certificate(certificate, &intermediates, &authorities, now).ok()?;
    }
    user_from_certificate(certificate, Some(now)).ok().flatten()
}

/// The token of the header, or the one that browsers put among the WebSocket protocols.
fn bearer_token(call: &mut Call) -> Result<Option<String>> {
    if let Some(token) = authenticator::bearer_token(call.header("authorization")) {
        return Ok(Some(token.to_owned()));
    }
    let protocols = call.header("sec-websocket-protocol");
    let Some((token, rest)) = authenticator::websocket_bearer_token(protocols)? else { return Ok(None) };
    if let Ok(rest) = http::HeaderValue::try_from(rest) {
        call.headers.insert(http::header::SEC_WEBSOCKET_PROTOCOL, rest);
    }
    Ok(Some(token))
}

/// The user behind a bearer token and the audiences it is good for; `Err` says why it is good for nothing here.
pub(crate) async fn token_user(
    call: &Call,
    token: &str,
    audiences: &[String],
) -> Result<std::result::Result<Authenticated, Vec<String>>> {
    let api = &call.api;
    let mut known: HashMap<String, Option<Value>> = HashMap::new();
    learn_own_key(api, token).await;
    crate::oidc::learn(api, token).await;
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
        outcome = tokens.authenticate(token, audiences, &mut lookup, call.now.as_second());
        if missing.is_empty() {
            break;
        }
        for key in missing {
            let object = get(api, &key).await?;
            known.insert(key, object);
        }
    }
    legacy::used(call, token, &known, outcome.is_ok()).await;
    Ok(outcome)
}

/// The key that signs tokens may have been made after the server was opened: here, or by another server that shares it.
async fn learn_own_key(api: &Api, token: &str) {
    let pending = &api.config.issuer;
    let issuer = match pending.ready() {
        Some(issuer) => issuer,
        None if access::oidc::names_of(token).is_some_and(|(issuer, _)| issuer == pending.url()) => {
            let Ok(issuer) = pending.get().await else { return };
            issuer
        }
        None => return,
    };
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
