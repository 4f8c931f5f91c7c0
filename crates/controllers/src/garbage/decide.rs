//! What is to be done about an object whose owners' state is known: pure.

use crate::plan::{Action, Plan, Verb};
use client::{DeleteOptions, Entry, Owner, Patch, Propagation};
use object::GroupVersionResource;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// What became of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It is there.
    Solid,
    /// It is gone.
    Gone,
    /// It is being deleted and waits for its dependents.
    Waiting,
}

/// An object's owners by their state.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) solid: Vec<Owner>,
    pub(super) gone: Vec<Owner>,
    pub(super) waiting: Vec<Owner>,
}

impl Sorted {
    pub(super) fn add(&mut self, owner: Owner, state: OwnerState) {
        match state {
            OwnerState::Solid => self.solid.push(owner),
            OwnerState::Gone => self.gone.push(owner),
            OwnerState::Waiting => self.waiting.push(owner),
        }
    }
}

/// Deletes an object that has no owner left; one that still has some loses the references to the others.
pub(super) fn collect(
    gvr: &GroupVersionResource,
    item: &Entry,
    owners: &Sorted,
    dependents: &[(Arc<GroupVersionResource>, Arc<Entry>)],
) -> Plan {
    if !owners.solid.is_empty() {
        if owners.gone.is_empty() && owners.waiting.is_empty() {
            return Plan::nothing();
        }
        return Plan::of(vec![patch(gvr, item, json!({"ownerReferences": references(&owners.solid)}))]);
    }
    let mut plan = Plan::nothing();
    if !owners.waiting.is_empty() && !dependents.is_empty() {
        // Owners in a circle would wait for each other for ever: this one blocks nobody.
        if dependents.iter().any(|(_, entry)| entry.deleting && entry.has_finalizer(FOREGROUND)) {
            let mut unblocked: Vec<Owner> = item.owners.to_vec();
            unblocked.iter_mut().for_each(|owner| owner.block_owner_deletion = false);
            plan.push(patch(gvr, item, json!({"ownerReferences": references(&unblocked)})));
            plan.push(delete(gvr, item, Propagation::Foreground, false));
            return plan;
        }
        plan.push(delete(gvr, item, Propagation::Foreground, true));
        return plan;
    }
    let propagation = if item.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if item.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    plan.push(delete(gvr, item, propagation, true));
    plan
}

/// Takes the references to an owner out of its dependents, then lets it go.
pub(super) fn orphan(
    gvr: &GroupVersionResource,
    item: &Entry,
    dependents: &[(Arc<GroupVersionResource>, Arc<Entry>)],
) -> Plan {
    let mut plan = Plan::nothing();
    for (theirs, dependent) in dependents {
        let others: Vec<_> = dependent.owners.iter().filter(|owner| owner.uid != item.uid).cloned().collect();
        plan.push(patch(theirs, dependent, json!({"ownerReferences": references(&others)})));
    }
    plan.actions.extend(without_finalizer(gvr, item, ORPHAN).actions);
    plan
}

/// Takes a finalizer out.
pub(super) fn without_finalizer(gvr: &GroupVersionResource, item: &Entry, finalizer: &str) -> Plan {
    let left: Vec<_> = item.finalizers.iter().filter(|known| &***known != finalizer).collect();
    Plan::of(vec![patch(gvr, item, json!({"finalizers": left}))])
}

/// Merge-patches metadata of this very version of an object.
fn patch(gvr: &GroupVersionResource, item: &Entry, mut metadata: Value) -> Action {
    metadata["uid"] = (*item.uid).into();
    metadata["resourceVersion"] = item.version.to_string().into();
    let named = json!({"metadata": {"namespace": item.namespace, "name": item.name}});
    let mut action = Action::merge(gvr, &named, Value::Null);
    if let Verb::Patch { patch, .. } = &mut action.verb {
        *patch = Patch::Merge(json!({"metadata": metadata}));
    }
    action
}

fn delete(gvr: &GroupVersionResource, item: &Entry, propagation: Propagation, this_version: bool) -> Action {
    let named = json!({"metadata": {"namespace": item.namespace, "name": item.name}});
    let options = DeleteOptions {
        propagation: Some(propagation),
        uid: Some((*item.uid).into()),
        resource_version: this_version.then(|| item.version.to_string()),
        ..DeleteOptions::default()
    };
    Action::delete_with(gvr, &named, options)
}

fn references(owners: &[Owner]) -> Vec<Value> {
    let of = |owner: &Owner| {
        let mut reference = json!({"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid});
        for (field, set) in
            [("controller", owner.controller), ("blockOwnerDeletion", owner.block_owner_deletion)]
        {
            if set {
                reference[field] = true.into();
            }
        }
        reference
    };
    owners.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};
    use crate::resources::PODS;
    use client::Cache;

    fn pod(cache: &Cache, name: &str) -> Arc<Entry> {
        cache.entry(&PODS, "a", name).unwrap()
    }

    fn cache() -> Cache {
        let reference = |uid: &str| json!({"apiVersion": "v1", "kind": "X", "name": uid, "uid": uid, "blockOwnerDeletion": true});
        let object = |name: &str, owners: &[&str], more: Value| {
            let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a",
                "ownerReferences": owners.iter().map(|uid| reference(uid)).collect::<Vec<_>>()}});
            for (key, value) in more.as_object().unwrap() {
                pod["metadata"][key] = value.clone();
            }
            pod
        };
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FOREGROUND]});
        snapshot(vec![object("two", &["1", "2"], json!({})), object("child", &["uid-two"], going)])
    }

    fn sorted(item: &Entry, states: &[OwnerState]) -> Sorted {
        let mut sorted = Sorted::default();
        item.owners.iter().zip(states).for_each(|(owner, state)| sorted.add(owner.clone(), *state));
        sorted
    }

    #[test]
    fn the_last_owner_takes_the_object_along() {
        use OwnerState::{Gone, Solid, Waiting};
        let cache = cache();
        let two = pod(&cache, "two");
        let plan = |states: &[OwnerState]| shown(collect(&PODS, &two, &sorted(&two, states), &[]), &cache);
        assert!(plan(&[Solid, Solid]).is_empty());
        assert_eq!(plan(&[Gone, Gone]), ["delete pods two"]);
        assert_eq!(plan(&[Gone, Waiting]), ["delete pods two"]);
        let patched = plan(&[Gone, Solid]);
        assert!(
            patched[0].contains(r#""uid": String("2")"#) && !patched[0].contains(r#""uid": String("1")"#),
            "{patched:?}"
        );
    }

    #[test]
    fn a_circle_is_broken() {
        use OwnerState::{Gone, Waiting};
        let cache = cache();
        let two = pod(&cache, "two");
        let own = [(Arc::new((*PODS).clone()), pod(&cache, "child"))];
        let plan = shown(collect(&PODS, &two, &sorted(&two, &[Gone, Waiting]), &own), &cache);
        assert!(plan[0].starts_with("patch pods two") && !plan[0].contains("blockOwnerDeletion"), "{plan:?}");
        assert_eq!(plan[1], "delete pods two");
    }

    #[test]
    fn orphans_lose_the_owner_before_it_goes() {
        let cache = cache();
        let two = pod(&cache, "two");
        let plan = shown(orphan(&PODS, &two, &[(Arc::new((*PODS).clone()), pod(&cache, "child"))]), &cache);
        assert!(
            plan[0].starts_with("patch pods child") && plan[0].contains(r#""ownerReferences": Array []"#),
            "{plan:?}"
        );
        assert!(plan[1].starts_with("patch pods two"), "{plan:?}");
    }
}
