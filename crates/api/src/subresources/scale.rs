//! Scale: the number of replicas of whatever has some, behind one kind.

use crate::call::{Call, Target};
use crate::negotiate::{Accepted, Media, Shape};
use crate::patch::Patch;
use crate::pipeline::Manage;
use crate::respond::{self, Answer, Outgoing};
use crate::serve::not_allowed;
use crate::verbs::update;
use crate::{codec, failure, managed, table};
use kinds::Verb;
use merge::FieldPath;
use object::{ApiError, FieldError, GroupKind, GroupVersion, Path, Result, Value, meta};

/// What a client makes of a scale.
enum Change {
    Replace(Value),
    Patch(Patch),
}

pub(super) async fn answer(call: &Call, target: &Target, verb: Verb) -> Result<Answer> {
    if verb == Verb::Get {
        let (entry, _) = call.api.store.get(&target.key()).await.map_err(failure::store)?;
        let parent = call.api.read(target, &entry.ok_or_else(|| target.not_found())?).await?;
        return send(call, target, &parent);
    }
    let change = Change::read(call, target, verb)?;
    codec::check_options(call, if verb == Verb::Patch { "PatchOptions" } else { "UpdateOptions" })?;
    let transform = |parent: &Value| scaled(call, target, parent, &change);
    match update::change(call, target, Manage::Nobody, transform).await? {
        Outgoing::Value(parent) | Outgoing::Written(parent, _) => send(call, target, &parent),
        Outgoing::Stored(entry) => send(call, target, &call.api.read(target, &entry).await?),
    }
}

impl Change {
    fn read(call: &Call, target: &Target, verb: Verb) -> Result<Self> {
        match verb {
            Verb::Update => Ok(Self::Replace(codec::decode_body(call, target, &target.resource)?)),
            Verb::Patch => Ok(Self::Patch(Patch::parse(call, target)?)),
            _ => Err(not_allowed()),
        }
    }
}

/// The parent with the replicas that the change asks for, and their owners.
fn scaled(call: &Call, target: &Target, parent: &Value, change: &Change) -> Result<Value> {
    let shown = kinds::scale::read_to_change(&target.resource, parent)?;
    let replicas = |version: &str| replicas_path(target, version);
    let mut live = shown.clone();
    let owned = merge::scale_to_subresource(parent["metadata"].get("managedFields"), &replicas);
    meta::set(&mut live, "managedFields", owned);
    let scale = match change {
        Change::Replace(body) => {
            let mut body = body.clone();
            codec::match_path(target, &mut body)?;
            managed::updated(call, target, &live, body)
        }
        Change::Patch(patch) => {
            let mut made = patch.transform(call, target, &live)?;
            if target.resource.custom
                && let Some(config) = patch.applied()
            {
                return Err(no_custom_scale(config));
            }
            codec::match_path(target, &mut made)?;
            if patch.applied().is_some() { made } else { managed::updated(call, target, &live, made) }
        }
    };
    check(target, &shown, &scale)?;
    let mut parent = parent.clone();
    kinds::scale::write(&target.resource, &mut parent, &scale);
    let version = target.resource.gvr.group_version();
    let known = |text: &str| GroupVersion::parse(text).is_some_and(|v| v.group == target.resource.gvr.group);
    let entries = merge::scale_to_parent(
        parent["metadata"].get("managedFields"),
        scale["metadata"].get("managedFields"),
        &version.to_string(),
        &known,
        &replicas,
    );
    meta::set(&mut parent, "managedFields", entries);
    meta::unset(&mut parent, "resourceVersion");
    Ok(parent)
}

/// Kubernetes cannot tell what was applied to the scale of a custom resource from the resource itself.
fn no_custom_scale(config: &Value) -> ApiError {
    failure::plain(format!(
        "failed to convert new object ({}/{}; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an \
         invalid group/version: autoscaling/v1",
        meta::namespace(config),
        meta::name(config)
    ))
}

/// Where objects of a version of the parent keep their replicas.
fn replicas_path(target: &Target, version: &str) -> Option<FieldPath> {
    GroupVersion::parse(version).filter(|v| v.group == target.resource.gvr.group)?;
    let scale = target.resource.definition.as_ref().and_then(|d| d.scale.as_ref());
    let pointer = scale.map_or("/spec/replicas", |s| s.spec_replicas.as_str());
    Some(FieldPath::of(&pointer.split('/').skip(1).collect::<Vec<_>>()))
}

fn check(target: &Target, shown: &Value, scale: &Value) -> Result<()> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    // What replicas of a custom resource may be, its own rules say.
    if replicas < 0 && !target.resource.custom {
        let error = FieldError::invalid(
            &Path::new("spec.replicas"),
            &replicas.into(),
            "must be greater than or equal to 0",
        );
        let kind = GroupKind { group: "autoscaling".into(), kind: "Scale".into() };
        return Err(ApiError::Invalid { kind, name: target.at.name.clone(), errors: vec![error] });
    }
    let wanted = meta::resource_version(scale);
    if !wanted.is_empty() && wanted != meta::resource_version(shown) {
        return Err(update::modified(target));
    }
    Ok(())
}

fn send(call: &Call, target: &Target, parent: &Value) -> Result<Answer> {
    let mut scale = kinds::scale::read(&target.resource, parent)?;
    let accepted = call.accept(target, false)?;
    scale = match accepted.shape {
        Shape::Table => table::of_scale(call, accepted, scale, target.resource.custom),
        Shape::Partial => respond::partial(scale, accepted),
        Shape::Whole | Shape::PartialList => scale,
    };
    let media = if accepted.media == Media::Protobuf && accepted.shape == Shape::Table {
        Media::Json
    } else {
        accepted.media
    };
    let body = respond::encode(call, target, Accepted { media, ..accepted }, &scale)?;
    Ok(respond::bytes(200, media.name(), body))
}
