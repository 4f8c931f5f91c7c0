//! The garbage collector: deletes what has lost all its owners, and carries out foreground deletion and orphaning.
//!
//! The graph of owners is the cache's own index by owner uid, over metadata of every resource that discovery lists; [`resources`]
//! keeps that up to date, [`decide`] is the pure part. An owner counts as gone only when the API itself says so.

mod decide;
mod resources;

use crate::driver::Shell;
use crate::plan::{Controller, Event, Key, Plan};
use crate::resources::{API_SERVICES, CUSTOM_RESOURCE_DEFINITIONS};
use client::{Cache, Change, Entry, Owner};
use decide::{FOREGROUND, ORPHAN, OwnerState, Sorted};
use futures::future::BoxFuture;
use object::{GroupVersionResource, Result, meta};
use parking_lot::Mutex;
use resources::{Resources, Scope};
use serde_json::json;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Owners known to be gone; when full, the oldest is forgotten (and asked for again).
const ABSENT: usize = 500;

/// Objects with an owner of an unknown kind that are remembered; of more, nothing is noted (they stay until they change).
const UNRESOLVED: usize = 10_000;

/// The key that stands for discovery, which no object has.
const DISCOVERY: &str = "discovery";

#[derive(Default)]
pub(crate) struct GarbageCollector {
    resources: Resources,
    absent: Mutex<VecDeque<Box<str>>>,
    /// Objects whose owner's kind nobody serves: looked at again when that changes.
    unresolved: Mutex<HashSet<Key>>,
}

/// The key of an object of any resource.
fn key_of(gvr: &GroupVersionResource, namespace: &str, name: &str) -> Key {
    Key::new(namespace, &format!("{}/{}/{}/{name}", gvr.group, gvr.version, gvr.resource))
}

fn read_key(key: &Key) -> Option<(GroupVersionResource, &str)> {
    let mut parts = key.name.splitn(4, '/');
    let (group, version, resource, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((GroupVersionResource::new(group, version, resource), name))
}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![&CUSTOM_RESOURCE_DEFINITIONS]
    }

    fn watches_changes(&self) -> Vec<&'static GroupVersionResource> {
        vec![&API_SERVICES]
    }

    fn watches_everything(&self) -> bool {
        true
    }

    fn starts_with(&self) -> Vec<Key> {
        vec![Key::new("", DISCOVERY)]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        if change.is(&CUSTOM_RESOURCE_DEFINITIONS) || change.is(&API_SERVICES) {
            add(Key::new("", DISCOVERY));
        }
        if let Some(new) = &change.new {
            let owners_changed = change
                .old
                .as_ref()
                .is_none_or(|old| old.owners != new.owners || old.deleting != new.deleting);
            let waits = new.deleting && (new.has_finalizer(FOREGROUND) || new.has_finalizer(ORPHAN));
            if (owners_changed && !new.owners.is_empty()) || waits {
                add(key_of(&change.gvr, &new.namespace, &new.name));
            }
        }
        let Some(old) = &change.old else { return };
        match &change.new {
            None => {
                for (gvr, dependent) in dependents(cache, &old.uid) {
                    add(key_of(&gvr, &dependent.namespace, &dependent.name));
                }
                self.wake_owners(cache, old, add);
            }
            Some(new) if new.owners != old.owners => self.wake_owners(cache, old, add),
            Some(_) => {}
        }
    }

    fn relisted(&self, cache: &Cache, gvr: &GroupVersionResource, add: &mut dyn FnMut(Key)) {
        let of = |owner: &Owner| {
            self.resources.of_kind(&owner.api_version, &owner.kind).is_some_and(|scope| scope.gvr == *gvr)
        };
        for store in cache.stores() {
            for entry in store.list("").iter().filter(|entry| entry.owners.iter().any(of)) {
                add(key_of(store.gvr(), &entry.namespace, &entry.name));
            }
        }
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            if &*key.name == DISCOVERY {
                return self.discover(shell).await;
            }
            let Some((gvr, name)) = read_key(key) else { return Ok(Plan::nothing()) };
            let Some(item) = shell.cache.entry(&gvr, &key.namespace, name) else {
                return Ok(Plan::nothing());
            };
            self.collect(shell, key, &gvr, &item).await
        })
    }
}

/// All that name this uid as an owner.
fn dependents(cache: &Cache, uid: &str) -> Vec<(Arc<GroupVersionResource>, Arc<Entry>)> {
    let of = |store: Arc<client::Store>| {
        let gvr = store.gvr().clone();
        store.owned_by(uid).into_iter().map(move |entry| (gvr.clone(), entry))
    };
    cache.stores().into_iter().flat_map(of).collect()
}

impl GarbageCollector {
    /// Owners that wait for their dependents to be gone look again.
    fn wake_owners(&self, cache: &Cache, dependent: &Entry, add: &mut dyn FnMut(Key)) {
        for owner in &dependent.owners {
            let Some(scope) = self.resources.of_kind(&owner.api_version, &owner.kind) else { continue };
            let namespace = if scope.namespaced { &*dependent.namespace } else { "" };
            let waits = cache
                .entry(&scope.gvr, namespace, &owner.name)
                .is_some_and(|entry| entry.deleting && entry.uid == owner.uid);
            if waits {
                add(key_of(&scope.gvr, namespace, &owner.name));
            }
        }
    }

    async fn discover(&self, shell: &Shell) -> Result<Plan> {
        let outcome = self.resources.refresh(shell).await?;
        let mut plan = Plan { error: outcome.incomplete, ..Plan::nothing() };
        if outcome.changed {
            plan.follow = std::mem::take(&mut *self.unresolved.lock()).into_iter().collect();
        }
        Ok(plan)
    }

    async fn collect(
        &self,
        shell: &Shell,
        key: &Key,
        gvr: &GroupVersionResource,
        item: &Entry,
    ) -> Result<Plan> {
        let cache = &shell.cache;
        if item.deleting && item.has_finalizer(ORPHAN) {
            return Ok(decide::orphan(gvr, item, &dependents(cache, &item.uid)));
        }
        if item.deleting && item.has_finalizer(FOREGROUND) {
            let all = dependents(cache, &item.uid);
            // All are to go, but only some are waited for.
            let waits = all.iter().any(|(_, entry)| blocks(entry, &item.uid));
            let follow = all.iter().filter(|(_, entry)| !entry.deleting);
            let follow = follow.map(|(gvr, entry)| key_of(gvr, &entry.namespace, &entry.name)).collect();
            let plan = if waits { Plan::nothing() } else { decide::without_finalizer(gvr, item, FOREGROUND) };
            return Ok(Plan { follow, ..plan });
        }
        if item.deleting || item.owners.is_empty() {
            return Ok(Plan::nothing());
        }
        let mut sorted = Sorted::default();
        let mut events = vec![];
        for owner in &item.owners {
            let state = self.state_of(shell, key, item, owner, &mut events).await?;
            sorted.add(owner.clone(), state);
        }
        let own: Vec<_> = if sorted.waiting.is_empty() { vec![] } else { dependents(cache, &item.uid) };
        let mut plan = decide::collect(gvr, item, &sorted, &own);
        plan.actions.extend(events);
        Ok(plan)
    }

    async fn state_of(
        &self,
        shell: &Shell,
        key: &Key,
        item: &Entry,
        owner: &Owner,
        events: &mut Vec<crate::plan::Action>,
    ) -> Result<OwnerState> {
        let Some(scope) = self.resources.of_kind(&owner.api_version, &owner.kind) else {
            // Nobody serves the kind (now): that says nothing about the owner.
            let mut unresolved = self.unresolved.lock();
            if unresolved.len() < UNRESOLVED {
                unresolved.insert(key.clone());
            }
            return Ok(OwnerState::Solid);
        };
        if scope.namespaced && item.namespace.is_empty() {
            events.push(invalid_namespace(item, owner));
            return Ok(OwnerState::Solid);
        }
        let namespace = if scope.namespaced { &*item.namespace } else { "" };
        if let Some(known) =
            shell.cache.entry(&scope.gvr, namespace, &owner.name).filter(|known| known.uid == owner.uid)
        {
            let waits = known.deleting && known.has_finalizer(FOREGROUND);
            return Ok(if waits { OwnerState::Waiting } else { OwnerState::Solid });
        }
        if self.absent.lock().contains(&owner.uid) {
            return Ok(OwnerState::Gone);
        }
        // An owner in another namespace is none.
        let elsewhere = |known: &Arc<Entry>| known.uid == owner.uid && *known.namespace != *item.namespace;
        if scope.namespaced && shell.cache.list(&scope.gvr, "").iter().any(elsewhere) {
            events.push(invalid_namespace(item, owner));
        }
        self.ask(shell, &scope, namespace, owner).await
    }

    /// The cache does not have the owner (it need not): only the API itself can say that it is gone.
    async fn ask(&self, shell: &Shell, scope: &Scope, namespace: &str, owner: &Owner) -> Result<OwnerState> {
        let found = shell.client.find(&scope.gvr, namespace, &owner.name).await?;
        let Some(found) = found.filter(|found| *meta::uid(found) == *owner.uid) else {
            let mut absent = self.absent.lock();
            if absent.len() >= ABSENT {
                absent.pop_front();
            }
            absent.push_back(owner.uid.clone());
            return Ok(OwnerState::Gone);
        };
        let waits =
            meta::deletion_timestamp(&found).is_some() && meta::finalizers(&found).any(|f| f == FOREGROUND);
        Ok(if waits { OwnerState::Waiting } else { OwnerState::Solid })
    }
}

fn blocks(entry: &Entry, owner: &str) -> bool {
    entry.owners.iter().any(|reference| &*reference.uid == owner && reference.block_owner_deletion)
}

fn invalid_namespace(item: &Entry, owner: &Owner) -> crate::plan::Action {
    let object = json!({"apiVersion": item.api_version(), "kind": item.kind(),
        "metadata": {"name": item.name, "namespace": item.namespace, "uid": item.uid}});
    let message = format!(
        "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace \"{}\"",
        owner.api_version, owner.kind, item.namespace, owner.name, owner.uid, item.namespace
    );
    crate::plan::Action::event(Event::warning(&object, "OwnerRefInvalidNamespace", message))
}
