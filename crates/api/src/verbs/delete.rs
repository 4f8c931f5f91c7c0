//! DELETE of an object and of a collection: preconditions, grace, finalizers, propagation.

use crate::call::{Call, Target};
use crate::pipeline;
use crate::respond::{self, Answer, ListMeta, Outgoing};
use crate::selection::Selection;
use crate::{codec, failure, keys, stored, strategy};
use object::{ApiError, Result, Value, json, meta};
use store::{Entry, Expect, ListRequest, StoreError};

const ATTEMPTS: usize = 64;

/// What a client asks of a deletion.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub grace: Option<i64>,
    pub propagation: Option<String>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

pub(crate) async fn delete(call: &Call, target: &Target) -> Result<Answer> {
    let options = codec::delete_options(call)?;
    call.accept(target, false)?;
    let deleted = delete_object(call, target, &options).await?;
    // A kind with a status says what became of it; the others only that they are gone.
    match deleted {
        Deleted::Now(object) if !strategy::of(&target.resource).returns_deleted => {
            let accepted = call.accept(target, false)?;
            let status = respond::deleted_status(target, &object);
            Ok(respond::bytes(200, accepted.media.name(), respond::encode(call, target, accepted, &status)?))
        }
        Deleted::Now(object) | Deleted::Later(object) => {
            respond::object(call, target, 200, Outgoing::Value(object))
        }
    }
}

pub(crate) enum Deleted {
    /// It is gone; its last state.
    Now(Value),
    /// It is marked, and goes when its finalizers or its grace period allow.
    Later(Value),
}

/// Deletes one object or marks it for deletion.
pub(crate) async fn delete_object(call: &Call, target: &Target, options: &Options) -> Result<Deleted> {
    let key = target.key();
    for _ in 0..ATTEMPTS {
        let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
        let entry = entry.ok_or_else(|| target.not_found())?;
        let object = call.api.read(target, &entry)?;
        check_preconditions(target, options, &object)?;
        pipeline::admit_delete(call, target, &object).await?;
        if let Some(outcome) = step(call, target, options, &entry, object).await? {
            return Ok(outcome);
        }
    }
    Err(super::update::modified(target))
}

/// One try; `None` when somebody else wrote first.
async fn step(
    call: &Call,
    target: &Target,
    options: &Options,
    entry: &Entry,
    object: Value,
) -> Result<Option<Deleted>> {
    let mut marked = object.clone();
    mark(call, target, options, &mut marked)?;
    let now = is_due(&marked);
    if marked == object && !now {
        return Ok(Some(Deleted::Later(object)));
    }
    if options.dry_run || call.dry_run() {
        return Ok(Some(if now { Deleted::Now(marked) } else { Deleted::Later(marked) }));
    }
    let value = if now { None } else { Some(stored::encode(&call.api.to_storage(target, marked.clone())?)) };
    let write =
        store::Write { key: entry.key.clone(), expect: Expect::At(entry.mod_revision), value, ttl: None };
    match call.api.store.write(write).await {
        Ok(_) if now => {
            after(call, target, &marked).await;
            Ok(Some(Deleted::Now(marked)))
        }
        Ok(revision) => {
            meta::set(&mut marked, "resourceVersion", revision.0.to_string());
            strategy::after_write(call, target).await?;
            Ok(Some(Deleted::Later(marked)))
        }
        Err(StoreError::Conflict(_)) => Ok(None),
        Err(error) => Err(failure::store(error)),
    }
}

/// What must be given back once an object is gone (addresses).
pub(crate) async fn after(call: &Call, target: &Target, object: &Value) {
    strategy::after_delete(call, target, object).await;
}

/// Nothing holds an object under deletion any longer.
pub(crate) fn is_due(object: &Value) -> bool {
    meta::deletion_timestamp(object).is_some()
        && meta::finalizers(object).next().is_none()
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && object["spec"]["finalizers"]
            .as_array()
            .is_none_or(|f| object["kind"] != "Namespace" || f.is_empty())
}

/// Sets the deletion timestamp, grace period and propagation finalizers.
fn mark(call: &Call, target: &Target, options: &Options, object: &mut Value) -> Result<()> {
    propagation_finalizers(target, options, object);
    let rules = strategy::of(&target.resource);
    let grace = match rules.grace {
        None => 0,
        Some(default) => default(object, options.grace),
    };
    let standing = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let already = meta::deletion_timestamp(object).is_some();
    if already {
        // A grace period may only be shortened.
        if let Some(standing) = standing.filter(|s| grace < *s) {
            let deadline =
                jiff::Timestamp::from_second(shifted(object, grace - standing)).unwrap_or(call.now);
            meta::set(object, "deletionTimestamp", object::time::format(deadline));
            meta::set(object, "deletionGracePeriodSeconds", grace);
            bump_generation(object);
        }
        return Ok(());
    }
    let deadline = jiff::Timestamp::from_second(call.now.as_second() + grace).unwrap_or(call.now);
    meta::set(object, "deletionTimestamp", object::time::format(deadline));
    meta::set(object, "deletionGracePeriodSeconds", grace);
    bump_generation(object);
    strategy::prepare_delete(call, target, object);
    Ok(())
}

fn shifted(object: &Value, by: i64) -> i64 {
    let at = meta::deletion_timestamp(object).and_then(|t| object::time::parse(t).ok());
    at.map_or(0, |t| t.as_second()) + by
}

/// Deletion is a change of what is wanted.
fn bump_generation(object: &mut Value) {
    let generation = meta::generation(object);
    if generation > 0 {
        meta::set(object, "generation", generation + 1);
    }
}

fn propagation_finalizers(target: &Target, options: &Options, object: &mut Value) {
    let orphan_by_default = strategy::of(&target.resource).orphans_by_default;
    let wanted = match options.propagation.as_deref() {
        Some("Orphan") => Some("orphan"),
        Some("Foreground") => Some("foregroundDeletion"),
        Some(_) => None,
        None => {
            // Finalizers already there keep their say.
            if meta::finalizers(object).any(|f| f == "orphan" || f == "foregroundDeletion") {
                return;
            }
            orphan_by_default.then_some("orphan")
        }
    };
    let mut finalizers: Vec<Value> = meta::finalizers(object)
        .filter(|f| !matches!(*f, "orphan" | "foregroundDeletion"))
        .map(Value::from)
        .collect();
    finalizers.extend(wanted.map(Value::from));
    if finalizers.is_empty() {
        meta::unset(object, "finalizers");
    } else {
        meta::set(object, "finalizers", finalizers);
    }
}

fn check_preconditions(target: &Target, options: &Options, object: &Value) -> Result<()> {
    let pairs = [
        ("UID", &options.uid, meta::uid(object)),
        ("ResourceVersion", &options.resource_version, meta::resource_version(object)),
    ];
    for (what, wanted, actual) in pairs {
        let Some(wanted) = wanted.as_deref().filter(|w| *w != actual) else { continue };
        let reason = if what == "UID" {
            format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}")
        } else {
            format!(
                "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {actual}"
            )
        };
        return Err(ApiError::Conflict {
            resource: target.group_resource(),
            name: target.at.name.clone(),
            reason,
        });
    }
    Ok(())
}

/// DELETE of a collection: every selected object, one by one. Answers with the list of what was there.
pub(crate) async fn delete_collection(call: &Call, target: &Target) -> Result<Answer> {
    let options = codec::delete_options(call)?;
    let accepted = call.accept(target, false)?;
    let selection = Selection::new(call, target)?;
    let prefix = keys::prefix(&target.resource, &target.at.namespace);
    let listing =
        call.api.store.list(ListRequest { prefix, ..Default::default() }).await.map_err(failure::store)?;
    let mut gone = Vec::new();
    for entry in listing.entries {
        let object = call.api.read(target, &entry)?;
        if !selection.matches(target, &object) {
            continue;
        }
        let mut at = target.at.clone();
        at.namespace = meta::namespace(&object).to_owned();
        at.name = meta::name(&object).to_owned();
        let one = Target { resource: target.resource.clone(), at };
        match delete_object(call, &one, &options).await {
            Ok(_) | Err(ApiError::NotFound { .. }) => gone.push(object),
            Err(error) => return Err(error),
        }
    }
    let about = ListMeta { revision: listing.revision, ..Default::default() };
    respond::list_of_values(call, target, accepted, gone, &about)
}

/// `DeleteOptions` as JSON, read field by field.
pub(crate) fn options_from(body: &Value) -> Options {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let propagation = text(&body["propagationPolicy"]).or_else(|| match body["orphanDependents"].as_bool() {
        Some(true) => Some("Orphan".into()),
        Some(false) => Some("Background".into()),
        None => None,
    });
    Options {
        grace: body["gracePeriodSeconds"].as_i64(),
        propagation,
        uid: text(&body["preconditions"]["uid"]),
        resource_version: text(&body["preconditions"]["resourceVersion"]),
        dry_run: body["dryRun"] == json!(["All"]),
    }
}
