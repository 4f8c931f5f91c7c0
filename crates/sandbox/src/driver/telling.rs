//! Writes events, one after the other, apart from the work that they tell of. What was told before is counted up.

use super::{Shared, now};
use crate::events::{self, Event, Source};
use client::Patch;
use object::{Value, json, meta};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Events that are remembered in order to be counted up; the oldest are forgotten, and told anew.
const REMEMBERED: usize = 4096;

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

#[derive(Default)]
struct Memory {
    /// Name and count, by what identifies an event.
    told: HashMap<u64, (String, u64)>,
    order: VecDeque<u64>,
    /// Part of the names: grows with time, so that events sort in the order of their first telling.
    last: i128,
}

impl Memory {
    fn remember(&mut self, identity: u64, name: String) {
        if self.told.insert(identity, (name, 1)).is_none() {
            self.order.push_back(identity);
        }
        if self.order.len() > REMEMBERED {
            let oldest = self.order.pop_front();
            oldest.map(|identity| self.told.remove(&identity));
        }
    }

    fn name(&mut self, object: &Value) -> String {
        self.last = now().as_nanosecond().max(self.last + 1);
        format!("{}.{:016x}", meta::name(object), self.last)
    }
}

/// Tells until the queue is closed.
pub(super) async fn tell(shared: Arc<Shared>, mut queue: mpsc::Receiver<Telling>) {
    let mut memory = Memory::default();
    while let Some(telling) = queue.recv().await {
        if let Err(error) = one(&shared, &mut memory, &telling).await {
            // Its namespace may be going, or the server; people will see that otherwise.
            tracing::debug!(error = %error.message(), "an event could not be written");
        }
    }
}

async fn one(shared: &Shared, memory: &mut Memory, telling: &Telling) -> object::Result<()> {
    let (gvr, object) = (&shared.resources.events, &telling.object);
    let identity = telling.event.identity(object);
    if let Some((name, count)) = memory.told.get_mut(&identity) {
        *count += 1;
        let patch = Patch::Merge(match telling.event.action.is_empty() {
            true => json!({"count": count, "lastTimestamp": object::time::format(now())}),
            false => {
                json!({"series": {"count": count, "lastObservedTime": object::time::format_micro(now())}})
            }
        });
        match shared.client.patch(gvr, events::namespace_of(object), name, "", &patch).await {
            // It has expired.
            Err(error) if error.is_not_found() => {}
            other => return other.map(drop),
        }
    }
    let source = Source { component: telling.component, host: &telling.host };
    let name = memory.name(object);
    shared.client.create(gvr, &events::object_of(&telling.event, object, &name, source, now())).await?;
    memory.remember(identity, name);
    Ok(())
}
