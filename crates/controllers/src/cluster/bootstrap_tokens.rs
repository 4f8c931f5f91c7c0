//! Bootstrap tokens (Secrets `bootstrap-token-…` of `kube-system`): they expire, and those meant for it sign `cluster-info`, so
//! that a machine that knows one can tell the real cluster.

use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{CONFIG_MAPS, SECRETS};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use client::{Cache, Change, ListOptions};
use futures::future::BoxFuture;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use object::{GroupVersionResource, Result, meta};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::time::Duration;

const NAMESPACE: &str = "kube-system";
const PREFIX: &str = "bootstrap-token-";
const OF_TYPE: &str = "type=bootstrap.kubernetes.io/token";
const PUBLIC: &str = "kube-public";
const CLUSTER_INFO: &str = "cluster-info";
const SIGNATURE: &str = "jws-kubeconfig-";

fn is_token(change: &Change) -> bool {
    let entry = change.entry();
    change.is(&SECRETS) && &*entry.namespace == NAMESPACE && entry.name.starts_with(PREFIX)
}

/// A field of a secret's data, as text.
fn field(secret: &Value, name: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(secret["data"][name].as_str()?).ok()?).ok()
}

/// When a token expires, seconds; an unreadable time is over.
fn expires(secret: &Value) -> Option<i64> {
    let text = field(secret, "expiration").filter(|text| !text.is_empty())?;
    Some(text.parse::<Timestamp>().map_or(0, |time| time.as_second()))
}

/// Deletes tokens that have expired.
pub(crate) struct TokenCleaner;

impl Controller for TokenCleaner {
    fn name(&self) -> &'static str {
        "token-cleaner-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    fn watches_changes(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SECRETS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if is_token(change) && change.new.is_some() {
            add(Key::new(NAMESPACE, &change.entry().name));
        }
    }

    fn starts_with(&self) -> Vec<Key> {
        vec![Key::new(NAMESPACE, "")]
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, _: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let secrets = shell.client.list_all(&SECRETS, NAMESPACE, &ListOptions::fields(OF_TYPE)).await?;
            Ok(clean(&secrets.items, shell.now()))
        })
    }
}

fn clean(secrets: &[Value], now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    for secret in secrets {
        match expires(secret).map(|end| end - now.as_second()) {
            Some(left) if left <= 0 => plan.push(Action::delete(&SECRETS, secret)),
            Some(left) => plan.requeue(Duration::from_secs(left.unsigned_abs())),
            None => {}
        }
    }
    plan
}

/// Keeps the signatures of `kube-public/cluster-info`, if there is one.
pub(crate) struct BootstrapSigner;

impl Controller for BootstrapSigner {
    fn name(&self) -> &'static str {
        "bootstrap-signer-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    fn watches_changes(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SECRETS]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&CONFIG_MAPS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        let signed = change.is(&CONFIG_MAPS)
            && change.new.is_some()
            && (&*entry.namespace, &*entry.name) == (PUBLIC, CLUSTER_INFO);
        if signed || is_token(change) {
            add(Key::new(PUBLIC, CLUSTER_INFO));
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, _: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            if shell.cache.entry(&CONFIG_MAPS, PUBLIC, CLUSTER_INFO).is_none() {
                return Ok(Plan::nothing());
            }
            let Some(info) = shell.client.find(&CONFIG_MAPS, PUBLIC, CLUSTER_INFO).await? else {
                return Ok(Plan::nothing());
            };
            let secrets = shell.client.list_all(&SECRETS, NAMESPACE, &ListOptions::fields(OF_TYPE)).await?;
            Ok(Plan::of(sign_all(&info, &secrets.items, shell.now()).into_iter().collect()))
        })
    }
}

/// What gives `cluster-info` the signatures of all tokens that may sign, and no others.
fn sign_all(info: &Value, secrets: &[Value], now: Timestamp) -> Option<Action> {
    let content = info["data"]["kubeconfig"].as_str()?;
    let tokens: BTreeMap<String, String> = secrets.iter().filter_map(|secret| token(secret, now)).collect();
    let mut next = info.clone();
    let data = meta::child_mut(&mut next, "data");
    data.retain(|key, _| key.strip_prefix(SIGNATURE).is_none_or(|id| tokens.contains_key(id)));
    for (id, secret) in &tokens {
        data.insert(format!("{SIGNATURE}{id}"), sign(content, id, secret)?.into());
    }
    (next != *info).then(|| Action::update(&CONFIG_MAPS, next))
}

/// Id and secret of a token that may sign now.
fn token(secret: &Value, now: Timestamp) -> Option<(String, String)> {
    let (id, text) = (field(secret, "token-id")?, field(secret, "token-secret")?);
    let named = meta::name(secret) == format!("{PREFIX}{id}") && !text.is_empty();
    let valid = expires(secret).is_none_or(|end| end > now.as_second());
    let signs = field(secret, "usage-bootstrap-signing").as_deref() == Some("true");
    (named && valid && signs).then_some((id, text))
}

/// A JSON web signature (RFC 7515) without the content, which everybody has.
fn sign(content: &str, id: &str, secret: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": id}).to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{header}.{}", URL_SAFE_NO_PAD.encode(content)).as_bytes());
    Some(format!("{header}..{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};
    use crate::plan::Verb;

    fn secret(id: &str, more: &[(&str, &str)]) -> Value {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("{PREFIX}{id}"), "namespace": NAMESPACE},
            "data": {"token-id": STANDARD.encode(id), "token-secret": STANDARD.encode("0123456789abcdef")}});
        for (key, value) in more {
            secret["data"][*key] = STANDARD.encode(value).into();
        }
        secret
    }

    #[test]
    fn expired_tokens_go_and_others_are_waited_for() {
        let all = [
            secret("aaaaaa", &[("expiration", "1970-01-01T00:00:05Z")]),
            secret("bbbbbb", &[("expiration", "1970-01-01T00:01:00Z")]),
            secret("cccccc", &[]),
        ];
        let plan = clean(&all, Timestamp::from_second(10).unwrap());
        assert_eq!(plan.requeue_after, Some(Duration::from_secs(50)));
        assert_eq!(shown(plan, &snapshot(vec![])), ["delete secrets bootstrap-token-aaaaaa"]);
    }

    #[test]
    fn cluster_info_has_the_signatures_of_those_who_may_sign() {
        let info = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CLUSTER_INFO, "namespace": PUBLIC},
            "data": {"kubeconfig": "x", "jws-kubeconfig-gone": "old", "other": "kept"}});
        let tokens = [secret("aaaaaa", &[("usage-bootstrap-signing", "true")]), secret("bbbbbb", &[])];
        let action = sign_all(&info, &tokens, Timestamp::UNIX_EPOCH).unwrap();
        let Verb::Update(signed, _) = action.verb else { panic!() };
        let keys: Vec<_> = signed["data"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["jws-kubeconfig-aaaaaa", "kubeconfig", "other"]);
        assert!(sign_all(&signed, &tokens, Timestamp::UNIX_EPOCH).is_none());
    }

    /// The expected signature was made with Python's hmac.
    #[test]
    fn signatures_are_detached_json_web_signatures() {
        assert_eq!(
            sign("content", "abcdef", "secret").unwrap(),
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..yAZ_jTjfjZwk8aPJg1b2r49vnOLBio6z30Xol1IOnAQ"
        );
    }
}
