//! A token dies with what it is bound to: its account, pod, Secret or node.

use super::claims::ObjectRef;
use super::jwt::LEEWAY;
use super::verify::{TokenError, VerifiedToken};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object::{ApiError, GroupResource, meta};
use serde_json::Value;

/// The label of a Secret whose token is good for nothing any more: since which day.
pub const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

/// Checks that all a verified token is bound to still exists, has the uid it says and has not been deleted for more
/// than a minute. `lookup` gives an object by resource, namespace and name; `token` is the token itself.
///
/// A token that was made before its pod had a node learns of it here: those of pods that run on a host are made before the
/// host has chosen one.
pub fn check_bound(
    verified: &mut VerifiedToken,
    token: &str,
    lookup: &mut dyn FnMut(&str, &str, &str) -> Option<Value>,
    now: i64,
) -> Result<(), TokenError> {
    let claims = &mut verified.claims;
    let namespace = claims.namespace.as_str();
    let account = &claims.service_account;
    let found = lookup("serviceaccounts", namespace, &account.name).ok_or_else(|| {
        let resource = GroupResource::new("", "serviceaccounts");
        TokenError(ApiError::NotFound { resource, name: account.name.clone() }.message())
    })?;
    if meta::uid(&found) != account.uid {
        return Err(TokenError(format!(
            "service account UID ({}) does not match claim ({})",
            meta::uid(&found),
            account.uid
        )));
    }
    if deleted(&found, now) {
        return Err(TokenError(format!("service account {namespace}/{} has been deleted", account.name)));
    }
    if let Some(secret) = &claims.secret {
        let found = lookup("secrets", namespace, &secret.name);
        if verified.legacy {
            check_legacy_secret(found.as_ref(), token, now)?;
            check_marked(found.as_ref(), namespace, &account.name)?;
        } else {
            check_reference("secret", "secret", found.as_ref(), secret, now)?;
        }
    }
    if let Some(pod) = &claims.pod {
        let found = lookup("pods", namespace, &pod.name);
        check_reference("pod", "pod", found.as_ref(), pod, now)?;
        if claims.node.is_none() {
            claims.node = found.as_ref().and_then(|pod| node_of(pod, lookup));
        }
    } else if let Some(node) = &claims.node {
        // The node of a pod is told for information; only a token of the node's own stands and falls with it.
        check_reference("node", "node", lookup("nodes", "", &node.name).as_ref(), node, now)?;
    }
    Ok(())
}

fn node_of(pod: &Value, lookup: &mut dyn FnMut(&str, &str, &str) -> Option<Value>) -> Option<ObjectRef> {
    let name = pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())?;
    let node = lookup("nodes", "", name);
    Some(
        node.map_or_else(|| ObjectRef { name: name.into(), uid: String::new() }, |node| ObjectRef::of(&node)),
    )
}

fn invalidated() -> TokenError {
    TokenError("service account token has been invalidated".into())
}

fn check_reference(
    kind: &str,
    claim: &str,
    found: Option<&Value>,
    reference: &ObjectRef,
    now: i64,
) -> Result<(), TokenError> {
    let found = found.ok_or_else(invalidated)?;
    if meta::uid(found) != reference.uid {
        return Err(TokenError(format!(
            "{kind} UID ({}) does not match service account {claim} ref claim ({})",
            meta::uid(found),
            reference.uid
        )));
    }
    if deleted(found, now) { Err(invalidated()) } else { Ok(()) }
}

/// The Secret must still hold this very token.
fn check_legacy_secret(found: Option<&Value>, token: &str, now: i64) -> Result<(), TokenError> {
    let secret = found.filter(|secret| !deleted(secret, now)).ok_or_else(invalidated)?;
    if is_kept_in(secret, token) {
        return Ok(());
    }
    Err(TokenError("token does not match server's copy".into()))
}

/// Whether a Secret holds this very token.
pub fn is_kept_in(secret: &Value, token: &str) -> bool {
    let held = secret["data"]["token"].as_str().and_then(|data| BASE64_STANDARD.decode(data).ok());
    held.is_some_and(|held| crate::same_secret(&held, token.as_bytes()))
}

/// One that nobody used for long may have been marked, before it is deleted.
fn check_marked(secret: Option<&Value>, namespace: &str, account: &str) -> Result<(), TokenError> {
    let marked =
        secret.filter(|secret| meta::label(secret, INVALID_SINCE).is_some_and(|day| !day.is_empty()));
    marked.map_or(Ok(()), |secret| {
        Err(TokenError(format!(
            "the token in secret {namespace}/{} for service account {namespace}/{account} has been marked invalid. Use tokens \
             from the TokenRequest API or manually created secret-based tokens, or remove the '{INVALID_SINCE}' label from the \
             secret to temporarily allow use of this token",
            meta::name(secret)
        )))
    })
}

fn deleted(object: &Value, now: i64) -> bool {
    let time = meta::deletion_timestamp(object).and_then(|time| object::time::parse(time).ok());
    time.is_some_and(|time| time.as_second() < now - LEEWAY)
}
