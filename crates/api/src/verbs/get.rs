//! GET of one object.

use crate::call::{Call, Target};
use crate::failure;
use crate::list_options::parse_version;
use crate::respond::{self, Answer, Outgoing};
use object::{ApiError, Result};
use store::Revision;

pub(crate) async fn get(call: &Call, target: &Target) -> Result<Answer> {
    call.accept(target, false)?;
    call.learn_version().await?;
    check_resource_version(call)?;
    let (entry, _) = call.api.store.get(&target.key()).await.map_err(failure::store)?;
    let entry = entry.ok_or_else(|| target.not_found())?;
    respond::object(call, target, 200, Outgoing::Stored(entry)).await
}

/// A get may ask for "not older than"; the store is never behind, so only a future version is refused.
fn check_resource_version(call: &Call) -> Result<()> {
    if call.query.has("export") && call.query.flag("export") {
        let message = "the export parameter, deprecated since v1.14, is no longer supported";
        return Err(ApiError::BadRequest(message.into()));
    }
    let wanted = parse_version(call.query.get("resourceVersion")).map_err(failure::plain)?;
    let current = call.api.store.revision();
    if wanted > current.0 { Err(failure::too_large(Revision(wanted), current)) } else { Ok(()) }
}
