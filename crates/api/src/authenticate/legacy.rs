//! Tokens that are kept in secrets: the day of their last use is noted as a label of the secret, so that those that nobody
//! uses any more can be told, and who uses one that was made by itself is warned.

use crate::call::Call;
use crate::in_process::InProcess;
use access::UserInfo;
use access::tokens::{INVALID_SINCE, is_kept_in};
use access::user::{GROUP_MASTERS, USER_APISERVER};
use client::{Client, Patch};
use object::{GroupVersionResource, Value, json, meta};
use std::collections::HashMap;
use std::sync::Arc;

const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const WARNING: &str = "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens.";

/// What follows from the use of `token`, if one of the objects it was judged by is the secret that holds it. `good`: it was
/// accepted; one that was marked as invalid is noted as used all the same.
pub(super) async fn used(call: &Call, token: &str, known: &HashMap<String, Option<Value>>, good: bool) {
    let of = |prefix: &'static str| {
        let all = known.iter().filter(move |(key, _)| key.starts_with(prefix));
        all.filter_map(|(_, found)| found.as_ref())
    };
    let Some(secret) = of("/core/secrets/").find(|secret| is_kept_in(secret, token)) else { return };
    let invalid = meta::label(secret, INVALID_SINCE).is_some_and(|since| !since.is_empty());
    if !good && !invalid {
        return;
    }
    let name = &secret["metadata"]["name"];
    let lists = |account: &Value| {
        account["secrets"].as_array().is_some_and(|all| all.iter().any(|s| s["name"] == *name))
    };
    if good && of("/core/serviceaccounts/").any(lists) {
        call.warn(WARNING);
    }
    let today = object::time::format(call.now)[..10].to_owned();
    if meta::label(secret, LAST_USED) != Some(&today) {
        note(call, secret, &today).await;
    }
}

/// The request goes on whatever becomes of the note.
async fn note(call: &Call, secret: &Value, today: &str) {
    let server = UserInfo::new(USER_APISERVER, &[GROUP_MASTERS]);
    let client = Client::new(Arc::new(InProcess::new(call.api.clone(), server)), "kube-apiserver/v1.36.0");
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let patch = json!({"metadata": {"uid": meta::uid(secret), "labels": {LAST_USED: today}}});
    let (namespace, name) = (meta::namespace(secret), meta::name(secret));
    if let Err(error) = client.patch(&secrets, namespace, name, "", &Patch::Merge(patch)).await {
        tracing::warn!(namespace, name, error = %error.message(), "the use of a legacy token was not noted");
    }
}
