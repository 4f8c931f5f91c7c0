//! CustomResourceDefinitions: accepted, established and served at once, and cleaned up after.
//!
//! What is served follows the definitions in the store ([`Served`]); the status conditions that clients wait for are written
//! by [`settle`] right after a definition is created, changed or deleted.

use crate::call::{Call, Target};
use crate::followed::State;
use crate::strategy::DEFINITION_FINALIZER;
use crate::{Api, failure, keys, managed, stored};
use kinds::{Registry, Resource};
use object::{ApiError, Result, Value, json, meta};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Expect, ListRequest, StoreError, Write};

/// The kinds this server serves: built-in ones and those of established definitions.
pub(crate) struct Served {
    registry: Arc<Registry>,
    /// The resources each definition added, by its name.
    added: BTreeMap<String, Vec<Arc<Resource>>>,
    /// The accepted names of each definition, by group and its name.
    names: BTreeMap<String, BTreeMap<String, Value>>,
    /// Definitions that are not established, or on their way out.
    unsettled: BTreeSet<String>,
}

impl Default for Served {
    fn default() -> Self {
        Self {
            registry: Arc::new(Registry::builtin()),
            added: BTreeMap::new(),
            names: BTreeMap::new(),
            unsettled: BTreeSet::new(),
        }
    }
}

impl State for Served {
    fn apply(&mut self, key: &str, object: Option<Value>) {
        let name = key.rsplit('/').next().unwrap_or("").to_owned();
        self.remember_names(&name, object.as_ref());
        let settled = |d: &Value| is_true(d, "Established") && meta::deletion_timestamp(d).is_none();
        match object.as_ref().is_none_or(settled) {
            true => drop(self.unsettled.remove(&name)),
            false => drop(self.unsettled.insert(name.clone())),
        }
        let wanted = object
            .as_ref()
            .filter(|d| is_true(d, "Established"))
            .map(kinds::custom::resources)
            .unwrap_or_default();
        let had = self.added.remove(&name).unwrap_or_default();
        if had.is_empty() && wanted.is_empty() {
            return;
        }
        let registry = Arc::make_mut(&mut self.registry);
        for resource in had {
            registry.remove(&resource.gvr);
        }
        let added: Vec<_> = wanted.into_iter().filter(|r| registry.insert(r.clone())).collect();
        if !added.is_empty() {
            self.added.insert(name, added);
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Served {
    /// Definitions are named `<plural>.<group>`.
    fn remember_names(&mut self, name: &str, definition: Option<&Value>) {
        let group = name.split_once('.').map_or("", |(_, group)| group).to_owned();
        let names = self.names.entry(group.clone()).or_default();
        match definition {
            Some(definition) => {
                drop(names.insert(name.to_owned(), definition["status"]["acceptedNames"].clone()))
            }
            None => drop(names.remove(name)),
        }
        if names.is_empty() {
            self.names.remove(&group);
        }
    }
}

impl Api {
    /// The kinds served now.
    pub(crate) async fn registry(&self) -> Result<Arc<Registry>> {
        Ok(self.definitions.read().await?.state.registry.clone())
    }
}

fn is_true(definition: &Value, condition: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == condition && c["status"] == "True")
}

/// Brings a definition's status up to date after a write, and removes it when it is being deleted and nothing of it is left.
pub(crate) async fn settle(call: &Call, name: &str) -> Result<()> {
    let key = format!("/apiextensions.k8s.io/customresourcedefinitions/{name}");
    for _ in 0..16 {
        let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
        let Some(entry) = entry else { return Ok(()) };
        let Some(definition) = stored::decode(&entry) else { return Ok(()) };
        let value = match meta::deletion_timestamp(&definition) {
            Some(_) => emptied(call, &definition).await?,
            None => Some(settled(call, &definition).await?),
        };
        let mut value = value;
        if let (Some(new), Some(resource)) = (&mut value, definitions_resource(call).await?) {
            managed::on_status(call, &resource, "kube-apiserver", &definition, new);
        }
        let again = value.as_ref().is_some_and(|new| is_being_emptied(new) && !is_being_emptied(&definition));
        let value = value.as_ref().map(stored::encode);
        if value.as_ref() == Some(&entry.value) {
            return Ok(());
        }
        let removed = value.is_none();
        let write = Write { key: entry.key, expect: Expect::At(entry.mod_revision), value, ttl: None };
        match call.api.store.write(write).await {
            Ok(_) if again => {}
            Ok(_) => {
                if removed {
                    settle_rivals(call, &definition).await?;
                }
                return crate::api_services::follow(call, &definition).await;
            }
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(failure::store(error)),
        }
    }
    Ok(())
}

const TERMINATING: &str = "Terminating";

/// Its objects are being deleted.
fn is_being_emptied(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == TERMINATING && c["reason"] == "InstanceDeletionInProgress")
}

/// The next state of a definition under deletion: it says that its objects are being deleted, then it lets go. `None` when
/// nothing else holds it.
async fn emptied(call: &Call, definition: &Value) -> Result<Option<Value>> {
    let mut rest = definition.clone();
    let now = object::time::format(call.now);
    if !meta::finalizers(definition).any(|f| f == DEFINITION_FINALIZER) {
        return Ok(Some(rest));
    }
    if !is_being_emptied(definition) {
        let message = "CustomResource deletion is in progress";
        set_condition(&mut rest, &now, TERMINATING, true, "InstanceDeletionInProgress", message);
        return Ok(Some(rest));
    }
    if !remove_objects(call, definition).await? {
        return Ok(Some(rest));
    }
    let (reason, message) = match is_true(definition, "Established") {
        true => ("InstanceDeletionCompleted", "removed all instances"),
        false => ("NeverEstablished", "resource was never established"),
    };
    set_condition(&mut rest, &now, TERMINATING, false, reason, message);
    let finalizers: Vec<Value> =
        meta::finalizers(&rest).filter(|f| *f != DEFINITION_FINALIZER).map(Value::from).collect();
    let last = finalizers.is_empty();
    meta::set(&mut rest, "finalizers", finalizers);
    Ok((!last).then_some(rest))
}

/// Settles what a server did not come to that was killed right after it took a definition or its deletion.
pub(crate) async fn resume(api: &Arc<Api>) -> Result<()> {
    let unsettled = api.definitions.read().await?.state.unsettled.clone();
    let call = Call::of_server(api.clone());
    for name in unsettled {
        settle(&call, &name).await?;
    }
    Ok(())
}

/// Definitions of the same group may have waited for the names of one that is gone.
async fn settle_rivals(call: &Call, gone: &Value) -> Result<()> {
    let group = gone["spec"]["group"].as_str().unwrap_or("");
    let rivals: Vec<String> = {
        let served = call.api.definitions.read().await?;
        let all = served.state.names.get(group).into_iter().flatten();
        // Only those without all of their names can gain any.
        all.filter(|(name, _)| !served.state.added.contains_key(*name))
            .map(|(name, _)| name.clone())
            .collect()
    };
    for name in rivals {
        Box::pin(settle(call, &name)).await?;
    }
    Ok(())
}

/// No object is made of a definition that is on its way out.
///
/// # Errors
/// 403.
pub(crate) async fn check_not_terminating(call: &Call, target: &Target, object: &Value) -> Result<()> {
    if !target.resource.custom {
        return Ok(());
    }
    let resource = target.group_resource();
    let leaving = call.api.definitions.read().await?.state.unsettled.contains(&resource.to_string());
    if !leaving {
        return Ok(());
    }
    Err(ApiError::Forbidden {
        resource,
        name: meta::name(object).into(),
        reason: "create not allowed while custom resource definition is terminating".into(),
    })
}

/// The resource of definitions themselves.
async fn definitions_resource(call: &Call) -> Result<Option<Arc<Resource>>> {
    let registry = call.api.registry().await?;
    Ok(registry.get("apiextensions.k8s.io", "v1", "customresourcedefinitions").cloned())
}

/// The definition with its names accepted, or refused because another one has them.
async fn settled(call: &Call, definition: &Value) -> Result<Value> {
    let mut definition = definition.clone();
    let group = definition["spec"]["group"].as_str().unwrap_or("").to_owned();
    let others: Vec<Value> = {
        let served = call.api.definitions.read().await?;
        let all = served.state.names.get(&group).into_iter().flatten();
        all.filter(|(name, _)| **name != *meta::name(&definition)).map(|(_, names)| names.clone()).collect()
    };
    let now = object::time::format(call.now);
    let conflict = accept_names(&mut definition, &others);
    let established = is_true(&definition, "Established");
    let set = &mut definition;
    match conflict {
        None => {
            set_condition(set, &now, "NamesAccepted", true, "NoConflicts", "no conflicts found");
            let message = "the initial names have been accepted";
            set_condition(set, &now, "Established", true, "InitialNamesAccepted", message);
        }
        Some((reason, message)) => {
            set_condition(set, &now, "NamesAccepted", false, reason, &message);
            if !established {
                set_condition(set, &now, "Established", false, "NotAccepted", "not all names are accepted");
            }
        }
    }
    Ok(definition)
}

/// Accepts the names that no other definition of the group has, and says which of the rest came last.
fn accept_names(definition: &mut Value, taken: &[Value]) -> Option<(&'static str, String)> {
    let has = |word: &str, fields: &[&str]| {
        let holds = |v: &Value| v == word || v.as_array().is_some_and(|l| l.iter().any(|w| w == word));
        !word.is_empty() && taken.iter().any(|names| fields.iter().any(|f| holds(&names[*f])))
    };
    let (resources, kinds) = (&["plural", "singular", "shortNames"][..], &["kind", "listKind"][..]);
    let wanted = definition["spec"]["names"].clone();
    let mut conflict = None;
    for (field, reason, fields) in [
        ("plural", "PluralConflict", resources),
        ("singular", "SingularConflict", resources),
        ("shortNames", "ShortNamesConflict", resources),
        ("kind", "KindConflict", kinds),
        ("listKind", "ListKindConflict", kinds),
    ] {
        let words: Vec<&str> = match &wanted[field] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            word => word.as_str().into_iter().collect(),
        };
        let clashes: Vec<String> =
            words.iter().filter(|w| has(w, fields)).map(|w| format!("\"{w}\" is already in use")).collect();
        match clashes.as_slice() {
            [] => accept(definition, field, &wanted[field]),
            [one] => conflict = Some((reason, one.clone())),
            many => conflict = Some((reason, format!("[{}]", many.join(", ")))),
        }
    }
    accept(definition, "categories", &wanted["categories"]);
    conflict
}

fn accept(definition: &mut Value, field: &str, names: &Value) {
    let accepted = &mut definition["status"]["acceptedNames"];
    if !names.is_null() {
        accepted[field] = names.clone();
    } else if let Some(map) = accepted.as_object_mut() {
        map.remove(field);
    }
}

fn set_condition(definition: &mut Value, now: &str, kind: &str, holds: bool, reason: &str, message: &str) {
    let status = if holds { "True" } else { "False" };
    let conditions = &mut definition["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    let condition = json!({"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message});
    match list.iter_mut().find(|c| c["type"] == kind) {
        Some(held) if held["status"] == status => {
            held["reason"] = reason.into();
            held["message"] = message.into();
        }
        Some(held) => *held = condition,
        None => list.push(condition),
    }
}

/// Deletes the objects of a definition; whether none is left.
async fn remove_objects(call: &Call, definition: &Value) -> Result<bool> {
    // In the version they are kept in, so that nothing has to be converted.
    let Some(resource) = kinds::custom::stored_resource(definition) else { return Ok(true) };
    let prefix = keys::prefix(&resource, "");
    let listing = call
        .api
        .store
        .list(ListRequest { prefix: prefix.clone(), ..Default::default() })
        .await
        .map_err(failure::store)?;
    for entry in listing.entries {
        let Some(object) = stored::decode(&entry) else { continue };
        let at = crate::request::ResourcePath {
            group: resource.gvr.group.clone(),
            version: resource.gvr.version.clone(),
            resource: resource.gvr.resource.clone(),
            namespace: meta::namespace(&object).to_owned(),
            name: meta::name(&object).to_owned(),
            ..Default::default()
        };
        let target = Target::new(resource.clone(), at);
        let options = Default::default();
        if let Err(error) = Box::pin(crate::verbs::delete::delete_object(call, &target, &options)).await {
            tracing::warn!(key = %entry.key, %error, "object of a deleted definition stays for now");
        }
    }
    Ok(call.api.store.count(&prefix).await.map_err(failure::store)? == 0)
}

/// After a custom object is gone: its definition may be waiting for that.
pub(crate) async fn object_removed(call: &Call, target: &Target) {
    if !target.resource.custom {
        return;
    }
    let name = target.resource.group_resource().to_string();
    let key = format!("/apiextensions.k8s.io/customresourcedefinitions/{name}");
    let waiting = match call.api.store.get(&key).await {
        Ok((Some(entry), _)) => {
            stored::decode(&entry).is_some_and(|d| meta::deletion_timestamp(&d).is_some())
        }
        _ => false,
    };
    let left = call.api.store.count(&keys::prefix(&target.resource, "")).await.unwrap_or(1);
    if waiting
        && left == 0
        && let Err(error) = Box::pin(settle(call, &name)).await
    {
        tracing::warn!(name, %error, "definition was not removed");
    }
}
