//! Does what plans want, and lets the cache see each write at once.

use super::Shell;
use super::events::Recorder;
use crate::plan::{Action, Event, Plan, Verb};
use futures::future::join_all;
use object::{ApiError, Result, meta};
use serde_json::Value;
use std::mem::discriminant;

/// The most requests of one batch that are under way at a time.
const BATCH: usize = 64;

/// Carries a plan out. The error is the first that was met.
pub(super) async fn apply(shell: &Shell, component: &'static str, plan: Plan) -> Result<()> {
    let mut failure = run(shell, component, plan.actions).await.err();
    if let Some(finish) = plan.finish {
        let told = failure.as_ref().filter(|error| !error.has_cause("NamespaceTerminating"));
        let last = finish(&shell.cache, told);
        let outcome = run(shell, component, last).await;
        failure = failure.or(outcome.err());
    }
    match failure {
        // A namespace that is going away makes no new objects: nothing to try again.
        Some(error) if error.has_cause("NamespaceTerminating") => Ok(()),
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn run(shell: &Shell, component: &'static str, actions: Vec<Action>) -> Result<()> {
    let mut rest = actions.into_iter().peekable();
    let mut size = 1;
    while let Some(first) = rest.next() {
        let mut batch = vec![first];
        while batch.len() < size
            && let Some(next) = rest.next_if(|next| together(&batch[0], next))
        {
            batch.push(next);
        }
        // Slow start: when the first is refused, the others are not even tried.
        let more = rest.peek().is_some_and(|next| together(&batch[0], next));
        let deleting = rest.peek().is_some_and(|next| matches!(next.verb, Verb::Delete { .. }));
        size = match (more, deleting) {
            (true, _) => (size * 2).min(BATCH),
            (false, true) => BATCH,
            (false, false) => 1,
        };
        let outcomes = join_all(batch.into_iter().map(|action| one(shell, component, action))).await;
        for outcome in outcomes {
            outcome?;
        }
    }
    Ok(())
}

/// Whether two actions may be under way at the same time.
fn together(one: &Action, next: &Action) -> bool {
    matches!(one.verb, Verb::Create(_) | Verb::Delete { .. })
        && discriminant(&one.verb) == discriminant(&next.verb)
        && one.gvr == next.gvr
}

async fn one(shell: &Shell, component: &'static str, action: Action) -> Result<()> {
    let Action { gvr, verb, succeeded, failed } = action;
    let (client, cache) = (&shell.client, &shell.cache);
    let wanted_name = verb.name().to_owned();
    let outcome = match &verb {
        Verb::Nothing => Ok(None),
        Verb::Create(object) => client.create_encoded(&gvr, object).await.map(Some),
        Verb::Update(object, subresource) => client.update_encoded(&gvr, object, subresource).await.map(Some),
        Verb::Patch { namespace, name, subresource, patch } => {
            client.patch_encoded(&gvr, namespace, name, subresource, patch).await.map(Some)
        }
        Verb::Delete { namespace, name, options } => {
            let uid = options.uid.as_deref().unwrap_or("");
            match client.delete(&gvr, namespace, name, options).await {
                Ok(answer) => {
                    cache.observe_delete(&gvr, namespace, name, uid, &answer);
                    Ok(None)
                }
                Err(error) if error.is_not_found() => {
                    cache.forget(&gvr, namespace, name, uid);
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        }
    };
    match outcome {
        // What was to be changed is gone: the watch will tell, and that is no failure.
        Err(error) if error.is_not_found() && matches!(verb, Verb::Update(..) | Verb::Patch { .. }) => Ok(()),
        Ok(written) => {
            let entry = written.as_ref().and_then(|object| cache.observe_encoded(&gvr, object));
            let name = match (entry, written) {
                _ if !wanted_name.is_empty() || succeeded.is_none() => wanted_name,
                (Some(entry), _) => entry.name.to_string(),
                (None, Some(object)) => meta::name(&object.parse()?).to_owned(),
                (None, None) => wanted_name,
            };
            tell(&shell.recorder, component, succeeded, &name, None);
            Ok(())
        }
        Err(error) => {
            if error.is_conflict() || error.is_already_exists() {
                refresh(shell, &gvr, &verb).await;
            }
            if !error.has_cause("NamespaceTerminating") {
                tell(&shell.recorder, component, failed, &wanted_name, Some(&error));
            }
            Err(error)
        }
    }
}

/// Someone else wrote: see what, so that the next plan starts from it.
async fn refresh(shell: &Shell, gvr: &object::GroupVersionResource, verb: &Verb) {
    if verb.name().is_empty() {
        return;
    }
    if let Ok(object) = shell.client.get(gvr, verb.namespace(), verb.name()).await {
        shell.cache.observe(gvr, &object);
    }
}

fn tell(
    recorder: &Recorder,
    component: &'static str,
    event: Option<Event>,
    name: &str,
    error: Option<&ApiError>,
) {
    let Some(mut event) = event else { return };
    if event.message.contains("{name}") {
        event.message = event.message.replace("{name}", name);
    }
    if let Some(error) = error {
        event.message = event.message.replace("{error}", &error.message());
    }
    recorder.record(component, event);
}

impl Verb {
    fn object(&self) -> Option<&Value> {
        match self {
            Self::Create(object) | Self::Update(object, _) => Some(object),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Patch { name, .. } | Self::Delete { name, .. } => name,
            other => other.object().map_or("", meta::name),
        }
    }

    fn namespace(&self) -> &str {
        match self {
            Self::Patch { namespace, .. } | Self::Delete { namespace, .. } => namespace,
            other => other.object().map_or("", meta::namespace),
        }
    }
}
