//! Keeps claims that pods use, volumes that claims are bound to, and classes that either names, from going.

use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES};
use client::{Cache, Change, Entry};
use jiff::Timestamp;
use object::{GroupVersionResource, meta};
use serde_json::{Value, json};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";
const CLASS_FINALIZER: &str = "kubernetes.io/vac-protection";

/// Takes the finalizer off a claim that no pod uses any more.
pub(crate) struct ClaimProtection;

impl Controller for ClaimProtection {
    fn name(&self) -> &'static str {
        "persistentvolumeclaim-protection-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PERSISTENT_VOLUME_CLAIMS, &PODS]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        let entry = change.entry();
        if change.is(&PERSISTENT_VOLUME_CLAIMS) {
            return add(Key::new(&entry.namespace, &entry.name));
        }
        // Only what lets a claim go matters: a pod that is gone or over.
        let gone = change.new.is_none() || crate::common::pods::has_finished(entry);
        if gone && cache.list(&PERSISTENT_VOLUME_CLAIMS, &entry.namespace).iter().any(|claim| claim.deleting)
        {
            for claim in entry.value().iter().flat_map(|pod| claims_of(pod)) {
                add(Key::new(&entry.namespace, &claim));
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let Some(claim) = cache.entry(&PERSISTENT_VOLUME_CLAIMS, &key.namespace, &key.name) else {
            return Plan::nothing();
        };
        let in_use = || {
            cache.values(&PODS, &key.namespace).iter().any(|pod| {
                let scheduled = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
                scheduled
                    && !crate::common::pods::is_finished(pod)
                    && claims_of(pod).any(|name| *name == *key.name)
            })
        };
        protect(&PERSISTENT_VOLUME_CLAIMS, &claim, CLAIM_FINALIZER, in_use)
    }
}

/// The claims that a pod names, also those made for it.
fn claims_of(pod: &Value) -> impl Iterator<Item = String> {
    let name = meta::name(pod);
    pod["spec"]["volumes"].as_array().into_iter().flatten().filter_map(move |volume| {
        match volume["persistentVolumeClaim"]["claimName"].as_str() {
            Some(claim) => Some(claim.to_owned()),
            None if volume["ephemeral"].is_object() => Some(format!("{name}-{}", volume["name"].as_str()?)),
            None => None,
        }
    })
}

/// Takes the finalizer off a volume that is not bound.
pub(crate) struct VolumeProtection;

impl Controller for VolumeProtection {
    fn name(&self) -> &'static str {
        "persistentvolume-protection-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PERSISTENT_VOLUMES]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        add(Key::new("", &change.entry().name));
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let Some(volume) = cache.entry(&PERSISTENT_VOLUMES, "", &key.name) else { return Plan::nothing() };
        let bound = || volume.value().is_some_and(|volume| volume["status"]["phase"] == "Bound");
        protect(&PERSISTENT_VOLUMES, &volume, VOLUME_FINALIZER, bound)
    }
}

/// Takes the finalizer off a VolumeAttributesClass that no claim and no volume names.
pub(crate) struct AttributesClassProtection;

impl Controller for AttributesClassProtection {
    fn name(&self) -> &'static str {
        "volumeattributesclass-protection-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&VOLUME_ATTRIBUTES_CLASSES, &PERSISTENT_VOLUME_CLAIMS, &PERSISTENT_VOLUMES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&VOLUME_ATTRIBUTES_CLASSES) {
            return add(Key::new("", &change.entry().name));
        }
        // Whatever claim or volume changed may have been the last to name a class.
        let classes = cache.list(&VOLUME_ATTRIBUTES_CLASSES, "");
        classes.iter().filter(|class| class.deleting).for_each(|class| add(Key::new("", &class.name)));
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let Some(class) = cache.entry(&VOLUME_ATTRIBUTES_CLASSES, "", &key.name) else {
            return Plan::nothing();
        };
        let names = |value: &Value| value.as_str() == Some(&*key.name);
        let in_use = || {
            let by_volume = |volume: &Value| names(&volume["spec"]["volumeAttributesClassName"]);
            let by_claim = |claim: &Value| {
                let status = &claim["status"];
                names(&claim["spec"]["volumeAttributesClassName"])
                    || names(&status["currentVolumeAttributesClassName"])
                    || names(&status["modifyVolumeStatus"]["targetVolumeAttributesClassName"])
            };
            cache.values(&PERSISTENT_VOLUME_CLAIMS, "").iter().any(|claim| by_claim(claim))
                || cache.values(&PERSISTENT_VOLUMES, "").iter().any(|volume| by_volume(volume))
        };
        protect(&VOLUME_ATTRIBUTES_CLASSES, &class, CLASS_FINALIZER, in_use)
    }
}

fn protect(gvr: &GroupVersionResource, entry: &Entry, finalizer: &str, in_use: impl Fn() -> bool) -> Plan {
    let has = entry.has_finalizer(finalizer);
    let mut finalizers: Vec<&str> = entry.finalizers.iter().map(|f| &**f).collect();
    if entry.deleting && has && !in_use() {
        finalizers.retain(|known| *known != finalizer);
    } else if !entry.deleting && !has {
        finalizers.push(finalizer);
    } else {
        return Plan::nothing();
    }
    let named = json!({"metadata": {"namespace": entry.namespace, "name": entry.name}});
    let patch = json!({"metadata": {"uid": entry.uid, "resourceVersion": entry.version.to_string(), "finalizers": finalizers}});
    Plan::of(vec![Action::merge(gvr, &named, patch)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    #[test]
    fn a_claim_goes_when_no_pod_uses_it() {
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "a",
            "finalizers": [CLAIM_FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let pod = |phase: &str| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
                "spec": {"nodeName": "n", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
                "status": {"phase": phase}})
        };
        let plan = |objects| {
            let cache = snapshot(objects);
            shown(ClaimProtection.plan(&cache, &Key::new("a", "c"), Timestamp::UNIX_EPOCH), &cache).len()
        };
        assert_eq!(plan(vec![claim.clone(), pod("Running")]), 0);
        assert_eq!(plan(vec![claim.clone(), pod("Succeeded")]), 1);
        assert_eq!(plan(vec![claim]), 1);
    }

    #[test]
    fn a_class_goes_when_no_claim_names_it() {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": "gold",
            "finalizers": [CLASS_FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "a"},
            "spec": {"volumeAttributesClassName": "gold"}});
        let plan = |objects| {
            let cache = snapshot(objects);
            let plan = AttributesClassProtection.plan(&cache, &Key::new("", "gold"), Timestamp::UNIX_EPOCH);
            shown(plan, &cache).len()
        };
        assert_eq!(plan(vec![class.clone(), claim]), 0);
        assert_eq!(plan(vec![class]), 1);
    }

    #[test]
    fn a_new_volume_is_protected() {
        let cache = snapshot(vec![
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}}),
        ]);
        let plan = shown(VolumeProtection.plan(&cache, &Key::new("", "v"), Timestamp::UNIX_EPOCH), &cache);
        assert!(plan[0].contains(VOLUME_FINALIZER), "{plan:?}");
    }
}
