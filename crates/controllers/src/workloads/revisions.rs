//! ControllerRevisions: the templates that stateful and daemon sets had, numbered.

use crate::common::hash;
use crate::plan::Action;
use crate::resources::CONTROLLER_REVISIONS;
use client::Cache;
use object::meta;
use serde_json::{Value, json};
use std::sync::Arc;

use super::int;

/// The label that says which template a pod or revision is of.
pub(super) const HASH_LABEL: &str = "controller-revision-hash";
/// The label of a stateful set's revisions.
pub(super) const STATEFUL_HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// The revisions of a set, by number.
pub(super) fn of(cache: &Cache, owner: &Value) -> Vec<Arc<Value>> {
    let owned = cache.owned_by(&CONTROLLER_REVISIONS, meta::uid(owner));
    let mut all: Vec<_> = owned.iter().filter_map(|revision| revision.value()).collect();
    all.sort_by_key(|revision| {
        (number(revision), meta::creation_timestamp(revision).unwrap_or("").to_owned())
    });
    all
}

pub(super) fn number(revision: &Value) -> i64 {
    int(&revision["revision"])
}

/// What a revision keeps: a patch that puts the template back.
fn data(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    if let Some(map) = template.as_object_mut() {
        map.insert("$patch".into(), "replace".into());
    }
    json!({"spec": {"template": template}})
}

/// The template that a revision keeps.
pub(super) fn template(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
    }
    template
}

/// Whether the revision is of the owner's present template.
pub(super) fn is_of(revision: &Value, owner: &Value) -> bool {
    template(revision) == owner["spec"]["template"]
}

/// A new revision of the owner's template; `label` gets its hash.
pub(super) fn make(owner: &Value, number: i64, label: &str) -> Value {
    let data = data(owner);
    let hash = hash::of(&data, int(&owner["status"]["collisionCount"]));
    let mut labels = owner["spec"]["template"]["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(label.into(), hash.clone().into());
    let name = meta::name(owner);
    let name = name.get(..223).unwrap_or(name);
    let mut revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": number, "data": data,
        "metadata": {"name": format!("{name}-{hash}"), "namespace": meta::namespace(owner), "labels": labels,
            "ownerReferences": [meta::controller_reference(owner)]}});
    for (key, value) in meta::annotations(owner) {
        if key != "kubectl.kubernetes.io/last-applied-configuration" {
            meta::set_annotation(&mut revision, key, value);
        }
    }
    revision
}

/// The revision of the owner's template (made, or made the newest again), and what does so.
pub(super) fn ensure(owner: &Value, all: &[Arc<Value>], label: &str) -> (Arc<Value>, Option<Action>) {
    let next = all.last().map_or(1, |newest| number(newest) + 1);
    let Some(known) = all.iter().rev().find(|revision| is_of(revision, owner)) else {
        let made = Arc::new(make(owner, next, label));
        return (made.clone(), Some(Action::create(&CONTROLLER_REVISIONS, (*made).clone())));
    };
    if all.last().is_some_and(|newest| Arc::ptr_eq(newest, known)) {
        return (known.clone(), None);
    }
    let mut newest = (**known).clone();
    newest["revision"] = next.into();
    (Arc::new(newest.clone()), Some(Action::update(&CONTROLLER_REVISIONS, newest)))
}

/// Deletes the oldest revisions that nothing uses, past the limit.
pub(super) fn outdated(owner: &Value, all: &[Arc<Value>], in_use: impl Fn(&Value) -> bool) -> Vec<Action> {
    let limit = owner["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
    let unused: Vec<_> = all.iter().filter(|revision| !in_use(revision)).collect();
    let surplus = unused.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    unused.into_iter().take(surplus).map(|revision| Action::delete(&CONTROLLER_REVISIONS, revision)).collect()
}
