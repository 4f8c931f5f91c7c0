//! POST to a collection.

use crate::call::{Call, Target};
use crate::pipeline::{self, Manage, Write};
use crate::respond::{self, Answer, Outgoing};
use crate::{codec, failure, stored};
use object::{ApiError, Result, Value, meta};
use std::sync::Arc;
use std::time::Duration;
use store::{Expect, StoreError};

pub(crate) async fn create(call: &Call, target: &mut Target) -> Result<Answer> {
    codec::check_options(call, "CreateOptions")?;
    call.accept(target, false)?;
    let object = codec::decode_body(call, target, &target.resource.clone())?;
    let created = create_object(call, target, &Manage::Update, object).await?;
    respond::object(call, target, 201, created).await
}

/// Stores a decoded, defaulted object of `target`'s version as new, and returns it.
pub(crate) async fn create_object(
    call: &Call,
    target: &mut Target,
    manage: &Manage,
    mut object: Value,
) -> Result<Outgoing> {
    codec::match_path(target, &mut object)?;
    crate::definitions::check_not_terminating(call, target, &object).await?;
    let (mut object, allocation) =
        pipeline::admit_create(&Write { call, target, old: None }, manage, object).await?;
    target.at.name = meta::name(&object).to_owned();
    let target = &*target;
    if call.dry_run() {
        allocation.undo(call).await;
        let (present, _) = call.api.store.get(&target.key()).await.map_err(failure::store)?;
        if let Some(entry) = present {
            return Err(already_exists(target, &object, &entry));
        }
        meta::unset(&mut object, "resourceVersion");
        let object = call.api.to_storage(target, object).await?;
        return Ok(call.api.present(target, object).await?.into());
    }
    let mut object = match call.api.to_storage(target, object).await {
        Ok(object) => object,
        Err(error) => {
            allocation.undo(call).await;
            return Err(error);
        }
    };
    let value = stored::encode(&object);
    let key: Arc<str> = target.key().into();
    let write = store::Write {
        key: key.clone(),
        expect: Expect::Absent,
        value: Some(value.clone()),
        ttl: ttl(target),
    };
    match call.api.store.write(write).await {
        Ok(revision) => {
            meta::set(&mut object, "resourceVersion", revision.0.to_string());
            crate::strategy::after_write(call, target).await?;
            let object = call.api.present(target, object).await?;
            let entry = store::Entry { key, value, create_revision: revision, mod_revision: revision };
            Ok(Outgoing::Written(object, entry))
        }
        Err(error) => {
            allocation.undo(call).await;
            Err(match error {
                StoreError::Conflict(Some(entry)) => already_exists(target, &object, &entry),
                other => failure::store(other),
            })
        }
    }
}

/// Events go away by themselves, after an hour.
fn ttl(target: &Target) -> Option<Duration> {
    let storage = &target.resource.storage;
    (storage.group.is_empty() && storage.resource == "events").then_some(Duration::from_secs(3600))
}

fn already_exists(target: &Target, object: &Value, entry: &store::Entry) -> ApiError {
    let generated = !meta::generate_name(object).is_empty();
    let resource = target.group_resource();
    let name = target.at.name.clone();
    let deleting = stored::decode(entry).is_some_and(|o| meta::deletion_timestamp(&o).is_some());
    let plain = ApiError::AlreadyExists { resource, name };
    let message = match (generated, deleting) {
        (true, _) => {
            format!("{}, the server was not able to generate a unique name for the object", plain.message())
        }
        (false, true) => format!("object is being deleted: {}", plain.message()),
        (false, false) => return plain,
    };
    let mut status = plain.to_status();
    status["message"] = message.into();
    if generated {
        status["details"]["retryAfterSeconds"] = 1.into();
    }
    ApiError::Status(Box::new(status))
}
