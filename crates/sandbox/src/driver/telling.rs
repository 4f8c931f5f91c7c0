//! Writes events apart from the work that they tell of: those of one object one after the other, those of several at once.
//! What was told before is counted up.

use super::{Shared, now};
use crate::events::{self, About, Event, Source};
use client::Patch;
use futures::future::join_all;
use jiff::Timestamp;
use object::{Value, json};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use tokio::sync::mpsc;

/// Events that are remembered in order to be counted up; the oldest are forgotten, and told anew.
const REMEMBERED: usize = 4096;

/// Events that are written at a time.
const AT_ONCE: usize = 32;

/// An event to be told.
pub(crate) struct Telling {
    about: About,
    event: Event,
    component: &'static str,
    host: String,
    at: Timestamp,
}

impl Shared {
    /// Tells of `object`; when too much waits to be told, this is not.
    pub fn tell(&self, object: &Value, event: Event, component: &'static str, host: &str) {
        let telling =
            Telling { about: About::of(object), event, component, host: host.to_owned(), at: now() };
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
    /// Part of the names: grows with time, so that events sort in the order of their telling.
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

    /// The name of the event that said the same before, and how often it has now been said.
    fn again(&mut self, identity: u64) -> Option<(String, u64)> {
        let (name, count) = self.told.get_mut(&identity)?;
        *count += 1;
        Some((name.clone(), *count))
    }

    fn name(&mut self, telling: &Telling) -> String {
        self.last = telling.at.as_nanosecond().max(self.last + 1);
        format!("{}.{:016x}", telling.about.name, self.last)
    }
}

/// Tells until the queue is closed.
pub(super) async fn tell(shared: &Shared, mut queue: mpsc::Receiver<Telling>) {
    let memory = Mutex::new(Memory::default());
    let mut waiting = Vec::with_capacity(AT_ONCE);
    while queue.recv_many(&mut waiting, AT_ONCE).await > 0 {
        let mut by_object: BTreeMap<Box<str>, Vec<(Telling, String)>> = BTreeMap::new();
        for telling in waiting.drain(..) {
            let name = memory.lock().name(&telling);
            by_object.entry(telling.about.uid.clone()).or_default().push((telling, name));
        }
        join_all(by_object.into_values().map(|tellings| all(shared, &memory, tellings))).await;
    }
}

async fn all(shared: &Shared, memory: &Mutex<Memory>, tellings: Vec<(Telling, String)>) {
    for (telling, name) in tellings {
        if let Err(error) = one(shared, memory, &telling, name).await {
            // Its namespace may be going, or the server; people will see that otherwise.
            tracing::debug!(error = %error.message(), "an event could not be written");
        }
    }
}

async fn one(shared: &Shared, memory: &Mutex<Memory>, telling: &Telling, name: String) -> object::Result<()> {
    let (gvr, Telling { about, event, at, .. }) = (&shared.resources.events, telling);
    let identity = event.identity(about);
    let again = memory.lock().again(identity);
    if let Some((name, count)) = again {
        let patch = Patch::Merge(match event.action.is_empty() {
            true => json!({"count": count, "lastTimestamp": object::time::format(*at)}),
            false => {
                json!({"series": {"count": count, "lastObservedTime": object::time::format_micro(*at)}})
            }
        });
        match shared.client.patch_encoded(gvr, about.events_namespace(), &name, "", &patch).await {
            // It has expired.
            Err(error) if error.is_not_found() => {}
            other => return other.map(drop),
        }
    }
    let source = Source { component: telling.component, host: &telling.host };
    shared.client.create_encoded(gvr, &events::object_of(event, about, &name, source, *at)).await?;
    memory.lock().remember(identity, name);
    Ok(())
}
