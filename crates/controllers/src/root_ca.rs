//! Every active namespace has a ConfigMap `kube-root-ca.crt` with the certificates to verify the API server by.

use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{CONFIG_MAPS, NAMESPACES};
use client::{Cache, Change};
use futures::future::BoxFuture;
use object::{GroupVersionResource, Result};
use serde_json::{Value, json};

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as \
the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

pub(crate) struct RootCaPublisher {
    data: Value,
}

impl RootCaPublisher {
    pub(crate) fn new(pem: String) -> Self {
        Self { data: json!({"ca.crt": pem}) }
    }

    /// Only metadata of config maps is cached: tenants may keep much data in theirs.
    fn decide(&self, namespace: &str, published: Option<Value>) -> Option<Action> {
        let Some(mut published) = published else {
            let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": self.data,
                "metadata": {"name": NAME, "namespace": namespace, "annotations": {"kubernetes.io/description": DESCRIPTION}}});
            return Some(Action::create(&CONFIG_MAPS, wanted));
        };
        let described =
            object::meta::annotation(&published, "kubernetes.io/description") == Some(DESCRIPTION);
        if published["data"] == self.data && described {
            return None;
        }
        published["data"] = self.data.clone();
        object::meta::set_annotation(&mut published, "kubernetes.io/description", DESCRIPTION);
        Some(Action::update(&CONFIG_MAPS, published))
    }
}

impl Controller for RootCaPublisher {
    fn name(&self) -> &'static str {
        "root-ca-certificate-publisher-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&NAMESPACES]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&CONFIG_MAPS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&NAMESPACES) && change.old.is_none() {
            add(Key::new("", &entry.name));
        } else if change.is(&CONFIG_MAPS) && &*entry.name == NAME {
            add(Key::new("", &entry.namespace));
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let active =
                shell.cache.entry(&NAMESPACES, "", &key.name).is_some_and(|namespace| !namespace.deleting);
            if !active {
                return Ok(Plan::nothing());
            }
            let published = match shell.cache.entry(&CONFIG_MAPS, &key.name, NAME) {
                Some(_) => shell.client.find(&CONFIG_MAPS, &key.name, NAME).await?,
                None => None,
            };
            Ok(Plan::of(self.decide(&key.name, published).into_iter().collect()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Verb;

    #[test]
    fn what_was_tampered_with_is_put_right() {
        let publisher = RootCaPublisher::new("PEM".into());
        let Some(Action { verb: Verb::Create(made), .. }) = publisher.decide("a", None) else { panic!() };
        assert_eq!(made["data"]["ca.crt"], "PEM");
        assert!(publisher.decide("a", Some(made.clone())).is_none());
        let mut changed = made;
        changed["data"]["ca.crt"] = "other".into();
        assert!(matches!(publisher.decide("a", Some(changed)), Some(Action { verb: Verb::Update(..), .. })));
    }
}
