//! [`FieldManager`]: the steps of an update and of an apply, in order.

use super::cap::cap_update_managers;
use super::conflict::conflict_error;
use super::entries::{self, Managed, ManagerKey};
use super::last_applied;
use super::updater::{UpdateError, Updater};
use super::versions::Versions;
use crate::error::plain_error;
use crate::fields::FieldSet;
use crate::typed::{self, Type, TypeErrors};
use object::{ApiError, GroupVersion, GroupVersionKind, meta};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The manager that gets what was there before the first apply to an object without managedFields.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// What nobody owns.
static STRIPPED: LazyLock<FieldSet> = LazyLock::new(|| {
    let metadata = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let mut set = FieldSet::of_names(&[&["apiVersion"], &["kind"], &["metadata"]]);
    for field in metadata {
        set = set.union(&FieldSet::of_names(&[&["metadata", field]]));
    }
    set
});

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub struct ManagerInfo<'a> {
    /// The field manager's name ([`super::default_manager_name`] where the request gives none).
    pub manager: &'a str,
    /// Now, as RFC 3339 in UTC with whole seconds.
    pub time: &'a str,
}

/// Field management for one endpoint.
pub struct FieldManager<'a> {
    /// The kind that the endpoint reads and writes, in its version.
    pub kind: &'a GroupVersionKind,
    /// `status`, `scale` …; empty for the main resource.
    pub subresource: &'a str,
    /// The kind's versions.
    pub versions: &'a dyn Versions,
}

impl<'a> FieldManager<'a> {
    /// Brings the managedFields of `new` up to date after a create (`live` is `None`), an update or a patch.
    ///
    /// A client may send managedFields of its own, or reset them with an empty list or `[{}]`. Where ownership cannot be
    /// told (the object is not of its type, a conversion fails), the live entries are kept.
    pub fn update(&self, live: Option<&Value>, new: &mut Value, info: ManagerInfo<'_>) {
        let live_entries = live.and_then(entries::managed_fields);
        let managed = self.entries_for_update(live_entries, new);
        meta::unset(new, "managedFields");
        let untracked = managed.is_empty() && live.is_some_and(|live| !meta::uid(live).is_empty());
        let tracked = if untracked { Ok(managed) } else { self.track(live, new, managed, info) };
        match tracked {
            Ok(managed) => entries::store(new, &managed),
            Err(()) => entries::store_entries(
                new,
                live_entries.and_then(Value::as_array).cloned().unwrap_or_default(),
            ),
        }
    }

    /// The entries to go on from: those the client sent, or the live ones.
    fn entries_for_update(&self, live: Option<&Value>, new: &Value) -> Managed {
        let sent = entries::managed_fields(new);
        if self.subresource.is_empty() {
            if sent.is_some_and(is_reset) {
                return Managed::new();
            }
            if let Ok(managed) = entries::decode(sent)
                && !managed.is_empty()
            {
                return managed;
            }
        }
        entries::decode(live).unwrap_or_default()
    }

    /// Gives what differs between `live` and `new` to the manager.
    fn track(
        &self,
        live: Option<&Value>,
        new: &Value,
        mut managed: Managed,
        info: ManagerInfo<'_>,
    ) -> Result<Managed, ()> {
        let updater = Updater { versions: self.versions };
        let version = self.kind.api_version();
        let empty = live.is_none().then(|| self.empty());
        let live = updater.typed(live.or(empty.as_ref()).unwrap_or(&Value::Null), &version);
        let new = updater.typed(new, &version);
        for object in [&live, &new] {
            typed::validate(object.ty, &object.value, true).map_err(drop)?;
        }
        // A name of its own tells what this write took from what the manager had before.
        let this = ManagerKey::new("current-operation", false, &version, self.subresource);
        updater.update(&live, &new, &mut managed, &this).map_err(drop)?;
        strip(&mut managed, &this);
        if let Some(mut owned) = managed.remove(&this) {
            let manager = ManagerKey::new(info.manager, false, &version, self.subresource);
            if let Some(before) = managed.get(&manager) {
                owned.set = owned.set.union(&before.set);
            }
            owned.time = Some(info.time.into());
            managed.insert(manager, owned);
        }
        cap_update_managers(&mut managed);
        Ok(managed)
    }

    /// Merges the applied `config` into the live object (`None`: it is to be created) and returns the result with its
    /// managedFields. If that is the live object again, managedFields included, there is nothing to write.
    ///
    /// # Errors
    /// 400 for a configuration of another type or with managedFields, 409 for conflicts unless `force`, and a 500 without
    /// a reason for one that is not of its type, as Kubernetes answers.
    pub fn apply(
        &self,
        live: Option<&Value>,
        config: &Value,
        info: ManagerInfo<'_>,
        force: bool,
    ) -> Result<Value, ApiError> {
        let config_kind = kind_of(config);
        if config_kind != *self.kind {
            return Err(ApiError::BadRequest(format!("invalid object type: {config_kind}")));
        }
        if entries::managed_fields(config).is_some() {
            return Err(ApiError::BadRequest("metadata.managedFields must be nil".into()));
        }
        let mut managed = entries::decode(live.and_then(entries::managed_fields))
            .map_err(|error| plain_error(&format!("failed to decode managed fields: {error}")))?;
        let empty = live.is_none().then(|| self.empty());
        let mut object = live.or(empty.as_ref()).cloned().unwrap_or_default();
        meta::unset(&mut object, "managedFields");
        if managed.is_empty() {
            let before = ManagerInfo { manager: BEFORE_FIRST_APPLY, time: info.time };
            let tracked = self.track(None, &object, managed, before);
            managed = tracked.map_err(|()| plain_error("failed to create manager for existing fields"))?;
        }
        // Only kubectl gets a second attempt.
        let again = (info.manager == last_applied::MANAGER).then(|| managed.clone());
        let result = match (self.merge(&object, config, managed, info, force), again) {
            (Err(UpdateError::Conflicts(conflicts)), Some(managed)) => {
                // Fields that kubectl applied from the client's side are its own.
                let allowed = last_applied::allowed(self, &object);
                let rest = last_applied::without(conflicts, allowed.as_ref());
                if !rest.is_empty() {
                    return Err(conflict_error(&rest));
                }
                self.merge(&object, config, managed, info, true)
            }
            (other, _) => other,
        };
        let (managed, merged) = result.map_err(UpdateError::into_api_error)?;
        let mut result = merged.unwrap_or(object);
        if info.manager == last_applied::MANAGER {
            last_applied::refresh(&mut result, config);
        }
        entries::store(&mut result, &managed);
        Ok(result)
    }

    /// One attempt to apply: the entries after it, and the merged object unless it is the live one.
    fn merge(
        &self,
        live: &Value,
        config: &Value,
        mut managed: Managed,
        info: ManagerInfo<'_>,
        force: bool,
    ) -> Result<(Managed, Option<Value>), UpdateError> {
        let updater = Updater { versions: self.versions };
        let version = self.kind.api_version();
        let live = updater.typed(live, &version);
        let config = updater.typed(config, &version);
        let mistyped = |what: &str, object: &Value, errors: TypeErrors| {
            UpdateError::Other(format!(
                "failed to create typed {what} object ({}): {errors}",
                describe(object)
            ))
        };
        typed::validate(config.ty, &config.value, false).map_err(|e| mistyped("patch", &config.value, e))?;
        typed::validate(live.ty, &live.value, true).map_err(|e| mistyped("live", &live.value, e))?;
        let manager = ManagerKey::new(info.manager, true, &version, self.subresource);
        let result = updater.apply(&live, &config, &mut managed, &manager, force)?;
        strip(&mut managed, &manager);
        if result.is_some()
            && let Some(owned) = managed.get_mut(&manager)
        {
            owned.time = Some(info.time.into());
        }
        Ok((managed, result))
    }

    /// The type of the endpoint's objects.
    pub(super) fn ty(&self) -> Type<'_> {
        Type::new(self.versions.schema(&self.kind.api_version()))
    }

    /// An object of the kind before anything is set.
    fn empty(&self) -> Value {
        let mut object = match self.versions.schema(&self.kind.api_version()) {
            Some(schema) if typed::is_builtin(schema) => schema::decode::zero(schema),
            _ => Value::Object(Map::new()),
        };
        object["apiVersion"] = json!(self.kind.api_version());
        object["kind"] = json!(self.kind.kind);
        object
    }
}

/// Takes from a manager what nobody owns.
fn strip(managed: &mut Managed, manager: &ManagerKey) {
    if let Some(owned) = managed.get_mut(manager) {
        owned.set.remove(&STRIPPED);
        if owned.set.is_empty() {
            managed.remove(manager);
        }
    }
}

/// An empty list, or one empty entry, asks to forget all ownership.
fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

/// The kind an object says it is, as far as it can be read.
fn kind_of(object: &Value) -> GroupVersionKind {
    let kind = object["kind"].as_str().unwrap_or("");
    match object["apiVersion"].as_str().filter(|v| !v.is_empty()) {
        None => GroupVersionKind::new("", "", kind),
        Some(version) => GroupVersion::parse(version).map(|version| version.kind(kind)).unwrap_or_default(),
    }
}

/// `namespace/name; group/version, Kind=kind`.
fn describe(object: &Value) -> String {
    format!("{}/{}; {}", meta::namespace(object), meta::name(object), kind_of(object))
}
