//! Moving ownership when an object changes, across the versions in which managers wrote.

use super::conflict::{Conflicts, conflict_error};
use super::entries::{Managed, ManagerKey, Owned};
use super::versions::Versions;
use crate::error::plain_error;
use crate::fields::FieldSet;
use crate::fields::value_order::equal;
use crate::typed::{self, Comparison, Type};
use object::ApiError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;

/// A value that is cheap to clone.
#[derive(Clone)]
pub(crate) enum Shared<'a> {
    Borrowed(&'a Value),
    Owned(Rc<Value>),
}

impl std::ops::Deref for Shared<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Borrowed(value) => value,
            Self::Owned(value) => value,
        }
    }
}

impl From<Value> for Shared<'_> {
    fn from(value: Value) -> Self {
        Self::Owned(Rc::new(value))
    }
}

impl<'a> From<&'a Value> for Shared<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Borrowed(value)
    }
}

/// An object in one version.
#[derive(Clone)]
pub(crate) struct Typed<'a> {
    pub(crate) value: Shared<'a>,
    pub(crate) api_version: String,
    pub(crate) ty: Type<'a>,
}

impl Typed<'_> {
    fn compare(&self, new: &Self) -> Comparison {
        typed::compare(self.ty, &self.value, &new.value)
    }

    fn set(&self) -> FieldSet {
        typed::to_set(self.ty, &self.value)
    }

    fn named(&self, set: &FieldSet) -> FieldSet {
        typed::with_named_fields(set, Some(self.ty))
    }

    fn without(&self, fields: &FieldSet) -> Self {
        Self { value: typed::remove(self.ty, &self.value, fields).into(), ..self.clone() }
    }
}

/// What went wrong in an apply.
pub(crate) enum UpdateError {
    /// Others own what would change.
    Conflicts(Conflicts),
    /// Anything else, told by a message only.
    Other(String),
}

impl UpdateError {
    /// What the client is told.
    pub(crate) fn into_api_error(self) -> ApiError {
        match self {
            Self::Conflicts(conflicts) => conflict_error(&conflicts),
            Self::Other(message) => plain_error(&message),
        }
    }
}

/// Where the entries themselves are.
static MANAGED_FIELDS: LazyLock<FieldSet> =
    LazyLock::new(|| FieldSet::of_names(&[&["metadata", "managedFields"]]));

/// Ownership arithmetic for one endpoint.
pub(crate) struct Updater<'a> {
    pub(crate) versions: &'a dyn Versions,
}

impl<'a> Updater<'a> {
    /// `value`, which is of version `api_version`.
    pub(crate) fn typed(&self, value: impl Into<Shared<'a>>, api_version: &str) -> Typed<'a> {
        let ty = Type::new(self.versions.schema(api_version));
        Typed { value: value.into(), api_version: api_version.into(), ty }
    }

    /// `Ok(None)`: the version is not known any more.
    fn convert(&self, object: &Typed<'a>, api_version: &str) -> Result<Option<Typed<'a>>, UpdateError> {
        if object.api_version == api_version {
            return Ok(Some(object.clone()));
        }
        if !self.versions.is_known(api_version) {
            return Ok(None);
        }
        let converted = self.versions.convert(&object.value, api_version).ok_or_else(|| {
            UpdateError::Other(format!("failed to convert from {} to {api_version}", object.api_version))
        })?;
        Ok(Some(self.typed(converted, api_version)))
    }

    /// After a write that is not an apply: `manager` gets what changed, everybody else loses it.
    pub(crate) fn update(
        &self,
        live: &Typed<'a>,
        new: &Typed<'a>,
        managed: &mut Managed,
        manager: &ManagerKey,
    ) -> Result<(), UpdateError> {
        self.reconcile(live, managed)?;
        let change = self.take(live, new, managed, manager, true)?;
        let mut set = managed.remove(manager).map(|owned| owned.set).unwrap_or_default();
        set.remove(&change.removed);
        set.add(change.modified);
        set.add(change.added);
        let set = self.versions.filter(&new.api_version).apply(set);
        if !set.is_empty() {
            managed.insert(manager.clone(), Owned { set, api_version: new.api_version.clone(), time: None });
        }
        Ok(())
    }

    /// Applies `config`: the merged object, or `None` if it is the live one.
    pub(crate) fn apply(
        &self,
        live: &Typed<'a>,
        config: &Typed<'a>,
        managed: &mut Managed,
        manager: &ManagerKey,
        force: bool,
    ) -> Result<Option<Value>, UpdateError> {
        self.reconcile(live, managed)?;
        let merged =
            Typed { value: typed::merge(live.ty, &live.value, &config.value).into(), ..live.clone() };
        let last = managed.remove(manager);
        let set = self.versions.filter(&config.api_version).apply(config.set());
        let time = last.as_ref().and_then(|owned| owned.time.clone());
        // What is applied again cannot be pruned, which is all of it most of the time.
        let gone = last
            .filter(|last| last.api_version != config.api_version || !last.set.difference(&set).is_empty());
        managed.insert(manager.clone(), Owned { set, api_version: config.api_version.clone(), time });
        let new = match gone {
            Some(last) => self.prune(merged, managed, &config.api_version, &last)?,
            None => merged,
        };
        self.take(live, &new, managed, manager, force)?;
        if equal(&live.value, &new.value) {
            return Ok(None);
        }
        Ok(Some(match new.value {
            Shared::Owned(value) => Rc::unwrap_or_clone(value),
            Shared::Borrowed(value) => value.clone(),
        }))
    }

    /// Takes what changed from everybody but `manager`. Without `force` that is refused if any of it was owned.
    fn take(
        &self,
        live: &Typed<'a>,
        new: &Typed<'a>,
        managed: &mut Managed,
        manager: &ManagerKey,
        force: bool,
    ) -> Result<Comparison, UpdateError> {
        let compared = |live: &Typed<'a>, new: &Typed<'a>, version: &str| {
            let mut change = live.compare(new).filter(self.versions.filter(version));
            change.removed.remove(&MANAGED_FIELDS);
            change
        };
        let mut changes = BTreeMap::from([(new.api_version.clone(), compared(live, new, &new.api_version))]);
        let mut conflicts = Conflicts::new();
        let mut dropped = Vec::new();
        for (key, owned) in managed.iter().filter(|(key, _)| *key != manager) {
            if !changes.contains_key(&owned.api_version) {
                let live = self.convert(live, &owned.api_version)?;
                let (Some(live), Some(new)) = (live, self.convert(new, &owned.api_version)?) else {
                    dropped.push(key.clone());
                    continue;
                };
                changes.insert(owned.api_version.clone(), compared(&live, &new, &owned.api_version));
            }
            let Comparison { modified, added, .. } = &changes[&owned.api_version];
            let mut conflict = owned.set.intersection(modified);
            conflict.add(owned.set.intersection(added));
            if !conflict.is_empty() {
                conflicts.push((key.clone(), conflict));
            }
        }
        for key in dropped {
            managed.remove(&key);
        }
        if !force && !conflicts.is_empty() {
            return Err(UpdateError::Conflicts(conflicts));
        }
        for (key, set) in &conflicts {
            if let Some(owned) = managed.get_mut(key) {
                owned.set.remove(set);
            }
        }
        for (key, owned) in managed.iter_mut().filter(|(key, _)| *key != manager) {
            debug_assert_ne!(key, manager);
            if let Some(change) = changes.get(&owned.api_version) {
                owned.set.remove(&change.removed);
            }
        }
        managed.retain(|_, owned| !owned.set.is_empty());
        Ok(changes.remove(&new.api_version).unwrap_or_default())
    }

    /// Removes what the manager applied last time and does not apply now, unless somebody else owns it.
    fn prune(
        &self,
        merged: Typed<'a>,
        managed: &Managed,
        config_version: &str,
        last: &Owned,
    ) -> Result<Typed<'a>, UpdateError> {
        let Some(merged_then) = self.convert(&merged, &last.api_version)? else { return Ok(merged) };
        let pruned = merged_then.without(&merged_then.named(&last.set));
        let pruned = self.add_back_owned(&merged_then, pruned, &last.api_version, managed)?;
        let pruned = self.add_back_dangling(&merged_then, &pruned, last)?;
        Ok(self.convert(&pruned, config_version)?.unwrap_or(pruned))
    }

    /// Puts back what was pruned though a manager (this one's new configuration included) owns it.
    fn add_back_owned(
        &self,
        merged: &Typed<'a>,
        pruned: Typed<'a>,
        pruned_version: &str,
        managed: &Managed,
    ) -> Result<Typed<'a>, UpdateError> {
        let mut by_version: BTreeMap<&str, FieldSet> = BTreeMap::new();
        for owned in managed.values() {
            let set = by_version.entry(&owned.api_version).or_default();
            *set = set.union(&owned.set);
        }
        // First in the version that was pruned in: conversion may need the fields.
        let first = by_version.remove_entry(pruned_version);
        let (mut merged, mut pruned) = (merged.clone(), pruned);
        for (version, owned) in first.into_iter().chain(by_version) {
            let (Some(merged_then), Some(pruned_then)) =
                (self.convert(&merged, version)?, self.convert(&pruned, version)?)
            else {
                continue;
            };
            let all = merged_then.named(&merged_then.set());
            let kept = merged_then.named(&pruned_then.set()).union(&merged_then.named(&owned));
            pruned = merged_then.without(&all.difference(&kept));
            merged = merged_then;
        }
        Ok(pruned)
    }

    /// Puts back what was pruned along with its parent though this manager had never applied it.
    fn add_back_dangling(
        &self,
        merged: &Typed<'a>,
        pruned: &Typed<'a>,
        last: &Owned,
    ) -> Result<Typed<'a>, UpdateError> {
        let Some(pruned) = self.convert(pruned, &last.api_version)? else { return Ok(merged.clone()) };
        let gone = merged.named(&merged.set()).difference(&merged.named(&pruned.set()));
        Ok(merged.without(&gone.intersection(&merged.named(&last.set))))
    }

    /// Brings recorded ownership in line with types that became atomic since; drops unknown versions.
    fn reconcile(&self, live: &Typed<'a>, managed: &mut Managed) -> Result<(), UpdateError> {
        managed.retain(|_, owned| {
            owned.api_version == live.api_version || self.versions.is_known(&owned.api_version)
        });
        for owned in managed.values_mut() {
            let ty = Type::new(self.versions.schema(&owned.api_version));
            if let Some(set) = typed::reconcile(&owned.set, ty) {
                owned.set = set;
            }
        }
        Ok(())
    }
}
