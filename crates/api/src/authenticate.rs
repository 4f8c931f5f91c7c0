//! Who are you? In-process identity, bearer token, client certificate, or nobody.

use crate::call::Call;
use crate::{Api, Peer, failure, in_process, stored};
use access::UserInfo;
use access::bootstrap_tokens::BootstrapToken;
use access::tokens::{self, VerifiedToken};
use object::{ApiError, Result, Value};
use std::collections::HashMap;

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
    let header = call.header("authorization").trim();
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, t)| t.trim());
    if let Some(token) = token.filter(|t| !t.is_empty()) {
        let user = token_user(api, token, &[], call.now).await?;
        return user.map(|(user, _)| user.authenticated()).map_err(|_| ApiError::Unauthorized);
    }
    if let Some(der) = &peer.certificate {
        let user = access::certificates::user_from_certificate(der).ok().flatten();
        return user.map(UserInfo::authenticated).ok_or(ApiError::Unauthorized);
    }
    Ok(UserInfo::anonymous())
}

/// The user behind a bearer token and the audiences it is good for; `Err` says why it is good for nothing here.
pub(crate) async fn token_user(
    api: &Api,
    token: &str,
    audiences: &[String],
    now: jiff::Timestamp,
) -> Result<std::result::Result<(UserInfo, Vec<String>), String>> {
    if let Some(user) = api.config.static_tokens.user(token) {
        return Ok(Ok((user.clone(), audiences.to_vec())));
    }
    if let Some(found) = bootstrap_user(api, token, now).await? {
        return Ok(Ok((found, audiences.to_vec())));
    }
    let verified = match api.config.verifier.verify(token, audiences, now.as_second()) {
        Ok(Some(verified)) => verified,
        Ok(None) => return Ok(Err("invalid bearer token".into())),
        Err(error) => return Ok(Err(format!("invalid bearer token, {}", error.0))),
    };
    let objects = bound_objects(api, &verified).await?;
    let mut lookup =
        |resource: &str, namespace: &str, name: &str| objects.get(&key(resource, namespace, name)).cloned();
    Ok(match tokens::check_bound(&verified, token, &mut lookup, now.as_second()) {
        Ok(()) => Ok((verified.user(), verified.audiences)),
        Err(error) => Err(format!("invalid bearer token, {}", error.0)),
    })
}

async fn bootstrap_user(api: &Api, token: &str, now: jiff::Timestamp) -> Result<Option<UserInfo>> {
    let Some(parsed) = BootstrapToken::parse(token) else { return Ok(None) };
    let secret = get(api, &key("secrets", "kube-system", &parsed.secret_name())).await?;
    Ok(secret.and_then(|s| parsed.user(&s, now.as_second())))
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

/// What a token stands and falls with, by store key.
async fn bound_objects(api: &Api, verified: &VerifiedToken) -> Result<HashMap<String, Value>> {
    let claims = &verified.claims;
    let namespace = claims.namespace.as_str();
    let mut keys = vec![key("serviceaccounts", namespace, &claims.service_account.name)];
    keys.extend(claims.secret.as_ref().map(|s| key("secrets", namespace, &s.name)));
    keys.extend(claims.pod.as_ref().map(|p| key("pods", namespace, &p.name)));
    keys.extend(claims.node.as_ref().map(|n| key("nodes", "", &n.name)));
    let mut objects = HashMap::new();
    for key in keys {
        if let Some(object) = get(api, &key).await? {
            objects.insert(key, object);
        }
    }
    Ok(objects)
}
