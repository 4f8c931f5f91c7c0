//! Spreads endpoints over slices of bounded size, moving as few as it can.

use super::TRIGGER_TIME;
use crate::plan::{Action, Verb};
use crate::resources::ENDPOINT_SLICES;
use object::meta;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The most endpoints of one slice.
pub(super) const MAX_ENDPOINTS: usize = 100;

/// All slices of one address type that a service is to have.
pub(super) struct Wanted {
    /// `IPv4`, `IPv6` (or `FQDN`).
    pub(super) address_type: String,
    /// Endpoints by the ports they serve.
    pub(super) groups: BTreeMap<String, Group>,
}

/// Endpoints that serve the same ports.
pub(super) struct Group {
    pub(super) ports: Vec<Value>,
    pub(super) endpoints: Vec<Value>,
}

/// What every slice carries.
pub(super) struct Common<'a> {
    pub(super) owner: &'a Value,
    pub(super) labels: Map<String, Value>,
    /// All of them, but for those that others put there.
    pub(super) annotations: BTreeMap<String, String>,
}

impl Wanted {
    pub(super) fn new(address_type: &str) -> Self {
        Self { address_type: address_type.to_owned(), groups: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, ports: Vec<Value>, endpoint: Value) {
        let key = Value::from(ports.clone()).to_string();
        self.groups.entry(key).or_insert(Group { ports, endpoints: vec![] }).endpoints.push(endpoint);
    }
}

/// What turns the slices there are into those wanted.
pub(super) fn reconcile(common: &Common<'_>, existing: &[Arc<Value>], mut wanted: Wanted) -> Vec<Action> {
    if wanted.groups.is_empty() {
        // A service always has a slice, if only an empty one.
        wanted.groups.insert("[]".into(), Group { ports: vec![], endpoints: vec![] });
    }
    let mut by_ports: HashMap<String, Vec<&Arc<Value>>> = HashMap::new();
    let mut actions = vec![];
    for slice in existing {
        let ports = ports_key(slice);
        if slice["addressType"] == *wanted.address_type && wanted.groups.contains_key(&ports) {
            by_ports.entry(ports).or_default().push(slice);
        } else {
            actions.push(Action::delete(&ENDPOINT_SLICES, slice));
        }
    }
    let mut writes = vec![];
    for (key, group) in wanted.groups {
        let theirs = by_ports.remove(&key).unwrap_or_default();
        writes.extend(reconcile_group(common, &wanted.address_type, &theirs, group));
    }
    writes.extend(actions);
    recycle(writes)
}

/// A slice that is no longer wanted becomes one that is: watchers see one change instead of two.
fn recycle(actions: Vec<Action>) -> Vec<Action> {
    let (gone, mut rest): (Vec<_>, Vec<_>) =
        actions.into_iter().partition(|step| matches!(step.verb, Verb::Delete { .. }));
    let mut gone = gone.into_iter();
    for step in &mut rest {
        if let Verb::Create(made) = &mut step.verb
            && let Some(Action { verb: Verb::Delete { name, options, .. }, .. }) = gone.next()
        {
            meta::set(made, "name", name);
            meta::set(made, "uid", options.uid.unwrap_or_default());
            *step = Action::update(&ENDPOINT_SLICES, std::mem::take(made));
        }
    }
    rest.extend(gone);
    rest
}

fn ports_key(slice: &Value) -> String {
    slice["ports"].as_array().map_or_else(|| "[]".to_owned(), |ports| Value::from(ports.clone()).to_string())
}

/// The same endpoint, even if its conditions changed.
fn identity(endpoint: &Value) -> String {
    format!("{}/{}", endpoint["targetRef"]["uid"], endpoint["addresses"])
}

fn reconcile_group(
    common: &Common<'_>,
    address_type: &str,
    existing: &[&Arc<Value>],
    group: Group,
) -> Vec<Action> {
    let mut missing: Vec<(String, Value)> = group.endpoints.into_iter().map(|e| (identity(&e), e)).collect();
    let mut kept: Vec<(&Arc<Value>, Vec<Value>)> = vec![];
    for slice in existing {
        let mut endpoints = vec![];
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let id = identity(endpoint);
            if let Some(index) = missing.iter().position(|(wanted, _)| *wanted == id) {
                endpoints.push(missing.remove(index).1);
            }
        }
        kept.push((slice, endpoints));
    }
    let mut missing = missing.into_iter().map(|(_, endpoint)| endpoint).peekable();
    for (_, endpoints) in &mut kept {
        while endpoints.len() < MAX_ENDPOINTS
            && let Some(endpoint) = missing.next()
        {
            endpoints.push(endpoint);
        }
    }
    let mut actions = vec![];
    let full = kept.iter().filter(|(_, endpoints)| !endpoints.is_empty()).count();
    let mut spared = full > 0 || missing.peek().is_some();
    for (slice, endpoints) in kept {
        if endpoints.is_empty() && spared {
            actions.push(Action::delete(&ENDPOINT_SLICES, slice));
            continue;
        }
        spared = true;
        let next = common.slice((**slice).clone(), address_type, &group.ports, endpoints);
        if !says_the_same(slice, &next) {
            actions.push(Action::update(&ENDPOINT_SLICES, next));
        }
    }
    let rest: Vec<_> = missing.collect();
    let fresh = || json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"});
    let create = |endpoints: &[Value]| {
        Action::create(
            &ENDPOINT_SLICES,
            common.slice(fresh(), address_type, &group.ports, endpoints.to_vec()),
        )
    };
    actions.extend(rest.chunks(MAX_ENDPOINTS).map(create));
    if existing.is_empty() && rest.is_empty() {
        actions.push(create(&[]));
    }
    actions
}

/// Only a new trigger time is no reason to write.
fn says_the_same(current: &Value, next: &Value) -> bool {
    let list = |slice: &Value, field: &str| slice[field].as_array().cloned().unwrap_or_default();
    list(current, "endpoints") == list(next, "endpoints")
        && list(current, "ports") == list(next, "ports")
        && current["metadata"]["labels"] == next["metadata"]["labels"]
        && current["metadata"]["ownerReferences"] == next["metadata"]["ownerReferences"]
        && others(current) == others(next)
}

/// The annotations but for the trigger time.
fn others(slice: &Value) -> BTreeMap<&String, &Value> {
    let all = slice["metadata"]["annotations"].as_object().into_iter().flatten();
    all.filter(|(key, _)| *key != TRIGGER_TIME).collect()
}

impl Common<'_> {
    fn slice(&self, mut slice: Value, address_type: &str, ports: &[Value], endpoints: Vec<Value>) -> Value {
        let owner = self.owner;
        if meta::name(&slice).is_empty() {
            meta::set(&mut slice, "generateName", format!("{}-", meta::name(owner)));
            meta::set(&mut slice, "namespace", meta::namespace(owner));
        }
        meta::set(&mut slice, "labels", self.labels.clone());
        meta::set(&mut slice, "ownerReferences", vec![meta::controller_reference(owner)]);
        if let Some(map) = slice["metadata"]["annotations"].as_object_mut() {
            map.remove(TRIGGER_TIME);
        }
        for (key, value) in &self.annotations {
            meta::set_annotation(&mut slice, key, value);
        }
        slice["addressType"] = address_type.into();
        slice["ports"] = ports.to_vec().into();
        slice["endpoints"] = endpoints.into();
        slice
    }
}
