//! What a controller is, and what it wants done: values only, no IO.

use client::{Cache, Change, DeleteOptions, Patch};
use futures::future::BoxFuture;
use jiff::Timestamp;
use object::{ApiError, GroupVersionResource, meta};
use serde_json::{Value, json};
use std::time::Duration;

use crate::driver::Shell;

/// What a controller works on: usually an object of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Empty for cluster-scoped objects.
    pub namespace: Box<str>,
    /// The object's name, or whatever the controller calls a piece of work.
    pub name: Box<str>,
}

impl Key {
    /// A key of two words.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// Decides what is to be done about its objects.
pub trait Controller: Send + Sync + 'static {
    /// As `--controllers` names it, such as `deployment-controller`.
    fn name(&self) -> &'static str;

    /// As events name their source; most are called as the controller is.
    fn component(&self) -> &'static str {
        self.name()
    }

    /// The resources that the plan reads; it is not asked before all are listed.
    fn watches(&self) -> Vec<&'static GroupVersionResource>;

    /// As [`watches`](Self::watches), where names, labels and owners are enough.
    fn watches_metadata(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    /// Whether [`keys`](Self::keys) wants the changes of every resource that anyone tracks.
    fn watches_everything(&self) -> bool {
        false
    }

    /// As [`watches`](Self::watches), where it is enough to hear of changes.
    fn watches_changes(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    /// Keys worked on once at the start, whatever there is.
    fn starts_with(&self) -> Vec<Key> {
        vec![]
    }

    /// Which keys a change concerns.
    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key));

    /// How long the keys of a change may wait, so that what changes until then is worked on together.
    fn patience(&self, change: &Change) -> Duration {
        let _ = change;
        Duration::ZERO
    }

    /// Which keys are to be looked at again after a resource had to be listed anew and deletions may have gone unseen (of objects
    /// that are not kept). Asked of those that watch everything.
    fn relisted(&self, cache: &Cache, gvr: &GroupVersionResource, add: &mut dyn FnMut(Key)) {
        let _ = (cache, gvr, add);
    }

    /// What is to be done about a key, from what the cache holds: pure.
    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let _ = (cache, key, now);
        Plan::default()
    }

    /// For the few that must look further than the cache; the others plan.
    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan, ApiError>> {
        let plan = self.plan(&shell.cache, key, shell.now());
        Box::pin(std::future::ready(Ok(plan)))
    }
}

/// How long a controller of many objects may wait for more of their statuses. A set's pods become ready one after the other:
/// without waiting, each would be a write of the set's status, and of that of the set's owner.
pub(crate) const TOGETHER: Duration = Duration::from_millis(50);

/// Whether an object is there before and after a change, and nobody has begun to delete it: only its state is new.
pub(crate) fn goes_on(change: &Change) -> bool {
    matches!((&change.old, &change.new), (Some(old), Some(new)) if old.uid == new.uid && old.deleting == new.deleting)
}

/// The last step of a plan: sees what became of the others, usually to write a status. The cache has all writes so far.
pub type Finish = Box<dyn FnOnce(&Cache, Option<&ApiError>) -> Vec<Action> + Send>;

/// What is to be done, in order. The first failure ends it; `finish` is done in any case.
#[derive(Default)]
pub struct Plan {
    /// Creations (or deletions) that follow one another are done together, first one, then two, then four….
    pub actions: Vec<Action>,
    /// Done at the end.
    pub finish: Option<Finish>,
    /// Plan again after this time even if nothing changes.
    pub requeue_after: Option<Duration>,
    /// Keys to be worked on afterwards.
    pub follow: Vec<Key>,
    /// Why the plan could not be made whole: tried again, later each time.
    pub error: Option<String>,
}

impl Plan {
    /// Nothing to do.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// These actions.
    pub fn of(actions: Vec<Action>) -> Self {
        Self { actions, ..Self::default() }
    }

    /// Plans again after `delay`, or sooner if that was wanted already.
    pub fn requeue(&mut self, delay: Duration) {
        self.requeue_after = Some(self.requeue_after.map_or(delay, |wanted| wanted.min(delay)));
    }

    /// Adds an action.
    pub fn push(&mut self, action: Action) {
        self.actions.push(action);
    }
}

/// What to do with an object.
#[derive(Clone, Debug)]
pub enum Verb {
    /// Create it in its namespace.
    Create(Value),
    /// Replace it, or the subresource named.
    Update(Value, &'static str),
    /// Patch it, or the subresource named.
    Patch {
        /// Namespace, or empty.
        namespace: String,
        /// Name.
        name: String,
        /// Subresource, or empty.
        subresource: &'static str,
        /// How.
        patch: Patch,
    },
    /// Delete it; that it is gone already is no failure.
    Delete {
        /// Namespace, or empty.
        namespace: String,
        /// Name.
        name: String,
        /// How, and which uid.
        options: DeleteOptions,
    },
    /// Only the event `succeeded`.
    Nothing,
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct Action {
    /// Of what.
    pub gvr: GroupVersionResource,
    /// What.
    pub verb: Verb,
    /// Recorded when done; `{name}` in the message is the object's name.
    pub succeeded: Option<Event>,
    /// Recorded when refused; `{error}` in the message is why, `{name}` the object's name.
    pub failed: Option<Event>,
}

impl Action {
    fn of(gvr: &GroupVersionResource, verb: Verb) -> Self {
        Self { gvr: gvr.clone(), verb, succeeded: None, failed: None }
    }

    /// Creates an object.
    pub fn create(gvr: &GroupVersionResource, object: Value) -> Self {
        Self::of(gvr, Verb::Create(object))
    }

    /// Replaces an object.
    pub fn update(gvr: &GroupVersionResource, object: Value) -> Self {
        Self::of(gvr, Verb::Update(object, ""))
    }

    /// Replaces an object's status.
    pub fn update_status(gvr: &GroupVersionResource, object: Value) -> Self {
        Self::of(gvr, Verb::Update(object, "status"))
    }

    /// Replaces a subresource.
    pub fn update_subresource(gvr: &GroupVersionResource, object: Value, subresource: &'static str) -> Self {
        Self::of(gvr, Verb::Update(object, subresource))
    }

    /// Merge-patches an object.
    pub fn merge(gvr: &GroupVersionResource, object: &Value, patch: Value) -> Self {
        let (namespace, name) = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
        Self::of(gvr, Verb::Patch { namespace, name, subresource: "", patch: Patch::Merge(patch) })
    }

    /// Deletes this very object.
    pub fn delete(gvr: &GroupVersionResource, object: &Value) -> Self {
        Self::delete_with(gvr, object, DeleteOptions::uid(meta::uid(object)))
    }

    /// Deletes an object with these options.
    pub fn delete_with(gvr: &GroupVersionResource, object: &Value, options: DeleteOptions) -> Self {
        let (namespace, name) = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
        Self::of(gvr, Verb::Delete { namespace, name, options })
    }

    /// Only records an event.
    pub fn event(event: Event) -> Self {
        Self {
            gvr: GroupVersionResource::default(),
            verb: Verb::Nothing,
            succeeded: Some(event),
            failed: None,
        }
    }

    /// Records an event when done.
    pub fn told(mut self, event: Event) -> Self {
        self.succeeded = Some(event);
        self
    }

    /// Records an event when refused.
    pub fn told_failure(mut self, event: Event) -> Self {
        self.failed = Some(event);
        self
    }
}

/// Something worth telling about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// An ObjectReference.
    pub regarding: Value,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// CamelCase.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Event {
    /// All is well.
    pub fn normal(object: &Value, reason: &str, message: impl Into<String>) -> Self {
        Self { regarding: reference(object), kind: "Normal", reason: reason.into(), message: message.into() }
    }

    /// Something is not.
    pub fn warning(object: &Value, reason: &str, message: impl Into<String>) -> Self {
        Self { kind: "Warning", ..Self::normal(object, reason, message) }
    }
}

/// An ObjectReference to `object`.
pub fn reference(object: &Value) -> Value {
    let mut reference = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "name": meta::name(object),
        "uid": meta::uid(object), "resourceVersion": meta::resource_version(object)});
    if !meta::namespace(object).is_empty() {
        reference["namespace"] = meta::namespace(object).into();
    }
    reference
}
