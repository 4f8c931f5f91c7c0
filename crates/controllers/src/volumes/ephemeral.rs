//! Makes the claims of pods' ephemeral volumes, which go with the pod.

use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::{PERSISTENT_VOLUME_CLAIMS, PODS};
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, meta};
use serde_json::{Value, json};

pub(crate) struct EphemeralVolumeController;

impl Controller for EphemeralVolumeController {
    fn name(&self) -> &'static str {
        "ephemeral-volume-controller"
    }

    fn component(&self) -> &'static str {
        "ephemeral_volume"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PODS, &PERSISTENT_VOLUME_CLAIMS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&PODS) {
            let fresh = change.old.is_none() && change.new.as_ref().is_some_and(|pod| !pod.deleting);
            let volumes = || change.entry().at(&["spec", "volumes"]);
            if fresh && volumes().is_some_and(|volumes| ephemeral(&volumes).next().is_some()) {
                add(Key::new(&change.entry().namespace, &change.entry().name));
            }
        } else if change.new.is_none()
            && let Some(pod) = crate::common::owners::controller_named(change.entry(), "Pod")
        {
            add(Key::new(&change.entry().namespace, pod));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let pod =
            cache.get(&PODS, &key.namespace, &key.name).filter(|pod| meta::deletion_timestamp(pod).is_none());
        let Some(pod) = pod else { return Plan::nothing() };
        let mut plan = Plan::nothing();
        for volume in ephemeral(&pod["spec"]["volumes"]) {
            let claim = claim(&pod, volume);
            match cache.entry(&PERSISTENT_VOLUME_CLAIMS, &key.namespace, meta::name(&claim)) {
                None => {
                    let message = "ephemeral volume controller: {error}";
                    let failed = Event::warning(&pod, "ClaimCreationFailed", message);
                    plan.push(Action::create(&PERSISTENT_VOLUME_CLAIMS, claim).told_failure(failed));
                }
                Some(known) if known.controller().is_none_or(|owner| *owner.uid != *meta::uid(&pod)) => {
                    let namespace = &key.namespace;
                    let message = format!(
                        "ephemeral volume {}: PVC {namespace}/{} was not created for pod {namespace}/{} (pod is not owner)",
                        volume["name"].as_str().unwrap_or(""),
                        meta::name(&claim),
                        meta::name(&pod)
                    );
                    plan.push(Action::event(Event::warning(&pod, "FailedBinding", message.as_str())));
                    plan.error = Some(message);
                }
                Some(_) => {}
            }
        }
        plan
    }
}

fn ephemeral(volumes: &Value) -> impl Iterator<Item = &Value> {
    volumes.as_array().into_iter().flatten().filter(|volume| volume["ephemeral"].is_object())
}

fn claim(pod: &Value, volume: &Value) -> Value {
    let template = &volume["ephemeral"]["volumeClaimTemplate"];
    let name = format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or(""));
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": template["spec"],
        "metadata": {"name": name, "namespace": meta::namespace(pod), "ownerReferences": [meta::controller_reference(pod)]}});
    for field in ["labels", "annotations"] {
        if template["metadata"][field].is_object() {
            claim["metadata"][field] = template["metadata"][field].clone();
        }
    }
    claim
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    #[test]
    fn a_pod_gets_its_own_claim_only() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
            "spec": {"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"x": 1}}}}, {"name": "w"}]}});
        let plan = |objects| {
            let cache = snapshot(objects);
            let plan = EphemeralVolumeController.plan(&cache, &Key::new("a", "p"), Timestamp::UNIX_EPOCH);
            (plan.error.clone(), shown(plan, &cache))
        };
        assert_eq!(plan(vec![pod.clone()]).1, ["create persistentvolumeclaims a/p-v"]);
        let foreign = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "p-v", "namespace": "a"}});
        let (error, lines) = plan(vec![pod, foreign]);
        assert!(
            error.is_some_and(|error| error.contains("pod is not owner"))
                && lines[0].starts_with("event FailedBinding")
        );
    }
}
