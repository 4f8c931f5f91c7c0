//! Which resources there are: all whose objects can be listed, watched and deleted are tracked.

use crate::driver::Shell;
use crate::resources::CUSTOM_RESOURCE_DEFINITIONS;
use client::Keep;
use client::discovery::{Discovery, discover};
use object::{GroupVersion, GroupVersionResource, Result};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// Where the objects of a kind are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) gvr: GroupVersionResource,
    pub(super) namespaced: bool,
}

/// By group and kind.
type Kinds = HashMap<(Box<str>, Box<str>), Scope>;

/// The last kinds that some collector found: most virtual clusters serve the same, and then have them in common.
static LAST: Mutex<Weak<Kinds>> = Mutex::new(Weak::new());

/// Kinds by group and name, and the resources that are tracked for the collector's sake alone.
#[derive(Default)]
pub(super) struct Resources {
    kinds: RwLock<Arc<Kinds>>,
    tracked: RwLock<HashSet<GroupVersionResource>>,
}

pub(super) struct Refreshed {
    pub(super) changed: bool,
    /// What is not served yet (or could not be asked for).
    pub(super) incomplete: Option<String>,
}

impl Resources {
    /// Where objects of this kind are; in whatever version the server prefers.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<Scope> {
        let group = GroupVersion::parse(api_version)?.group;
        self.kinds.read().get(&(group.into(), kind.into())).cloned()
    }

    /// Asks the server again what there is.
    pub(super) async fn refresh(&self, shell: &Shell) -> Result<Refreshed> {
        let found = discover(&shell.client).await?;
        let kinds = kinds(&found);
        let wanted: HashSet<_> = collectable(&found);
        let failed: HashSet<_> = found.failed.iter().map(|(gv, _)| gv.group.clone()).collect();
        let mut tracked = self.tracked.write();
        let before = tracked.len();
        for gvr in &wanted {
            if !tracked.contains(gvr) && shell.cache.store(gvr).is_none() {
                shell.cache.track(gvr, Keep::Dependents);
                tracked.insert(gvr.clone());
            }
        }
        let added = tracked.len() != before;
        tracked.retain(|gvr| {
            // A group that cannot be asked right now may be there still.
            let keep = wanted.contains(gvr) || failed.contains(&gvr.group);
            if !keep {
                shell.cache.untrack(gvr);
            }
            keep
        });
        drop(tracked);
        let mut known = self.kinds.write();
        let changed = added || known.len() != kinds.len();
        *known = shared(kinds);
        drop(known);
        Ok(Refreshed { changed, incomplete: missing(shell, &found) })
    }
}

/// The same kinds, in memory once if the last collector that asked found just these.
fn shared(kinds: Kinds) -> Arc<Kinds> {
    let mut last = LAST.lock();
    match last.upgrade() {
        Some(held) if *held == kinds => held,
        _ => {
            let kinds = Arc::new(kinds);
            *last = Arc::downgrade(&kinds);
            kinds
        }
    }
}

fn kinds(found: &Discovery) -> Kinds {
    let mut kinds = HashMap::new();
    for resource in found.resources.iter().filter(|resource| resource.can(&["get"])) {
        let scope = Scope { gvr: resource.gvr.clone(), namespaced: resource.namespaced };
        // The first of a kind is of the preferred version.
        kinds.entry((resource.gvr.group.as_str().into(), resource.kind.as_str().into())).or_insert(scope);
    }
    kinds
}

/// Events come and go too fast to be worth it, as upstream has it.
fn collectable(found: &Discovery) -> HashSet<GroupVersionResource> {
    let wanted = found.resources.iter().filter(|r| r.preferred && r.can(&["list", "watch", "delete"]));
    wanted.map(|resource| resource.gvr.clone()).filter(|gvr| gvr.resource != "events").collect()
}

/// Definitions whose resource is not served yet.
fn missing(shell: &Shell, found: &Discovery) -> Option<String> {
    let served: HashSet<_> =
        found.resources.iter().map(|r| format!("{}.{}", r.gvr.resource, r.gvr.group)).collect();
    let definitions = shell.cache.list(&CUSTOM_RESOURCE_DEFINITIONS, "");
    let missing = definitions.iter().find(|entry| !entry.deleting && !served.contains(&*entry.name))?;
    Some(format!("{} is not served yet", missing.name))
}
