//! DELETE of an object and of a collection: preconditions, grace, finalizers, propagation.

use crate::call::{Call, Target};
use crate::list_options::ListOptions;
use crate::pipeline;
use crate::respond::{self, Answer, ListMeta, Outgoing};
use crate::selection::Selection;
use crate::strategy::Dependents;
use crate::{delete_options, failure, stored, strategy};
use object::{ApiError, Result, Value, meta};
use store::{Entry, Expect, StoreError};

const ATTEMPTS: usize = 64;

/// What a client asks of a deletion.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub grace: Option<i64>,
    pub propagation: Option<String>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
    /// What depends on the object goes with it, by the outdated field that says so.
    pub cascades: bool,
}

pub(crate) async fn delete(call: &Call, target: &Target) -> Result<Answer> {
    let options = delete_options::read(call)?;
    call.accept(target, false)?;
    let deleted = delete_object(call, target, &options).await?;
    // A kind with a status says what became of it; the others only that they are gone.
    match deleted {
        Deleted::Now(object) if !strategy::of(&target.resource).returns_deleted => {
            let accepted = call.accept(target, false)?;
            let status = respond::deleted_status(target, &object);
            Ok(respond::bytes(200, accepted.media.name(), respond::encode(call, target, accepted, &status)?))
        }
        Deleted::Now(object) => respond::object(call, target, 200, Outgoing::Value(object)).await,
        Deleted::Later(object) => {
            let code = if options.cascades { 202 } else { 200 };
            respond::object(call, target, code, Outgoing::Value(object)).await
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
    warn_of_dependents(call, target, options);
    let key = target.key();
    for _ in 0..ATTEMPTS {
        let (entry, _) = call.api.store.get(&key).await.map_err(failure::store)?;
        let entry = entry.ok_or_else(|| target.not_found())?;
        let object = call.api.read(target, &entry).await?;
        check_preconditions(target, options, &object)?;
        pipeline::admit_delete(call, target, &object).await?;
        if let Some(outcome) = step(call, target, options, &entry, object).await? {
            return Ok(outcome);
        }
    }
    Err(super::update::modified(target))
}

fn warn_of_dependents(call: &Call, target: &Target, options: &Options) {
    if let (Some(warning), None) = (strategy::of(&target.resource).delete_warning, &options.propagation) {
        call.warn(warning);
    }
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
    let fate = decide(call, target, options, &mut marked);
    let dry = options.dry_run || call.dry_run();
    if fate == Fate::Goes && dry {
        return Ok(Some(Deleted::Now(marked)));
    }
    if fate == Fate::Stays || dry {
        return Ok(Some(Deleted::Later(marked)));
    }
    let mut revision = entry.mod_revision;
    if marked != object {
        let value = Some(stored::encode(&call.api.to_storage(target, marked.clone()).await?));
        let write = store::Write { key: entry.key.clone(), expect: Expect::At(revision), value, ttl: None };
        match call.api.store.write(write).await {
            Ok(written) => revision = written,
            Err(StoreError::Conflict(_)) => return Ok(None),
            Err(error) => return Err(failure::store(error)),
        }
        meta::set(&mut marked, "resourceVersion", revision.0.to_string());
    }
    if fate == Fate::Marked {
        strategy::after_write(call, target).await?;
        return Ok(Some(Deleted::Later(marked)));
    }
    let write = store::Write { key: entry.key.clone(), expect: Expect::At(revision), value: None, ttl: None };
    match call.api.store.write(write).await {
        Ok(gone) => {
            meta::set(&mut marked, "resourceVersion", gone.0.to_string());
            after(call, target, &marked).await;
            Ok(Some(Deleted::Now(marked)))
        }
        // A kubelet that saw the mark was faster: gone is gone.
        Err(StoreError::Conflict(None)) if revision != entry.mod_revision => Ok(Some(Deleted::Now(marked))),
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
        && !held(object)
}

/// A namespace's own finalizers say what its content still waits for.
fn held(object: &Value) -> bool {
    object["kind"] == "Namespace" && object["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
}

/// What becomes of an object that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its deletion is under way already.
    Stays,
    /// It is written as marked, and stays until its finalizers or its grace period are over.
    Marked,
    /// It is removed; if it was changed on the way, that is written first so that watchers see it.
    Goes,
}

/// Decides, and marks the object: deletion timestamp, grace period, finalizers.
fn decide(call: &Call, target: &Target, options: &Options, object: &mut Value) -> Fate {
    let rules = strategy::of(&target.resource);
    if let Some(begin) = rules.begin_deletion {
        // These kinds are emptied first: what they hold goes before them.
        if meta::deletion_timestamp(object).is_none() {
            meta::set(object, "deletionTimestamp", object::time::format(call.now));
            propagation_finalizers(target, options, object);
            begin(call, object);
            return Fate::Marked;
        }
        if held(object) {
            return Fate::Stays;
        }
    }
    let asked = options.grace.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let grace = match rules.grace.map(|default| default(object, asked)) {
        None => None,
        Some(seconds) => match standing_grace(object) {
            Standing::None => {
                mark(call, object, seconds);
                Some(seconds)
            }
            Standing::Unknown => None,
            // A grace period may only be shortened.
            Standing::Seconds(standing) if asked.is_none() || seconds >= standing => return Fate::Stays,
            Standing::Seconds(standing) => {
                let deadline = jiff::Timestamp::from_second(shifted(object, seconds - standing));
                let deadline = deadline.unwrap_or(call.now);
                meta::set(object, "deletionTimestamp", object::time::format(deadline));
                meta::set(object, "deletionGracePeriodSeconds", seconds);
                Some(seconds)
            }
        },
    };
    propagation_finalizers(target, options, object);
    let pending = meta::finalizers(object).next().is_some();
    match grace {
        Some(seconds) if pending || seconds > 0 => Fate::Marked,
        Some(_) => Fate::Goes,
        None if pending => {
            mark_at_once(call, object);
            Fate::Marked
        }
        None => Fate::Goes,
    }
}

enum Standing {
    /// Not under deletion.
    None,
    /// Under deletion, without a grace period or at its end: it may go now.
    Unknown,
    Seconds(i64),
}

fn standing_grace(object: &Value) -> Standing {
    if meta::deletion_timestamp(object).is_none() {
        return Standing::None;
    }
    // A period of nothing was left by a server that died between the mark and the removal.
    let left = object["metadata"]["deletionGracePeriodSeconds"].as_i64().filter(|seconds| *seconds > 0);
    left.map_or(Standing::Unknown, Standing::Seconds)
}

fn mark(call: &Call, object: &mut Value, grace: i64) {
    let deadline = jiff::Timestamp::from_second(call.now.as_second() + grace).unwrap_or(call.now);
    meta::set(object, "deletionTimestamp", object::time::format(deadline));
    meta::set(object, "deletionGracePeriodSeconds", grace);
    bump_generation(object);
}

/// Marks an object that waits for nothing but its finalizers.
fn mark_at_once(call: &Call, object: &mut Value) {
    if object["metadata"]["deletionGracePeriodSeconds"].is_null() {
        bump_generation(object);
    }
    if meta::deletion_timestamp(object).is_none() {
        meta::set(object, "deletionTimestamp", object::time::format(call.now));
    }
    meta::set(object, "deletionGracePeriodSeconds", 0);
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

/// Sets the finalizers that tell the garbage collector what to do with dependents.
fn propagation_finalizers(target: &Target, options: &Options, object: &mut Value) {
    let default = strategy::of(&target.resource).dependents;
    if default == Dependents::Ignored {
        return;
    }
    let standing = meta::finalizers(object).find(|f| matches!(*f, "orphan" | "foregroundDeletion"));
    let wanted = match options.propagation.as_deref() {
        Some("Orphan") => Some("orphan"),
        Some("Foreground") => Some("foregroundDeletion"),
        Some(_) => None,
        // Finalizers already there keep their say.
        None if standing.is_some() => return,
        None => (default == Dependents::Orphaned).then_some("orphan"),
    };
    if standing == wanted {
        return;
    }
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

pub(crate) fn check_preconditions(target: &Target, options: &Options, object: &Value) -> Result<()> {
    let wanted = |wanted: &Option<String>, actual: &str| wanted.clone().filter(|w| w != actual);
    let reason = if let Some(uid) = wanted(&options.uid, meta::uid(object)) {
        format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            meta::uid(object)
        )
    } else if let Some(version) = wanted(&options.resource_version, meta::resource_version(object)) {
        format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The \
             object might have been modified",
            meta::resource_version(object)
        )
    } else {
        return Ok(());
    };
    // Kubernetes names the kind where others name the resource.
    let resource = object::GroupResource::new(&target.resource.gvr.group, &target.resource.kind);
    Err(ApiError::Conflict { resource, name: target.at.name.clone(), reason })
}

/// DELETE of a collection: every selected object, one by one, at most a page. Answers with the list of what was there; of a
/// collection that is too large to be held whole, with the beginning of it.
pub(crate) async fn delete_collection(call: &Call, target: &Target) -> Result<Answer> {
    let accepted = call.accept(target, false)?;
    let (mut asked, selection) = ListOptions::new(call, target)?;
    let options = delete_options::read(call)?;
    warn_of_dependents(call, target, &options);
    let (objects, mut about) = delete_piece(call, target, &options, &asked, &selection).await?;
    let mut rest = about.continue_token.clone().filter(|_| asked.limit == 0);
    while let Some(token) = rest {
        (asked.token, asked.version) = (token, String::new());
        rest = delete_piece(call, target, &options, &asked, &selection).await?.1.continue_token;
    }
    if asked.limit == 0 {
        about = ListMeta { revision: about.revision, ..Default::default() };
    }
    respond::list_of_values(call, target, accepted, objects, &about)
}

/// Deletes what is looked at together; it, and how the collection goes on.
async fn delete_piece(
    call: &Call,
    target: &Target,
    options: &Options,
    asked: &ListOptions,
    selection: &Selection,
) -> Result<(Vec<Value>, ListMeta)> {
    let (entries, about) = super::list::select(call, target, asked, selection).await?;
    let objects = call.api.read_all(target, &entries).await?;
    for object in &objects {
        let mut at = target.at.clone();
        at.namespace = meta::namespace(object).to_owned();
        at.name = meta::name(object).to_owned();
        let one = Target { resource: target.resource.clone(), at, versions: target.versions.clone() };
        match delete_object(call, &one, options).await {
            Ok(_) | Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((objects, about))
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
        dry_run: body["dryRun"].as_array().is_some_and(|all| !all.is_empty()),
        cascades: body["orphanDependents"] == false,
    }
}
