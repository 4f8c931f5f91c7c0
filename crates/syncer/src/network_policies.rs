//! NetworkPolicies: a tenant's hold for its pods on the host, within its fence.
//!
//! Where there is a fence, each host pod is labelled with the directions in which its tenant's policies judge it: there the
//! fence's own permissions end. A policy goes to the host before pods are labelled; in between, less is let through, not more.

use crate::queue::{Key, Kind};
use crate::resources::{NETWORK_POLICIES, PODS};
use crate::syncer::Shared;
use crate::{events, objects, pods};
use object::{Result, Value, meta};
use translate::network_policy::{self, network_policy};

/// Looks at every policy whose meaning depends on the labels of namespaces.
pub(crate) fn enqueue_by_namespace(shared: &Shared) {
    for policy in shared.cache.values(&NETWORK_POLICIES, "") {
        if network_policy::selects_namespaces(&policy) {
            shared.queue.add(Key::new(Kind::NetworkPolicy, meta::namespace(&policy), meta::name(&policy)));
        }
    }
}

/// In which directions the policies of its namespace judge a pod, where the host has to know.
pub(crate) fn directions(shared: &Shared, pod: &Value) -> Option<&'static str> {
    if !shared.cluster.network.fenced {
        return None;
    }
    let policies = shared.cache.values(&NETWORK_POLICIES, meta::namespace(pod));
    network_policy::directions(policies.iter().map(|policy| &**policy), pod)
}

pub(crate) async fn sync(shared: &Shared, key: &Key) -> Result<()> {
    let (namespace, name) = (&*key.namespace, &*key.name);
    match shared.cache.get(&NETWORK_POLICIES, namespace, name) {
        Some(policy) => {
            let wanted = match network_policy(&shared.cluster, &policy, &pods::namespaces(shared)) {
                Ok(wanted) => wanted,
                // What it was before stays in force.
                Err(refusal) => return events::refused(shared, &policy, "NotCarried", &refusal.0).await,
            };
            // From now on the host tells when somebody else lays hands on it.
            shared.watched.follow(&NETWORK_POLICIES);
            shared.carried.add(key.clone());
            if let Err(error) = objects::put(shared, &NETWORK_POLICIES, &wanted, &["spec"]).await {
                events::refused(shared, &policy, "NotCarried", &error.message()).await?;
                return Err(error);
            }
        }
        None if shared.carried.holds(key) => {
            objects::delete(shared, &NETWORK_POLICIES, &shared.host_name(namespace, name)).await?;
            shared.carried.remove(key);
        }
        None => return Ok(()),
    }
    if shared.cluster.network.fenced {
        for pod in shared.cache.list(&PODS, namespace) {
            shared.queue.add(Key::new(Kind::Pod, namespace, &pod.name));
        }
    }
    Ok(())
}
