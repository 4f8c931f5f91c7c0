//! At most ten entries from updates: the oldest of a version are merged into one.

use super::entries::{Managed, ManagerKey, Owned, seconds};
use std::collections::BTreeMap;

/// How many entries from updates an object keeps.
const MAX_UPDATE_MANAGERS: usize = 10;

/// The manager that older entries are merged into.
const OLD_UPDATES_MANAGER: &str = "ancient-changes";

/// Merges the oldest update entries, version by version, until there are no more than the limit.
pub(crate) fn cap_update_managers(managed: &mut Managed) {
    let mut updaters: Vec<ManagerKey> = managed.keys().filter(|key| !key.applied).cloned().collect();
    let mut count = updaters.len();
    if count <= MAX_UPDATE_MANAGERS {
        return;
    }
    updaters.sort_by(|a, b| {
        let time = |key: &ManagerKey| managed.get(key).map_or("", |owned| seconds(owned.time.as_deref()));
        time(a).cmp(time(b)).then_with(|| a.cmp(b))
    });
    let mut first_of_version: BTreeMap<String, ManagerKey> = BTreeMap::new();
    for key in updaters {
        if count <= MAX_UPDATE_MANAGERS {
            break;
        }
        let Some(owned) = managed.get(&key).cloned() else { continue };
        let Some(first) = first_of_version.get(&owned.api_version) else {
            first_of_version.insert(owned.api_version, key);
            continue;
        };
        let bucket = ManagerKey::new(OLD_UPDATES_MANAGER, false, &owned.api_version, "");
        if !managed.contains_key(&bucket)
            && let Some(oldest) = managed.remove(first)
        {
            managed.insert(bucket.clone(), oldest);
        }
        managed.remove(&key);
        count -= 1;
        let Owned { set, api_version, time } = owned;
        managed
            .entry(bucket)
            .and_modify(|old| {
                old.set = old.set.union(&set);
                old.time.clone_from(&time);
            })
            .or_insert(Owned { set, api_version, time });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldSet;

    #[test]
    fn merges_the_oldest_of_a_version() {
        let mut managed = Managed::new();
        for n in 0..12 {
            let field = format!("f{n:02}");
            let owned = Owned {
                set: FieldSet::of_names(&[&[&field]]),
                api_version: "v1".into(),
                time: Some(format!("2026-01-01T00:00:{n:02}Z")),
            };
            managed.insert(ManagerKey::new(&format!("m{n:02}"), false, "v1", ""), owned);
        }
        cap_update_managers(&mut managed);
        assert_eq!(managed.len(), 10);
        let bucket = &managed[&ManagerKey::new("ancient-changes", false, "v1", "")];
        assert_eq!(bucket.set, FieldSet::of_names(&[&["f00"], &["f01"], &["f02"]]));
        assert_eq!(bucket.time.as_deref(), Some("2026-01-01T00:00:02Z"));
    }
}
