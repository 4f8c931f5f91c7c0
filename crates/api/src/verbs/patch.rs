//! PATCH: four kinds of patches, one read-change-write loop.

use crate::call::{Call, Target};
use crate::go_order::Touched;
use crate::pipeline::Manage;
use crate::respond::{self, Answer};
use crate::{codec, failure, managed};
use object::{ApiError, Result, Value, meta};

/// A parsed patch.
enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply { config: Value, force: bool },
}

pub(crate) async fn patch(call: &Call, target: &mut Target) -> Result<Answer> {
    let patch = Patch::parse(call, target)?;
    call.record_patch();
    codec::check_options(call, "PatchOptions")?;
    call.accept(target, false)?;
    if let Patch::Apply { config, .. } = &patch
        && target.at.subresource.is_empty()
        && is_absent(call, target).await?
    {
        let created = create_by_apply(call, target, config).await?;
        return respond::object(call, target, 201, created).await;
    }
    let manage = if matches!(patch, Patch::Apply { .. }) { Manage::Applied } else { Manage::Update };
    let outcome =
        super::update::change(call, target, manage, |old| patch.transform(call, target, old)).await?;
    respond::object(call, target, 200, outcome).await
}

async fn is_absent(call: &Call, target: &Target) -> Result<bool> {
    Ok(call.api.store.get(&target.key()).await.map_err(failure::store)?.0.is_none())
}

async fn create_by_apply(call: &Call, target: &mut Target, config: &Value) -> Result<respond::Outgoing> {
    if !meta::uid(config).is_empty() {
        return Err(ApiError::Conflict {
            resource: target.group_resource(),
            name: target.at.name.clone(),
            reason: format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                meta::uid(config)
            ),
        });
    }
    let apply = || managed::apply(call, target, None, config, false);
    let applied = crate::conversion::with_conversions(call, target, apply).await??;
    let object = codec::decode_value(call, target, &target.resource, applied)?;
    super::create::create_object(call, target, &Manage::Applied, object).await
}

impl Patch {
    fn parse(call: &Call, target: &Target) -> Result<Self> {
        let header = call.header("content-type").split(';').next().unwrap_or("").trim().to_owned();
        let custom = target.resource.custom;
        match header.as_str() {
            "application/json-patch+json" => Ok(Self::Json(codec::patch_json(&call.body)?)),
            "application/merge-patch+json" => Ok(Self::Merge(codec::patch_json(&call.body)?)),
            "application/strategic-merge-patch+json" if !custom => {
                Ok(Self::Strategic(codec::patch_json(&call.body)?))
            }
            "application/apply-patch+yaml" => {
                if call.query.get("fieldManager").is_empty() {
                    return Err(codec::invalid_patch_options("fieldManager", "is required for apply patch"));
                }
                Ok(Self::Apply { config: codec::apply_config(call)?, force: call.query.flag("force") })
            }
            _ => Err(unsupported(custom)),
        }
    }

    /// The object after the patch, decoded and defaulted anew.
    fn transform(&self, call: &Call, target: &Target, old: &Value) -> Result<Value> {
        let schema = target.resource.schema.get();
        let patched = match self {
            Self::Json(operations) => merge::json_patch(old, operations)?,
            Self::Merge(patch) => merge::merge_patch(old, patch)?,
            Self::Strategic(patch) => merge::strategic_merge_patch(schema, old, patch)?,
            Self::Apply { config, force } => managed::apply(call, target, Some(old), config, *force)?,
        };
        let mut object = match self {
            Self::Apply { config, .. } => codec::decode_applied(call, target, config, patched)?,
            Self::Json(operations) => {
                codec::decode_patched(call, target, patched, &Touched::by_operations(operations))?
            }
            Self::Merge(patch) | Self::Strategic(patch) => {
                codec::decode_patched(call, target, patched, &Touched::by_merge(patch))?
            }
        };
        codec::match_path(target, &mut object)?;
        Ok(object)
    }
}

fn unsupported(custom: bool) -> ApiError {
    if custom {
        return crate::negotiate::unknown_format(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        );
    }
    // Refused by the route, before any handler.
    ApiError::Status(Box::new(object::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "details": {},
        "message": "415: Unsupported Media Type", "reason": "UnsupportedMediaType", "code": 415,
    })))
}
