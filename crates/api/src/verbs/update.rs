//! PUT of an object, and the read-change-write loop that PUT, PATCH and internal changes share.

use crate::call::{Call, Target};
use crate::pipeline::{self, Write};
use crate::respond::{self, Answer, Outgoing};
use crate::{codec, conversion, failure, stored, strategy};
use object::{ApiError, Result, Value, meta};
use store::{Entry, Expect, StoreError};

/// Conflicts with other writers are retried this often before the client is told.
const ATTEMPTS: usize = 64;

pub(crate) async fn update(call: &Call, target: &mut Target) -> Result<Answer> {
    codec::check_options(call, "UpdateOptions")?;
    call.accept(target, false)?;
    let decoded = codec::decode_body(call, target, &target.resource.clone())?;
    let mut body = decoded;
    codec::match_path(target, &mut body)?;
    if strategy::of(&target.resource).create_on_update && target.at.subresource.is_empty() {
        let (present, _) = call.api.store.get(&target.key()).await.map_err(failure::store)?;
        if present.is_none() {
            if !meta::resource_version(&body).is_empty() || !meta::uid(&body).is_empty() {
                return Err(gone_precondition(target, &body));
            }
            let created = super::create::create_object(call, target, &pipeline::Manage::Update, body).await?;
            return respond::object(call, target, 201, created).await;
        }
    }
    let outcome = change(call, target, pipeline::Manage::Update, |old| {
        check_identity(target, &body, old)?;
        Ok(body.clone())
    })
    .await?;
    respond::object(call, target, 200, outcome).await
}

fn gone_precondition(target: &Target, body: &Value) -> ApiError {
    if meta::uid(body).is_empty() {
        return target.not_found();
    }
    ApiError::Conflict {
        resource: target.group_resource(),
        name: target.at.name.clone(),
        reason: format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: ",
            target.key(),
            meta::uid(body)
        ),
    }
}

/// Reads the object, lets `transform` make a new one of it (both in the version asked for), and writes that if nobody else
/// wrote meanwhile, and else tries again.
pub(crate) async fn change(
    call: &Call,
    target: &Target,
    manage: pipeline::Manage,
    transform: impl Fn(&Value) -> Result<Value> + Send + Sync,
) -> Result<Outgoing> {
    let key = target.key();
    for _ in 0..ATTEMPTS {
        let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
        let entry = entry.ok_or_else(|| target.not_found())?;
        let old = call.api.read(target, &entry).await?;
        let mut new = conversion::with_conversions(call, target, || transform(&old)).await??;
        if !matches!(manage, pipeline::Manage::Nobody) {
            check_version(target, &new, &old)?;
        }
        meta::set(&mut new, "resourceVersion", meta::resource_version(&old));

        let write = Write { call, target, old: Some(&old) };
        let (new, allocation) = pipeline::admit_update(&write, &manage, new).await?;
        let outcome = commit(call, target, &entry, new).await;
        if call.dry_run() || !matches!(outcome, Ok(Some(_))) {
            allocation.undo(call).await;
        } else {
            strategy::after_update(call, target, &old, &outcome).await;
        }
        // When somebody else was first, a resourceVersion of the client's own no longer matches.
        if let Some(outcome) = outcome? {
            return Ok(outcome);
        }
    }
    Err(ApiError::ServerTimeout {
        resource: target.group_resource(),
        verb: call.info.verb.into(),
        retry_after: 1,
    })
}

/// Stores `new` over `entry`; `None` when somebody else wrote first.
async fn commit(call: &Call, target: &Target, entry: &Entry, mut new: Value) -> Result<Option<Outgoing>> {
    new = call.api.to_storage(target, new).await?;
    let value = stored::encode(&new);
    if value == entry.value {
        return Ok(Some(Outgoing::Stored(entry.clone())));
    }
    if call.dry_run() {
        return Ok(Some(call.api.present(target, new).await?.into()));
    }
    let old_uid_version = entry.mod_revision;
    // The last finalizer of an object under deletion was taken off: it goes.
    let gone = super::delete::is_due(&new);
    let write = store::Write {
        key: entry.key.clone(),
        expect: Expect::At(old_uid_version),
        value: (!gone).then(|| value.clone()),
        ttl: None,
    };
    match call.api.store.write(write).await {
        Ok(revision) => {
            if gone {
                super::delete::after(call, target, &new).await;
                return call.api.present(target, new).await.map(|o| Some(o.into()));
            }
            meta::set(&mut new, "resourceVersion", revision.0.to_string());
            strategy::after_write(call, target).await?;
            let new = call.api.present(target, new).await?;
            Ok(Some(Outgoing::Written(new, Entry { value, mod_revision: revision, ..entry.clone() })))
        }
        Err(StoreError::Conflict(_)) => Ok(None),
        Err(error) => Err(failure::store(error)),
    }
}

pub(crate) fn modified(target: &Target) -> ApiError {
    ApiError::Conflict {
        resource: target.group_resource(),
        name: target.at.name.clone(),
        reason: "the object has been modified; please apply your changes to the latest version and try again"
            .into(),
    }
}

fn check_version(target: &Target, new: &Value, old: &Value) -> Result<()> {
    let wanted = meta::resource_version(new);
    if wanted.is_empty() || wanted == "0" {
        if strategy::of(&target.resource).unconditional_update {
            return Ok(());
        }
        let errors = vec![object::FieldError::invalid(
            &object::Path::new("metadata.resourceVersion"),
            &object::json!(wanted.parse::<u64>().unwrap_or(0)),
            "must be specified for an update",
        )];
        // Kubernetes names the resource where others name the kind.
        let gvr = &target.resource.gvr;
        let kind = object::GroupKind { group: gvr.group.clone(), kind: gvr.resource.clone() };
        return Err(ApiError::Invalid { kind, name: target.at.name.clone(), errors });
    }
    if wanted.parse::<u64>().is_err() {
        let quoted = object::error::quote(wanted);
        return Err(failure::plain(format!("strconv.ParseUint: parsing {quoted}: invalid syntax")));
    }
    if wanted == meta::resource_version(old) { Ok(()) } else { Err(modified(target)) }
}

/// A uid that is not the object's own is a precondition that fails.
fn check_identity(target: &Target, new: &Value, old: &Value) -> Result<()> {
    let wanted = meta::uid(new);
    if !wanted.is_empty() && wanted != meta::uid(old) {
        return Err(ApiError::Conflict {
            resource: target.group_resource(),
            name: target.at.name.clone(),
            reason: format!(
                "Precondition failed: UID in precondition: {wanted}, UID in object meta: {}",
                meta::uid(old)
            ),
        });
    }
    Ok(())
}
