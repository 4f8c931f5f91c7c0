//! GET of one object.

use crate::call::{Call, Target};
use crate::respond::{self, Answer, Outgoing};
use object::{ApiError, Result};
use store::Revision;

pub(crate) async fn get(call: &Call, target: &Target) -> Result<Answer> {
    call.learn_version().await?;
    check_resource_version(call)?;
    let (entry, _) = call.api.store.get(&target.key()).await.map_err(crate::failure::store)?;
    let entry = entry.ok_or_else(|| target.not_found())?;
    respond::object(call, target, 200, Outgoing::Stored(entry)).await
}

/// A get may ask for "not older than"; the store is never behind, so only a future version is refused.
fn check_resource_version(call: &Call) -> Result<()> {
    let wanted = match call.query.get("resourceVersion") {
        "" => return Ok(()),
        text => text.parse::<u64>().map_err(|e| {
            let _ = e;
            ApiError::BadRequest(format!(
                "resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: invalid syntax",
                object::error::quote(text),
                object::error::quote(text)
            ))
        })?,
    };
    crate::failure::check_future(Revision(wanted), call.api.store.revision())
}
