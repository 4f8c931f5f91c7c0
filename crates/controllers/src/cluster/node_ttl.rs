//! Tells kubelets, by an annotation of their node, how long they may keep ConfigMaps and Secrets: the larger the cluster the longer.

use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::NODES;
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, meta};
use parking_lot::Mutex;
use serde_json::json;

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";
/// From and up to how many nodes it is how many seconds. The ranges overlap, so that one node more or less is no change.
const STEPS: [(usize, usize, u32); 5] =
    [(0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, usize::MAX, 300)];

/// Remembers the step that the cluster is on.
#[derive(Default)]
pub(crate) struct NodeTtlController {
    step: Mutex<usize>,
}

impl Controller for NodeTtlController {
    fn name(&self) -> &'static str {
        "ttl-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&NODES]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.new.is_some() {
            add(Key::new("", &change.entry().name));
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let Some(node) = cache.get(&NODES, "", &key.name) else { return Plan::nothing() };
        let wanted = self.seconds(cache.list(&NODES, "").len()).to_string();
        if meta::annotation(&node, ANNOTATION) == Some(&*wanted) {
            return Plan::nothing();
        }
        let patch = json!({"metadata": {"annotations": {ANNOTATION: wanted}}});
        Plan::of(vec![Action::merge(&NODES, &node, patch)])
    }
}

impl NodeTtlController {
    fn seconds(&self, nodes: usize) -> u32 {
        let mut step = self.step.lock();
        while nodes > STEPS[*step].1 {
            *step += 1;
        }
        while nodes < STEPS[*step].0 {
            *step -= 1;
        }
        STEPS[*step].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_changes_only_when_the_size_clearly_does() {
        let controller = NodeTtlController::default();
        let seconds: Vec<_> =
            [1, 100, 101, 95, 89, 3000, 1799, 5].map(|nodes| controller.seconds(nodes)).into();
        assert_eq!(seconds, [0, 0, 15, 15, 0, 300, 60, 0]);
    }
}
