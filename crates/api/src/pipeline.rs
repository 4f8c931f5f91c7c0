//! What happens to an object between the request and the store, in Kubernetes' order:
//!
//! managed fields → mutating admission → prepare → allocate → validate → validating admission
//!
//! Objects come in decoded and defaulted, in the version of the request. Built-in ones leave in the version of the store, in
//! which their rules are written; custom ones keep theirs, whose schema they are held to, and are converted when they are
//! stored.

use crate::admission::{self, Operation};
use crate::call::{Call, Target};
use crate::strategy::Allocation;
use crate::{access_control, codec, managed, strategy, validate};
use object::{ApiError, Result, Value, meta};

/// A change on its way to the store.
pub(crate) struct Write<'a> {
    pub call: &'a Call,
    pub target: &'a Target,
    /// What is stored now, in the version of the request; `None` when creating.
    pub old: Option<&'a Value>,
}

/// Who owns the changed fields.
pub(crate) enum Manage {
    /// Changed fields go to the request's manager.
    Update,
    /// The transformation was a server-side apply and settled ownership itself.
    Applied,
    /// Nobody: the server changes its own bookkeeping.
    Nobody,
}

/// From a decoded new object to the one to store, and what was allocated for it.
pub(crate) async fn admit_create(
    write: &Write<'_>,
    manage: &Manage,
    mut object: Value,
) -> Result<(Value, Allocation)> {
    let (call, target) = (write.call, write.target);
    codec::dedup_owner_references(call, &mut object);
    strategy::derive(&mut object);
    strategy::underive_new(call, &mut object);
    clear_system_fields(&mut object);
    managed::own_changes(write, manage, &mut object).await?;
    admission::mutate(write, Operation::Create, &mut object).await?;
    fill_system_fields(write, &mut object);
    let mut object = kept(call, target, object).await?;
    strategy::prepare_create(write, &mut object);
    let allocation = strategy::allocate(write, &mut object).await?;
    let checked = async {
        access_control::check_escalation(write, &object).await?;
        validate::create(write, &call.with_empties(&object, None)).await?;
        admission::validate(write, Operation::Create, &object).await
    };
    match checked.await {
        Ok(()) => Ok((object, allocation)),
        Err(error) => {
            allocation.undo(call).await;
            Err(error)
        }
    }
}

/// From a transformed object to the one to store in place of `write.old`, and what was allocated for it.
pub(crate) async fn admit_update(
    write: &Write<'_>,
    manage: &Manage,
    mut object: Value,
) -> Result<(Value, Allocation)> {
    let (call, target) = (write.call, write.target);
    let Some(old) = write.old else { return Err(ApiError::Internal("update without an old object".into())) };
    codec::dedup_owner_references(call, &mut object);
    strategy::derive(&mut object);
    keep_system_fields(&mut object, old);
    managed::own_changes(write, manage, &mut object).await?;
    admission::mutate(write, Operation::Update, &mut object).await?;
    let mut object = kept(call, target, object).await?;
    let old_stored = kept(call, target, old.clone()).await?;
    strategy::prepare_update(write, &mut object, &old_stored);
    managed::settle(&mut object, &old_stored);
    let allocation = strategy::allocate(write, &mut object).await?;
    let checked = async {
        access_control::check_escalation(write, &object).await?;
        validate::update(write, &call.with_empties(&object, Some(&old_stored)), &old_stored).await?;
        admission::validate(write, Operation::Update, &object).await
    };
    match checked.await {
        Ok(()) => Ok((object, allocation)),
        Err(error) => {
            allocation.undo(call).await;
            Err(error)
        }
    }
}

/// May this object be deleted?
pub(crate) async fn admit_delete(call: &Call, target: &Target, object: &Value) -> Result<()> {
    let write = Write { call, target, old: Some(object) };
    admission::validate(&write, Operation::Delete, object).await
}

/// The object in the version that the rules of its kind are written for.
async fn kept(call: &Call, target: &Target, object: Value) -> Result<Value> {
    if target.resource.custom { Ok(object) } else { call.api.to_storage(target, object).await }
}

/// Fields that only the server sets are not taken from clients.
fn clear_system_fields(object: &mut Value) {
    for field in [
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        meta::unset(object, field);
    }
}

fn fill_system_fields(write: &Write<'_>, object: &mut Value) {
    meta::set(object, "uid", uuid::Uuid::new_v4().to_string());
    meta::set(object, "creationTimestamp", object::time::format(write.call.now));
    if meta::name(object).is_empty() && !meta::generate_name(object).is_empty() {
        let name = generate_name(meta::generate_name(object));
        meta::set(object, "name", name);
    }
}

/// Kubernetes' generated names: the base, cut to fit, and five characters without vowels.
pub(crate) fn generate_name(base: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    const MAX_BASE: usize = 63 - 5;
    let mut end = base.len().min(MAX_BASE);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let suffix: String = (0..5).map(|_| ALPHABET[rand::random_range(0..ALPHABET.len())] as char).collect();
    format!("{}{suffix}", &base[..end])
}

/// What an update cannot change comes from the old object, so that leaving it out is no change.
fn keep_system_fields(object: &mut Value, old: &Value) {
    for field in ["uid", "creationTimestamp", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let given = object["metadata"].get(field).is_some();
        match old["metadata"].get(field) {
            Some(kept) if !given || field.starts_with("deletion") => meta::set(object, field, kept.clone()),
            None if field.starts_with("deletion") => meta::unset(object, field),
            _ => {}
        }
    }
}
