//! Writes events, one after the other, apart from the work that they tell of.

use super::{Shared, now};
use crate::events::{self, Event, Source};
use client::Patch;
use object::meta;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// An event to be told.
pub(crate) struct Telling {
    pub object: Arc<Value>,
    pub event: Event,
    pub component: &'static str,
    pub host: String,
}

impl Shared {
    /// Tells of `object`; when too much waits to be told, this is not.
    pub fn tell(&self, object: &Arc<Value>, event: Event, component: &'static str, host: &str) {
        let telling = Telling { object: object.clone(), event, component, host: host.to_owned() };
        if self.events.try_send(telling).is_err() {
            tracing::debug!("an event was dropped: too many are waiting");
        }
    }
}

/// Tells until the queue is closed.
pub(super) async fn tell(shared: Arc<Shared>, mut queue: mpsc::Receiver<Telling>) {
    while let Some(telling) = queue.recv().await {
        let source = Source { component: telling.component, host: &telling.host };
        let event = events::object_of(&telling.event, &telling.object, source, now());
        let gvr = &shared.resources.events;
        let result = match shared.client.create(gvr, &event).await {
            Err(error) if error.code() == 409 => again(&shared, &event).await,
            other => other.map(drop),
        };
        if let Err(error) = result {
            // Its namespace may be going, or the server; people will see that otherwise.
            tracing::debug!(error = %error.message(), "an event could not be written");
        }
    }
}

/// Counts one more of what was told before.
async fn again(shared: &Shared, event: &Value) -> object::Result<()> {
    let gvr = &shared.resources.events;
    let (namespace, name) = (meta::namespace(event), meta::name(event));
    let Some(known) = shared.client.find(gvr, namespace, name).await? else { return Ok(()) };
    let count = known["count"].as_i64().unwrap_or(1).saturating_add(1);
    let patch = Patch::Merge(json!({"count": count, "lastTimestamp": event["lastTimestamp"]}));
    shared.client.patch(gvr, namespace, name, "", &patch).await.map(drop)
}
