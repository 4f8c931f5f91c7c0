//! Adopting and releasing dependents: what matches the selector and has no controller becomes ours, what no longer matches is let go.

use crate::plan::Action;
use client::{Cache, Entry, Patch};
use object::{GroupVersionResource, LabelSelector, meta};
use serde_json::{Value, json};
use std::sync::Arc;

/// The dependents of an owner, and the actions that make it so.
pub(crate) struct Claimed {
    /// Those that are (or are about to be) controlled.
    pub(crate) objects: Vec<Arc<Value>>,
    /// Adoptions and releases.
    pub(crate) actions: Vec<Action>,
}

/// Claims what `owner` should control among the objects of its namespace.
pub(crate) fn claim(
    cache: &Cache,
    gvr: &GroupVersionResource,
    owner: &Value,
    selector: &LabelSelector,
) -> Claimed {
    claim_if(cache, gvr, owner, selector, |_| true)
}

/// As [`claim`], where only objects that pass `may` can be adopted.
pub(crate) fn claim_if(
    cache: &Cache,
    gvr: &GroupVersionResource,
    owner: &Value,
    selector: &LabelSelector,
    may: impl Fn(&Entry) -> bool,
) -> Claimed {
    let uid = meta::uid(owner);
    let deleting = meta::deletion_timestamp(owner).is_some();
    let mut claimed = Claimed { objects: vec![], actions: vec![] };
    let owned = cache.owned_by(gvr, uid);
    for entry in
        owned.iter().filter(|entry| entry.controller().is_some_and(|controller| &*controller.uid == uid))
    {
        if matches(selector, entry) {
            claimed.objects.extend(entry.value());
        } else if !deleting {
            claimed.actions.push(release(gvr, entry, uid));
        }
    }
    if !deleting {
        let free = cache.uncontrolled(gvr, meta::namespace(owner));
        for object in
            free.iter().filter(|e| !e.deleting && matches(selector, e) && may(e)).filter_map(|e| e.value())
        {
            claimed.actions.push(adopt(gvr, &object, owner));
            claimed.objects.push(object);
        }
    }
    // The index has no order of its own.
    claimed.objects.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
    claimed
}

/// Whether the selector takes the entry's labels.
pub(crate) fn matches(selector: &LabelSelector, entry: &Entry) -> bool {
    selector.matches(|key| entry.label(key))
}

fn adopt(gvr: &GroupVersionResource, object: &Value, owner: &Value) -> Action {
    let mut owners = meta::owner_references(object).to_vec();
    owners.retain(|reference| reference["uid"] != owner["metadata"]["uid"]);
    owners.push(meta::controller_reference(owner));
    Action::merge(gvr, object, json!({"metadata": {"uid": meta::uid(object), "ownerReferences": owners}}))
}

fn release(gvr: &GroupVersionResource, entry: &Entry, owner: &str) -> Action {
    let patch =
        json!({"metadata": {"uid": entry.uid, "ownerReferences": [{"$patch": "delete", "uid": owner}]}});
    let mut action = Action::merge(
        gvr,
        &json!({"metadata": {"namespace": entry.namespace, "name": entry.name}}),
        json!({}),
    );
    if let crate::plan::Verb::Patch { patch: kind, .. } = &mut action.verb {
        *kind = Patch::Strategic(patch);
    }
    action
}

/// The owner of this kind that controls an entry, as a key: what a dependent's change concerns.
pub(crate) fn controller_named<'a>(entry: &'a Entry, kind: &str) -> Option<&'a str> {
    let controller = entry.controller()?;
    (&*controller.kind == kind).then_some(&*controller.name)
}
