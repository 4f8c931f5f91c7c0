//! Sums up what a namespace uses of its quotas.

use super::quota_usage::{self, Usage};
use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES};
use client::{Cache, Change, Keep, ListOptions, Store};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use object::{GroupVersionResource, Quantity, Result, meta};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Objects that quotas may name without `count/`.
const PLAIN: [&str; 4] = ["configmaps", "secrets", "replicationcontrollers", "resourcequotas"];

/// What a charged quota is called until it is counted again: no name holds a slash.
const CHARGED: &str = "/charged";
/// A charge whose object has not come by then is taken back: the write was refused after admission.
const RECOUNT: SignedDuration = SignedDuration::from_secs(30);

/// Sums up use when something goes or limits change, and a while after admission charged something.
#[derive(Default)]
pub(crate) struct ResourceQuotaController {
    /// When charged quotas are counted again; as many as there are quotas, at most.
    due: Mutex<HashMap<Key, Timestamp>>,
}

impl ResourceQuotaController {
    /// How long a charged quota has to wait yet.
    fn wait(&self, key: &Key, now: Timestamp) -> Option<std::time::Duration> {
        if !key.name.ends_with(CHARGED) {
            return None;
        }
        let mut due = self.due.lock();
        let at = *due.entry(key.clone()).or_insert(now + RECOUNT);
        let left = std::time::Duration::try_from(at.duration_since(now)).unwrap_or_default();
        if left.is_zero() {
            due.remove(key);
            return None;
        }
        Some(left)
    }
}

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
            match limits_changed(change) {
                true => add(Key::new(&entry.namespace, &entry.name)),
                false => add(Key::new(&entry.namespace, &format!("{}{CHARGED}", entry.name))),
            }
        }
        if entry.namespace.is_empty() {
            return;
        }
        let quotas = cache.list(&RESOURCE_QUOTAS, &entry.namespace);
        if !quotas.is_empty() && gives_back(change) {
            quotas.iter().for_each(|quota| add(Key::new(&quota.namespace, &quota.name)));
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let name = key.name.strip_suffix(CHARGED).unwrap_or(&key.name);
            if let Some(wait) = self.wait(key, shell.now()) {
                let mut plan = Plan::nothing();
                plan.requeue(wait);
                return Ok(plan);
            }
            let Some(quota) = shell.cache.get(&RESOURCE_QUOTAS, &key.namespace, name) else {
                return Ok(Plan::nothing());
            };
            let mut usage = used(&shell.cache, &quota, shell.now());
            for name in quota["spec"]["hard"].as_object().into_iter().flatten().map(|(name, _)| name) {
                if let Some(store) = counted(&shell.cache, &quota, name)
                    && !usage.contains_key(name)
                {
                    let count = count(shell, &store, &key.namespace).await?;
                    usage.insert(name.clone(), Quantity::from_int(count as i64));
                }
            }
            Ok(decide(&quota, &usage))
        })
    }
}

/// Admission writes the status too, with what it is about to let in: counting then would take that off again.
fn limits_changed(change: &Change) -> bool {
    let hard = |entry: &Option<Arc<client::Entry>>| {
        entry.as_ref().and_then(|entry| entry.value()).map(|quota| quota["spec"]["hard"].clone())
    };
    hard(&change.old) != hard(&change.new)
}

/// What comes was charged by admission; only what goes, or ends, or changes what it takes, needs a new count.
fn gives_back(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return change.new.is_none() };
    if change.is(&PODS) {
        let over = crate::common::pods::has_finished;
        return over(new) && !over(old);
    }
    change.is(&SERVICES) || change.is(&PERSISTENT_VOLUME_CLAIMS)
}

/// How many objects there are: from the cache, where it has all.
async fn count(shell: &Shell, store: &Store, namespace: &str) -> Result<usize> {
    if store.keeps(Keep::Metadata) && store.has_synced() {
        return Ok(store.list(namespace).len());
    }
    Ok(shell.client.list_all(store.gvr(), namespace, &ListOptions::default()).await?.items.len())
}

/// Writes what is used of what is limited.
fn decide(quota: &Value, usage: &Usage) -> Plan {
    let hard = quota["spec"]["hard"].as_object().cloned().unwrap_or_default();
    let shown = |name: &String| usage.get(name).map_or("0".to_owned(), ToString::to_string).into();
    let used: Map<String, Value> = hard.keys().map(|name| (name.clone(), shown(name))).collect();
    let status = json!({"hard": hard, "used": used});
    if status == quota["status"] || meta::deletion_timestamp(quota).is_some() {
        return Plan::nothing();
    }
    let mut next = quota.clone();
    next["status"] = status;
    Plan::of(vec![Action::update_status(&RESOURCE_QUOTAS, next)])
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
    for claim in cache.values(&PERSISTENT_VOLUME_CLAIMS, namespace) {
        if quota_usage::scopes_match_claim(quota, &claim) {
            quota_usage::sum(&mut total, &quota_usage::of_claim(&claim));
        }
    }
    if quota_usage::has_scopes(quota) {
        return total;
    }
    for service in cache.values(&SERVICES, namespace) {
        quota_usage::sum(&mut total, &quota_usage::of_service(&service));
    }
    total
}

/// The resource that `count/resource.group` names; `None` for other names.
fn counted(cache: &Cache, quota: &Value, name: &str) -> Option<Arc<Store>> {
    if quota_usage::has_scopes(quota) {
        return None;
    }
    let wanted = match name.strip_prefix("count/") {
        Some(wanted) => wanted,
        None => PLAIN.into_iter().find(|plain| *plain == name)?,
    };
    let (resource, group) = wanted.split_once('.').unwrap_or((wanted, ""));
    cache.stores().into_iter().find(|store| store.gvr().resource == resource && store.gvr().group == group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    #[test]
    fn a_charge_by_admission_is_left_alone() {
        let quota = |used: &str| {
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "a"},
                "spec": {"hard": {"pods": "5"}}, "status": {"hard": {"pods": "5"}, "used": {"pods": used}}})
        };
        let pod = |phase: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"}, "status": {"phase": phase}});
        let cache = |object: Value| snapshot(vec![quota("0"), object]);
        let keys =
            |old: Option<&Cache>, new: Option<&Cache>, gvr: &'static GroupVersionResource, name: &str| {
                let entry = |cache: Option<&Cache>| cache.and_then(|cache| cache.entry(gvr, "a", name));
                let change = Change { gvr: Arc::new(gvr.clone()), old: entry(old), new: entry(new) };
                let mut keys = vec![];
                let controller = ResourceQuotaController::default();
                controller.keys(&cache(pod("Running")), &change, &mut |key| keys.push(key.name.to_string()));
                keys
            };
        let (free, charged) = (snapshot(vec![quota("0")]), snapshot(vec![quota("1")]));
        assert_eq!(keys(None, Some(&free), &RESOURCE_QUOTAS, "q"), ["q"]);
        assert_eq!(keys(Some(&free), Some(&charged), &RESOURCE_QUOTAS, "q"), ["q/charged"]);
        let (running, over) = (cache(pod("Running")), cache(pod("Succeeded")));
        assert!(keys(None, Some(&running), &PODS, "p").is_empty());
        assert_eq!(keys(Some(&running), Some(&over), &PODS, "p"), ["q"]);
        assert_eq!(keys(Some(&running), None, &PODS, "p"), ["q"]);
        let (controller, key) = (ResourceQuotaController::default(), Key::new("a", "q/charged"));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(controller.wait(&Key::new("a", "q"), at(0)), None);
        let left: Vec<_> = [0, 20, 30, 31].map(|s| controller.wait(&key, at(s)).map(|w| w.as_secs())).into();
        assert_eq!(left, [Some(30), Some(10), None, Some(30)]);
    }

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
        let quota = cache.get(&RESOURCE_QUOTAS, "a", "q").unwrap();
        let mut usage = used(&cache, &quota, Timestamp::UNIX_EPOCH);
        assert_eq!(counted(&cache, &quota, "secrets").unwrap().list("a").len(), 1);
        usage.insert("secrets".into(), Quantity::from_int(1));
        let plan = decide(&quota, &usage);
        assert_eq!(
            shown(plan, &cache)[0],
            "update resourcequotas q/status {\"hard\":{\"count/deployments.apps\":\"9\",\"pods\":\"5\",\"requests.cpu\":\"2\",\
             \"secrets\":\"3\",\"services\":\"1\"},\"used\":{\"count/deployments.apps\":\"0\",\"pods\":\"2\",\"requests.cpu\":\"500m\",\
             \"secrets\":\"1\",\"services\":\"0\"}}"
        );
    }
}
