//! Which services select a pod: looked up by label, however many services a namespace has.

use client::{Change, Entry};
use parking_lot::Mutex;
use std::collections::HashMap;

/// All labels that a service selects, sorted.
type Selector = Vec<(String, String)>;

#[derive(Default)]
struct Namespace {
    /// By service.
    selectors: HashMap<String, Selector>,
    /// Services by the first label that they select.
    by_label: HashMap<(String, String), Vec<String>>,
}

/// The selectors of all services, by namespace; goes along with the cache's services.
#[derive(Default)]
pub(super) struct Selecting(Mutex<HashMap<Box<str>, Namespace>>);

impl Selecting {
    /// Follows a change of a service.
    pub(super) fn changed(&self, change: &Change) {
        let entry = change.entry();
        let mut all = self.0.lock();
        let namespace = all.entry(entry.namespace.clone()).or_default();
        namespace.remove(&entry.name);
        let service = change.new.as_ref().and_then(|service| service.value());
        let map = service.as_ref().and_then(|service| service["spec"]["selector"].as_object());
        let pair =
            |(key, value): (&String, &serde_json::Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let selector: Selector = map.into_iter().flatten().filter_map(pair).collect();
        if let Some(first) = selector.first() {
            namespace.by_label.entry(first.clone()).or_default().push(entry.name.to_string());
            namespace.selectors.insert(entry.name.to_string(), selector);
        } else if namespace.selectors.is_empty() {
            all.remove(&entry.namespace);
        }
    }

    /// The services that select a pod.
    pub(super) fn of(&self, pod: &Entry) -> Vec<String> {
        let all = self.0.lock();
        let Some(namespace) = all.get(&pod.namespace) else { return vec![] };
        let mut found = vec![];
        for (key, value) in &pod.labels {
            let candidates = namespace.by_label.get(&(key.to_string(), value.to_string()));
            for service in candidates.into_iter().flatten() {
                let selector = namespace.selectors.get(service);
                if selector.is_some_and(|all| all.iter().all(|(key, value)| pod.label(key) == Some(value))) {
                    found.push(service.clone());
                }
            }
        }
        found
    }
}

impl Namespace {
    fn remove(&mut self, service: &str) {
        let Some(first) = self.selectors.remove(service).and_then(|selector| selector.into_iter().next())
        else {
            return;
        };
        if let Some(services) = self.by_label.get_mut(&first) {
            services.retain(|other| other != service);
            if services.is_empty() {
                self.by_label.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::snapshot;
    use crate::resources::{PODS, SERVICES};
    use serde_json::{Value, json};
    use std::sync::Arc;

    #[test]
    fn services_are_found_by_all_their_labels() {
        let service = |name: &str, selector: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "a"}, "spec": {"selector": selector}});
        let cache = snapshot(vec![
            service("one", json!({"app": "x"})),
            service("two", json!({"app": "x", "tier": "y"})),
            service("none", json!(null)),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a", "labels": {"app": "x"}}}),
        ]);
        let selecting = Selecting::default();
        let gvr = Arc::new((*SERVICES).clone());
        let entry = |name: &str| cache.entry(&SERVICES, "a", name);
        for name in ["one", "two", "none"] {
            selecting.changed(&Change { gvr: gvr.clone(), old: None, new: entry(name) });
        }
        let pod = cache.entry(&PODS, "a", "p").unwrap();
        assert_eq!(selecting.of(&pod), ["one"]);
        selecting.changed(&Change { gvr, old: entry("one"), new: None });
        assert!(selecting.of(&pod).is_empty());
    }
}
