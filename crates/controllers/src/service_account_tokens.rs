//! Secrets of type `kubernetes.io/service-account-token`: filled with a token of their service account, deleted with it.

use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{SECRETS, SERVICE_ACCOUNTS};
use access::tokens::{ObjectRef, PendingIssuer, TokenIssuer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{Cache, Change, Entry, ListOptions};
use futures::future::BoxFuture;
use object::{GroupVersionResource, Result, meta};
use serde_json::Value;

const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

pub(crate) struct TokensController {
    issuer: PendingIssuer,
    root_ca: Option<String>,
}

impl TokensController {
    pub(crate) fn new(issuer: PendingIssuer, root_ca: Option<String>) -> Self {
        Self { issuer, root_ca }
    }

    async fn issue(&self, secret: &Value, account: &Entry) -> std::result::Result<Option<Action>, String> {
        let issuer = self.issuer.get().await.map_err(|error| error.to_string())?;
        self.fill(&issuer, secret, account)
    }

    fn fill(
        &self,
        issuer: &TokenIssuer,
        secret: &Value,
        account: &Entry,
    ) -> std::result::Result<Option<Action>, String> {
        let mut next = secret.clone();
        let data = &secret["data"];
        let mut wanted = vec![("namespace", account.namespace.to_string())];
        wanted.extend(self.root_ca.clone().map(|pem| ("ca.crt", pem)));
        if data["token"].as_str().unwrap_or("").is_empty() {
            let of = ObjectRef { name: account.name.to_string(), uid: account.uid.to_string() };
            let token = issuer.issue_legacy(&account.namespace, &of, meta::name(secret));
            wanted.push(("token", token.map_err(|error| error.to_string())?));
        }
        for (key, text) in wanted {
            let encoded = STANDARD.encode(text);
            if data[key] != *encoded {
                meta::child_mut(&mut next, "data").insert(key.into(), encoded.into());
            }
        }
        meta::set_annotation(&mut next, UID, &account.uid);
        Ok((next != *secret).then(|| Action::update(&SECRETS, next)))
    }
}

impl Controller for TokensController {
    fn name(&self) -> &'static str {
        "serviceaccount-token-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SERVICE_ACCOUNTS]
    }

    fn watches_changes(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SECRETS]
    }

    fn starts_with(&self) -> Vec<Key> {
        vec![Key::new("", "")]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        // An account that only changed has the tokens it had.
        if change.is(&SECRETS) || change.old.is_none() || change.new.is_none() {
            add(Key::new(&change.entry().namespace, ""));
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let of_type = ListOptions::fields("type=kubernetes.io/service-account-token");
            let secrets = shell.client.list_all(&SECRETS, &key.namespace, &of_type).await?.items;
            let mut plan = Plan::nothing();
            for secret in secrets.iter().filter(|secret| meta::deletion_timestamp(secret).is_none()) {
                let Some(name) = meta::annotation(secret, NAME) else { continue };
                let account = shell.cache.entry(&SERVICE_ACCOUNTS, meta::namespace(secret), name);
                let uid = meta::annotation(secret, UID);
                match account.filter(|account| uid.is_none_or(|uid| uid.is_empty() || *account.uid == *uid)) {
                    Some(account) => match self.issue(secret, &account).await {
                        Ok(action) => plan.actions.extend(action),
                        Err(error) => plan.error = Some(error),
                    },
                    None => plan.push(Action::delete(&SECRETS, secret)),
                }
            }
            Ok(plan)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::snapshot;
    use crate::plan::Verb;
    use access::keys::PrivateKey;
    use serde_json::json;

    #[test]
    fn a_secret_is_filled_once() {
        let issuer = TokenIssuer::new("i", PrivateKey::generate().unwrap());
        let again = TokenIssuer::new("i", PrivateKey::generate().unwrap());
        let controller = TokensController::new(again.into(), Some("CA".into()));
        let cache = snapshot(vec![
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s", "namespace": "a"}}),
        ]);
        let account = cache.entry(&SERVICE_ACCOUNTS, "a", "s").unwrap();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t", "namespace": "a", "annotations": {NAME: "s"}}});
        let Some(Action { verb: Verb::Update(filled, _), .. }) =
            controller.fill(&issuer, &secret, &account).unwrap()
        else {
            panic!()
        };
        assert_eq!(filled["data"]["ca.crt"], STANDARD.encode("CA"));
        assert_eq!(meta::annotation(&filled, UID), Some("uid-s"));
        assert!(filled["data"]["token"].as_str().unwrap().len() > 40);
        assert!(controller.fill(&issuer, &filled, &account).unwrap().is_none());
    }
}
