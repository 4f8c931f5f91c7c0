//! Every active namespace has a `default` service account.

use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{NAMESPACES, SERVICE_ACCOUNTS};
use client::{Cache, Change};
use jiff::Timestamp;
use object::GroupVersionResource;
use serde_json::json;

pub(crate) struct ServiceAccountController;

impl Controller for ServiceAccountController {
    fn name(&self) -> &'static str {
        "serviceaccount-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&NAMESPACES]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&SERVICE_ACCOUNTS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&NAMESPACES) {
            add(Key::new("", &entry.name));
        } else if &*entry.name == "default" {
            add(Key::new("", &entry.namespace));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let active = cache.entry(&NAMESPACES, "", &key.name).is_some_and(|namespace| !namespace.deleting);
        if !active || cache.entry(&SERVICE_ACCOUNTS, &key.name, "default").is_some() {
            return Plan::nothing();
        }
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": key.name}});
        Plan::of(vec![Action::create(&SERVICE_ACCOUNTS, account)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    #[test]
    fn a_namespace_gets_its_account_once() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "a"}});
        let plan = |objects| {
            let cache = snapshot(objects);
            shown(ServiceAccountController.plan(&cache, &Key::new("", "a"), Timestamp::UNIX_EPOCH), &cache)
        };
        assert_eq!(plan(vec![namespace.clone()]), ["create serviceaccounts a/default"]);
        assert!(plan(vec![namespace.clone(), account]).is_empty());
        let mut going = namespace;
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(plan(vec![going]).is_empty());
    }
}
