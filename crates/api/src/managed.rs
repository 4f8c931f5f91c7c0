//! Who owns which field: the `merge` crate's managed fields, fed with what the request says.

use crate::call::{Call, Target};
use crate::pipeline::{Manage, Write};
use crate::request::ResourcePath;
use crate::{codec, conversion, strategy};
use kinds::Resource;
use merge::{FieldFilter, FieldManager, ManagerInfo, SeveralVersions, SingleVersion};
use object::{Result, Value, json, meta};
use std::sync::Arc;

/// Gives the fields that changed to whoever changed them: of a new object all, also the lists that every object of the kind
/// has and that are sent empty and kept as none.
pub(crate) async fn own_changes(write: &Write<'_>, manage_as: &Manage, object: &mut Value) -> Result<()> {
    let (call, target) = (write.call, write.target);
    let manager = match manage_as {
        Manage::Applied | Manage::Nobody => return Ok(()),
        Manage::Update => manager_name(call),
    };
    let mut empties = call.empties.lock().clone();
    empties.retain(|empty| empty.stands_for_null(object));
    empties.iter().for_each(|empty| empty.put(object, true));
    if conversion::webhook(&target.resource).is_none() {
        manage(call, target, &manager, |fields, info| fields.update(write.old, object, info));
    } else {
        let settled = || {
            let mut object = object.clone();
            manage(call, target, &manager, |fields, info| fields.update(write.old, &mut object, info));
            object
        };
        *object = conversion::with_conversions(call, target, settled).await?;
    }
    empties.iter().for_each(|empty| empty.put(object, false));
    Ok(())
}

/// Managed fields of an object that is answered but never stored.
pub(crate) fn on_token(call: &Call, target: &Target, object: &mut Value) {
    let manager = manager_name(call);
    manage(call, target, &manager, |fields, info| fields.update(None, object, info));
}

/// `config` merged into `object` as an apply would, whoever owns what.
pub(crate) fn merged(call: &Call, target: &Target, object: &Value, config: &Value) -> Result<Value> {
    let mut live = object.clone();
    meta::unset(&mut live, "managedFields");
    manage(call, target, "admission", |fields, info| fields.apply(Some(&live), config, info, true))
}

/// `new` with what changed from `live` given to the request's manager.
pub(crate) fn updated(call: &Call, target: &Target, live: &Value, mut new: Value) -> Value {
    let manager = manager_name(call);
    manage(call, target, &manager, |fields, info| fields.update(Some(live), &mut new, info));
    new
}

/// The live object with an applied configuration merged in.
pub(crate) fn apply(
    call: &Call,
    target: &Target,
    live: Option<&Value>,
    config: &Value,
    force: bool,
) -> Result<Value> {
    let manager = manager_name(call);
    manage(call, target, &manager, |fields, info| fields.apply(live, config, info, force))
}

/// Who writes a status on the server's own behalf, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    /// By server-side apply of the condition alone.
    Applied(&'static str),
    /// By an update.
    Updated(&'static str),
}

/// `old` with a condition set in its status, owned by whoever sets it.
pub(crate) fn with_condition(
    call: &Call,
    resource: &Arc<Resource>,
    old: &Value,
    owner: Status,
    condition: Value,
) -> Result<Value> {
    let at = ResourcePath { subresource: "status".into(), ..ResourcePath::default() };
    let target = Target::new(resource.clone(), at);
    match owner {
        Status::Applied(manager) => {
            let config = json!({
                "apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": {"name": meta::name(old)},
                "status": {"conditions": [condition]},
            });
            manage(call, &target, manager, |fields, info| fields.apply(Some(old), &config, info, true))
        }
        Status::Updated(manager) => {
            let mut new = old.clone();
            let mut conditions = new["status"]["conditions"].as_array().cloned().unwrap_or_default();
            match conditions.iter_mut().find(|c| c["type"] == condition["type"]) {
                Some(held) => *held = condition,
                None => conditions.push(condition),
            }
            new["status"]["conditions"] = conditions.into();
            on_status(call, resource, manager, old, &mut new);
            Ok(new)
        }
    }
}

/// Gives what differs in the status to a manager of the server's own.
pub(crate) fn on_status(call: &Call, resource: &Arc<Resource>, manager: &str, old: &Value, new: &mut Value) {
    let at = ResourcePath { subresource: "status".into(), ..ResourcePath::default() };
    let target = Target::new(resource.clone(), at);
    manage(call, &target, manager, |fields, info| fields.update(Some(old), new, info));
}

/// Gives the fields of an APIService that the server makes to the server.
pub(crate) async fn as_server(call: &Call, object: &mut Value) -> Result<()> {
    let registry = call.api.registry().await?;
    if let Some(resource) = registry.get("apiregistration.k8s.io", "v1", "apiservices") {
        let target = Target::new(resource.clone(), ResourcePath::default());
        manage(call, &target, "kube-apiserver", |fields, info| fields.update(None, object, info));
    }
    Ok(())
}

fn manager_name(call: &Call) -> String {
    merge::default_manager_name(call.query.get("fieldManager"), call.header("user-agent"))
}

fn manage<T>(
    call: &Call,
    target: &Target,
    manager: &str,
    then: impl FnOnce(&FieldManager<'_>, ManagerInfo<'_>) -> T,
) -> T {
    let resource = &target.resource;
    let subresource = target.subresource();
    let kind = subresource.map_or_else(|| resource.gvk(), |s| s.gvk.clone());
    let schema = subresource.and_then(|s| s.schema.as_ref()).unwrap_or(&resource.schema);
    let api_version = kind.api_version();
    let filter = filter(resource, &target.at.subresource);
    let time = object::time::format(call.now);
    let info = ManagerInfo { manager, time: &time };
    let several = target.versions.len() > 1 && subresource.is_none_or(|s| s.gvk == resource.gvk());
    if several {
        let known = |r: &Arc<Resource>| r.gvr.group_version().to_string();
        let convert = |object: &Value, version: &str| {
            let to = target.version(version)?;
            if conversion::webhook(to).is_some() {
                return conversion::lookup(call, object, version);
            }
            let mut object = object.clone();
            let converted = codec::convert(&mut object, &to.gvk()).ok()?;
            if converted && to.custom {
                schema::custom::prune(to.schema.get(), &mut object);
            }
            Some(object)
        };
        let versions = SeveralVersions {
            known: target.versions.iter().map(|r| (known(r), Some(r.schema.get()))).collect(),
            filter,
            convert: &convert,
        };
        let fields = FieldManager { kind: &kind, subresource: &target.at.subresource, versions: &versions };
        return then(&fields, info);
    }
    let versions = SingleVersion { api_version: &api_version, schema: Some(schema.get()), filter };
    let fields = FieldManager { kind: &kind, subresource: &target.at.subresource, versions: &versions };
    then(&fields, info)
}

/// What writes through an endpoint cannot change, and so cannot own.
fn filter(resource: &Resource, subresource: &str) -> FieldFilter {
    let rules = strategy::of(resource);
    match subresource {
        "status" if resource.custom => FieldFilter::include(&[&["status"]]),
        "status" | "approval" => {
            let kept: Vec<Vec<&str>> =
                rules.status_keeps.iter().map(|field| vec!["metadata", field]).collect();
            let mut paths: Vec<&[&str]> = vec![&["spec"]];
            paths.extend(kept.iter().map(Vec::as_slice));
            FieldFilter::exclude(&paths)
        }
        "" => {
            let mut paths: Vec<&[&str]> = Vec::new();
            if resource.subresource("status").is_some() {
                paths.push(&["status"]);
            }
            if resource.storage.resource == "certificatesigningrequests" {
                paths.push(&["spec"]);
            }
            FieldFilter::exclude(&paths)
        }
        _ => FieldFilter::none(),
    }
}

/// When nothing but the times of managers changed, nothing changed.
pub(crate) fn settle(object: &mut Value, old: &Value) {
    merge::ignore_timestamps(old, object);
}
