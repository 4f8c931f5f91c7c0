//! Sums up what a namespace uses of its quotas.

use super::quota_usage::{self, Usage};
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, Quantity, meta};
use serde_json::{Map, Value, json};

/// Objects that quotas may name without `count/`.
const PLAIN: [&str; 4] = ["configmaps", "secrets", "replicationcontrollers", "resourcequotas"];

pub(crate) struct ResourceQuotaController;

impl Controller for ResourceQuotaController {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&RESOURCE_QUOTAS, &PODS, &SERVICES, &PERSISTENT_VOLUME_CLAIMS]
    }

    fn watches_everything(&self) -> bool {
        true
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&RESOURCE_QUOTAS) {
            add(Key::new(&entry.namespace, &entry.name));
        }
        let detailed = change.is(&PODS) || change.is(&SERVICES) || change.is(&PERSISTENT_VOLUME_CLAIMS);
        let counted = change.old.is_none() || change.new.is_none();
        if !entry.namespace.is_empty() && (detailed || counted) {
            let quotas = cache.list(&RESOURCE_QUOTAS, &entry.namespace);
            quotas.iter().for_each(|quota| add(Key::new(&quota.namespace, &quota.name)));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(quota) = cache.get(&RESOURCE_QUOTAS, &key.namespace, &key.name) else {
            return Plan::nothing();
        };
        let hard = quota["spec"]["hard"].as_object().cloned().unwrap_or_default();
        let usage = used(cache, &quota, now);
        let zero = Quantity::from_int(0);
        let mut shown = Map::new();
        for name in hard.keys() {
            let amount = usage.get(name).or_else(|| counted(cache, &quota, name).is_none().then_some(&zero));
            let text = match amount {
                Some(amount) => amount.to_string(),
                None => counted(cache, &quota, name).unwrap_or(0).to_string(),
            };
            shown.insert(name.clone(), text.into());
        }
        let status = json!({"hard": hard, "used": shown});
        if status == quota["status"] || meta::deletion_timestamp(&quota).is_some() {
            return Plan::nothing();
        }
        let mut next = (*quota).clone();
        next["status"] = status;
        Plan::of(vec![Action::update_status(&RESOURCE_QUOTAS, next)])
    }
}

/// What pods, services and claims use.
fn used(cache: &Cache, quota: &Value, now: Timestamp) -> Usage {
    let namespace = meta::namespace(quota);
    let mut total = Usage::new();
    for pod in cache.values(&PODS, namespace) {
        if quota_usage::scopes_match(quota, &pod) {
            quota_usage::sum(&mut total, &quota_usage::of_pod(&pod, now));
        }
    }
    if quota_usage::has_scopes(quota) {
        return total;
    }
    for service in cache.values(&SERVICES, namespace) {
        quota_usage::sum(&mut total, &quota_usage::of_service(&service));
    }
    for claim in cache.values(&PERSISTENT_VOLUME_CLAIMS, namespace) {
        quota_usage::sum(&mut total, &quota_usage::of_claim(&claim));
    }
    total
}

/// How many objects there are of the resource that `count/resource.group` names; `None` for other names.
fn counted(cache: &Cache, quota: &Value, name: &str) -> Option<usize> {
    if quota_usage::has_scopes(quota) {
        return None;
    }
    let wanted = match name.strip_prefix("count/") {
        Some(wanted) => wanted,
        None => PLAIN.into_iter().find(|plain| *plain == name)?,
    };
    let (resource, group) = wanted.split_once('.').unwrap_or((wanted, ""));
    let store = cache
        .stores()
        .into_iter()
        .find(|store| store.gvr().resource == resource && store.gvr().group == group)?;
    Some(store.list(meta::namespace(quota)).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    #[test]
    fn used_is_summed_up_for_what_is_limited() {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "a"},
            "spec": {"hard": {"pods": "5", "requests.cpu": "2", "secrets": "3", "services": "1", "count/deployments.apps": "9"}}});
        let pod = |name: &str| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a"},
                "spec": {"containers": [{"resources": {"requests": {"cpu": "250m"}}}]}})
        };
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "a"}});
        let cache = snapshot(vec![quota, pod("p1"), pod("p2"), secret]);
        let plan = ResourceQuotaController.plan(&cache, &Key::new("a", "q"), Timestamp::UNIX_EPOCH);
        assert_eq!(
            shown(plan, &cache)[0],
            "update resourcequotas q/status {\"hard\":{\"count/deployments.apps\":\"9\",\"pods\":\"5\",\"requests.cpu\":\"2\",\
             \"secrets\":\"3\",\"services\":\"1\"},\"used\":{\"count/deployments.apps\":\"0\",\"pods\":\"2\",\"requests.cpu\":\"500m\",\
             \"secrets\":\"1\",\"services\":\"0\"}}"
        );
    }
}
