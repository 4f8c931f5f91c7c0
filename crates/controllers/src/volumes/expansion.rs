//! Claims that ask for more than they have: who grows volumes is elsewhere, and the claim is told so.

use crate::plan::{Action, Controller, Event, Key, Plan};
use crate::resources::PERSISTENT_VOLUME_CLAIMS;
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, Quantity};
use serde_json::Value;

pub(crate) struct VolumeExpansionController;

impl Controller for VolumeExpansionController {
    fn name(&self) -> &'static str {
        "persistentvolume-expander-controller"
    }

    fn component(&self) -> &'static str {
        "volume_expand"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&PERSISTENT_VOLUME_CLAIMS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        // Only a claim that was there asks for more.
        let (Some(old), Some(new)) = (&change.old, &change.new) else { return };
        let asked = |entry: &client::Entry| entry.value().map(|claim| wanted(&claim).clone());
        if asked(old) != asked(new) {
            add(Key::new(&new.namespace, &new.name));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let Some(claim) = cache.get(&PERSISTENT_VOLUME_CLAIMS, &key.namespace, &key.name) else {
            return Plan::nothing();
        };
        let size = |value: &Value| Quantity::from_json(value).ok();
        let larger = size(wanted(&claim))
            .zip(size(&claim["status"]["capacity"]["storage"]))
            .is_some_and(|(wanted, has)| wanted.sub(&has).signum() > 0);
        if !larger || claim["status"]["phase"] != "Bound" {
            return Plan::nothing();
        }
        let message = "waiting for an external controller to expand this PVC";
        Plan::of(vec![Action::event(Event::normal(&claim, "ExternalExpanding", message))])
    }
}

fn wanted(claim: &Value) -> &Value {
    &claim["spec"]["resources"]["requests"]["storage"]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};
    use serde_json::json;

    #[test]
    fn a_bound_claim_that_grows_is_told_to_wait() {
        let lines = |phase: &str, wanted: &str| {
            let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "a"},
                "spec": {"resources": {"requests": {"storage": wanted}}},
                "status": {"phase": phase, "capacity": {"storage": "1Gi"}}});
            let cache = snapshot(vec![claim]);
            shown(VolumeExpansionController.plan(&cache, &Key::new("a", "c"), Timestamp::UNIX_EPOCH), &cache)
                .len()
        };
        assert_eq!([lines("Bound", "2Gi"), lines("Bound", "1Gi"), lines("Pending", "2Gi")], [1, 0, 0]);
    }
}
