//! What a pod's volumes ask of nodes: where bound ones can be reached, and where the others could be found or made.

use super::{Refusal, node_affinity};
use object::{Quantity, meta};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A pod's claims, looked up.
#[derive(Clone, Debug, Default)]
pub struct Volumes {
    /// Volumes that its claims are bound to.
    pub bound: Vec<Arc<Value>>,
    /// Whether a claim's volume is gone.
    pub lost: bool,
    /// Claims that wait for the pod's node.
    pub waiting: Vec<Waiting>,
    /// Whether another pod uses a claim that only one pod may use.
    pub taken: bool,
}

/// A claim that is bound once its first pod has a node.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The claim.
    pub claim: Arc<Value>,
    /// Volumes that nobody claims and that would do, the best first.
    pub candidates: Vec<Arc<Value>>,
    /// Where a volume can be made: the class's `allowedTopologies`; `None` if nowhere.
    pub made: Option<Value>,
}

const ZONES: [&str; 4] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

impl Volumes {
    /// Why `node` will not do.
    pub(super) fn refused(&self, node: &Value) -> Vec<Refusal> {
        if self.taken {
            return vec![Refusal::of_pods(
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
            )];
        }
        let mut refusals = vec![];
        if self.places(node).is_none() {
            refusals.push("node(s) didn't find available persistent volumes to bind");
        }
        if !self.bound.iter().all(|volume| reaches(volume, node)) {
            refusals.push("node(s) didn't match PersistentVolume's node affinity");
        }
        if self.lost {
            refusals.push("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
        }
        if refusals.is_empty() && !self.bound.iter().all(|volume| in_zone(volume, node)) {
            refusals.push("node(s) had no available volume zone");
        }
        refusals.into_iter().map(Refusal::of_node).collect()
    }

    /// For each waiting claim the volume it gets on `node`, `None` where one is made; altogether `None` if one gets nothing.
    pub fn places(&self, node: &Value) -> Option<Vec<Option<Arc<Value>>>> {
        let mut given = BTreeSet::new();
        let place = |waiting: &Waiting| {
            let mut found = waiting.candidates.iter().filter(|volume| reaches(volume, node));
            match found.find(|volume| given.insert(meta::name(volume).to_owned())) {
                Some(volume) => Some(Some(volume.clone())),
                None => waiting.made.as_ref().filter(|allowed| in_topologies(allowed, node)).map(|_| None),
            }
        };
        self.waiting.iter().map(place).collect()
    }
}

/// Whether `volume` would do for `claim`, which has no volume yet; its size, to choose the smallest.
pub fn would_do(volume: &Value, claim: &Value) -> Option<i64> {
    let (has, wants) = (&volume["spec"], &claim["spec"]);
    let size = |value: &Value| Quantity::from_json(value).ok().map(|q| q.value());
    let capacity = size(&has["capacity"]["storage"])?;
    let modes = crate::spec::strings(&has["accessModes"]);
    let mode = |spec: &Value| spec["volumeMode"].as_str().unwrap_or("Filesystem").to_owned();
    let class = |spec: &Value| spec["storageClassName"].as_str().unwrap_or("").to_owned();
    let labels =
        object::LabelSelector::from_object(&wants["selector"]).unwrap_or(object::LabelSelector::nothing());
    let free = has["claimRef"].is_null() && volume["status"]["phase"] == "Available";
    let fits = free
        && meta::deletion_timestamp(volume).is_none()
        && class(has) == class(wants)
        && mode(has) == mode(wants)
        && crate::spec::strings(&wants["accessModes"]).iter().all(|m| modes.contains(m))
        && (wants["selector"].is_null() || labels.matches(|key| meta::label(volume, key)))
        && capacity >= size(&wants["resources"]["requests"]["storage"]).unwrap_or(0);
    fits.then_some(capacity)
}

fn reaches(volume: &Value, node: &Value) -> bool {
    let required = &volume["spec"]["nodeAffinity"]["required"];
    required.is_null() || node_affinity::selects(required, node)
}

fn in_zone(volume: &Value, node: &Value) -> bool {
    if ZONES.iter().all(|key| meta::label(node, key).is_none()) {
        return true;
    }
    let mut marked = ZONES.iter().filter_map(|key| Some((key, meta::label(volume, key)?)));
    marked.all(|(key, zones)| meta::label(node, key).is_some_and(|zone| zones.split("__").any(|z| z == zone)))
}

fn in_topologies(allowed: &Value, node: &Value) -> bool {
    let Some(terms) = allowed.as_array().filter(|terms| !terms.is_empty()) else { return true };
    terms.iter().any(|term| {
        term["matchLabelExpressions"].as_array().into_iter().flatten().all(|wanted| {
            let label = meta::label(node, wanted["key"].as_str().unwrap_or(""));
            label.is_some_and(|label| crate::spec::strings(&wanted["values"]).iter().any(|v| v == label))
        })
    })
}
