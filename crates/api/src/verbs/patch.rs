//! PATCH: four kinds of patches, one read-change-write loop.

use crate::call::{Call, Target};
use crate::patch::Patch;
use crate::pipeline::Manage;
use crate::respond::{self, Answer};
use crate::{codec, failure};
use object::{ApiError, Result, Value, meta};

pub(crate) async fn patch(call: &Call, target: &mut Target) -> Result<Answer> {
    let patch = Patch::parse(call, target)?;
    call.record_patch();
    codec::check_options(call, "PatchOptions")?;
    call.accept(target, false)?;
    if let Some(config) = patch.applied()
        && target.at.subresource.is_empty()
        && is_absent(call, target).await?
    {
        let created = create_by_apply(call, target, &patch, config).await?;
        return respond::object(call, target, 201, created).await;
    }
    let manage = if patch.applied().is_some() { Manage::Applied } else { Manage::Update };
    let outcome = super::update::change(call, target, manage, |old| {
        let mut object = patch.transform(call, target, old)?;
        codec::match_path(target, &mut object)?;
        Ok(object)
    })
    .await?;
    respond::object(call, target, 200, outcome).await
}

async fn is_absent(call: &Call, target: &Target) -> Result<bool> {
    Ok(call.api.store.get(&target.key()).await.map_err(failure::store)?.0.is_none())
}

async fn create_by_apply(
    call: &Call,
    target: &mut Target,
    patch: &Patch,
    config: &Value,
) -> Result<respond::Outgoing> {
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
    let apply = || patch.create(call, target).unwrap_or_else(|| Err(target.not_found()));
    let applied = crate::conversion::with_conversions(call, target, apply).await??;
    let object = codec::decode_applied(call, target, config, applied)?;
    super::create::create_object(call, target, &Manage::Applied, object).await
}
