//! The keys of OpenID Connect providers: fetched when a token of theirs comes in, and again when one names a key that is
//! not known yet. Nothing is asked for while nobody shows a token.

use crate::{Api, Destination};
use access::PublicKey;
use access::authenticator::TokenAuthenticator;
use access::oidc::{keys_of, names_of};
use bytes::Bytes;
use client::Body;
use futures::StreamExt;
use http::{Request, header};
use object::Value;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Tokens with keys nobody knows make us ask again; not more often than this.
const PAUSE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);
/// A provider has a handful; the rest is not kept.
const MAX_KEYS: usize = 64;
/// Larger documents are refused.
const MAX_DOCUMENT: usize = 1 << 20;

/// When each provider was last asked. Held while it is being asked: those who want the same key wait for it.
pub(crate) struct Asked(Vec<Mutex<Option<Instant>>>);

impl Asked {
    pub fn new(providers: usize) -> Self {
        Self((0..providers).map(|_| Mutex::new(None)).collect())
    }
}

/// Sees to it that the key which a token names is known, if it is one of a provider's tokens.
pub(crate) async fn learn(api: &Api, token: &str) {
    if api.config.access.oidc.is_empty() {
        return;
    }
    let Some((issuer, key)) = names_of(token) else { return };
    for (index, provider) in api.config.access.oidc.iter().enumerate() {
        if provider.config.issuer_url != issuer || knows(api, index, &key) {
            continue;
        }
        let Some(asked) = api.oidc.0.get(index) else { continue };
        let mut asked = asked.lock().await;
        // Somebody else may have asked while we waited.
        if knows(api, index, &key) || asked.is_some_and(|at| at.elapsed() < PAUSE) {
            continue;
        }
        *asked = Some(Instant::now());
        match fetch(api, &issuer, provider.ca_bundle.as_deref()).await {
            Ok(keys) => {
                tracing::info!(issuer, keys = keys.len(), "fetched the keys of an OpenID provider");
                api.authenticator.rcu(|tokens| {
                    let mut tokens = TokenAuthenticator::clone(tokens);
                    if let Some((_, known)) = tokens.oidc.get_mut(index) {
                        known.clone_from(&keys);
                    }
                    tokens
                });
            }
            Err(error) => tracing::warn!(issuer, error, "cannot fetch the keys of an OpenID provider"),
        }
    }
}

fn knows(api: &Api, provider: usize, key: &str) -> bool {
    let tokens = api.authenticator.load();
    let keys = tokens.oidc.get(provider).map_or(&[][..], |(_, keys)| keys);
    if key.is_empty() { !keys.is_empty() } else { keys.iter().any(|known| known.id == key) }
}

async fn fetch(api: &Api, issuer: &str, ca_bundle: Option<&[u8]>) -> Result<Vec<PublicKey>, String> {
    let about =
        get(api, &format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')), ca_bundle)
            .await?;
    if about["issuer"] != issuer {
        return Err(format!(
            "oidc: issuer did not match the issuer returned by provider, expected {issuer:?} got {}",
            about["issuer"]
        ));
    }
    let uri = about["jwks_uri"].as_str().filter(|uri| uri.starts_with("https://"));
    let jwks = get(api, uri.ok_or("the provider names no jwks_uri with https")?, ca_bundle).await?;
    let mut keys = keys_of(&jwks);
    keys.truncate(MAX_KEYS);
    Ok(keys)
}

async fn get(api: &Api, url: &str, ca_bundle: Option<&[u8]>) -> Result<Value, String> {
    let outbound = api.outbound.get().ok_or("this server calls nobody")?;
    let ca_bundle = ca_bundle.map(<[u8]>::to_vec);
    let to = Destination { url: url.to_owned(), ca_bundle, ..Destination::default() };
    let request =
        Request::get(url).header(header::ACCEPT, "application/json").header(header::USER_AGENT, "joey");
    let request = request.body(Bytes::new()).map_err(|e| e.to_string())?;
    let exchange = async {
        let answer = outbound.forward(to, request, None).await?;
        let status = answer.status();
        let body = whole(answer.into_body()).await?;
        if status.is_success() { Ok(body) } else { Err(format!("{url}: {status}")) }
    };
    let late = || Err(format!("{url}: no answer within {} seconds", TIMEOUT.as_secs()));
    let body = tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| late())?;
    serde_json::from_slice(&body).map_err(|e| format!("{url}: {e}"))
}

/// All of an answer, if it is not too large.
async fn whole(body: Body) -> Result<Bytes, String> {
    let mut stream = match body {
        Body::Full(bytes) => return Ok(bytes),
        Body::Stream(stream) => stream,
    };
    let mut all = Vec::new();
    while let Some(part) = stream.next().await {
        all.extend_from_slice(&part.map_err(|e| e.to_string())?);
        if all.len() > MAX_DOCUMENT {
            return Err(format!("the answer is larger than {MAX_DOCUMENT} bytes"));
        }
    }
    Ok(all.into())
}
