//! Scale: the number of replicas of whatever has some, behind one kind.

use crate::call::{Call, Target};
use crate::negotiate::{Media, Shape};
use crate::pipeline::Manage;
use crate::respond::{self, Answer, Outgoing};
use crate::serve::not_allowed;
use crate::verbs::update;
use crate::{codec, failure};
use kinds::Verb;
use object::{ApiError, FieldError, GroupKind, Path, Result, Value, meta};

pub(super) async fn answer(call: &Call, target: &Target, verb: Verb) -> Result<Answer> {
    if verb == Verb::Get {
        let (entry, _) = call.api.store.get(&target.key()).await.map_err(failure::store)?;
        let parent = call.api.read(target, &entry.ok_or_else(|| target.not_found())?)?;
        return send(call, target, &parent);
    }
    codec::check_options(call, if verb == Verb::Patch { "PatchOptions" } else { "UpdateOptions" })?;
    let body = match verb {
        Verb::Update => codec::decode_body(call, target, &target.resource)?,
        Verb::Patch => codec::patch_json(&call.body)?,
        _ => return Err(not_allowed()),
    };
    let patch_type = call.header("content-type").split(';').next().unwrap_or("").to_owned();
    let transform = |parent: &Value| {
        let old = kinds::scale::read(&target.resource, parent)?;
        let scale = match (verb, patch_type.as_str()) {
            (Verb::Update, _) => body.clone(),
            (_, "application/json-patch+json") => merge::json_patch(&old, &body)?,
            _ => merge::merge_patch(&old, &body)?,
        };
        changed(target, parent, &old, &scale)
    };
    match update::change(call, target, Manage::Update, transform).await? {
        Outgoing::Value(parent) => send(call, target, &parent),
        Outgoing::Stored(entry) => send(call, target, &call.api.read(target, &entry)?),
    }
}

fn changed(target: &Target, parent: &Value, old: &Value, scale: &Value) -> Result<Value> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let error = FieldError::invalid(
            &Path::new("spec.replicas"),
            &replicas.into(),
            "must be greater than or equal to 0",
        );
        let kind = GroupKind { group: "autoscaling".into(), kind: "Scale".into() };
        return Err(ApiError::Invalid { kind, name: target.at.name.clone(), errors: vec![error] });
    }
    let wanted = meta::resource_version(scale);
    if !wanted.is_empty() && wanted != meta::resource_version(old) {
        return Err(update::modified(target));
    }
    let mut parent = parent.clone();
    kinds::scale::write(&target.resource, &mut parent, scale);
    meta::unset(&mut parent, "resourceVersion");
    Ok(parent)
}

fn send(call: &Call, target: &Target, parent: &Value) -> Result<Answer> {
    let mut scale = kinds::scale::read(&target.resource, parent)?;
    let accepted = call.accept(target, false)?;
    if accepted.shape == Shape::Table {
        scale = crate::table::of_object(call, target, accepted, &scale)?;
    }
    let media = if accepted.media == Media::Protobuf { Media::Json } else { accepted.media };
    Ok(respond::bytes(
        200,
        media.name(),
        respond::encode(call, target, crate::negotiate::Accepted { media, ..accepted }, &scale)?,
    ))
}
