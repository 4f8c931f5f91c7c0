//! Records events as Kubernetes' recorder does: equal ones are counted, floods of similar ones are told as one, and what
//! still comes too fast from one object is dropped.

use crate::plan::Event;
use client::{Client, Patch};
use jiff::Timestamp;
use object::time;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use tokio::sync::mpsc;

use super::Clock;
use crate::resources::EVENTS;

/// Events that wait to be written; more are dropped.
const WAITING: usize = 1024;
/// Events remembered for counting; when full, all are forgotten.
const REMEMBERED: usize = 4096;
/// Similar events in ten minutes after which they are told as one.
const SIMILAR: usize = 10;
/// The window for similar events, seconds.
const WINDOW: i64 = 600;
/// Events that one object may have at once; one more every five minutes.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;

/// Takes events; [`Writer`] writes them.
pub(crate) struct Recorder {
    sender: mpsc::Sender<(&'static str, Event)>,
}

impl Recorder {
    /// A recorder and what writes for it.
    pub(crate) fn new(client: Client, clock: Clock) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender }, Writer { client, clock, receiver, memory: Mutex::default() })
    }

    /// Notes an event; never waits.
    pub(crate) fn record(&self, component: &'static str, event: Event) {
        if let Err(error) = self.sender.try_send((component, event)) {
            tracing::debug!(%error, "an event was dropped");
        }
    }
}

/// Writes what the recorder took.
pub(crate) struct Writer {
    client: Client,
    clock: Clock,
    receiver: mpsc::Receiver<(&'static str, Event)>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// By all that makes events equal.
    written: HashMap<String, Written>,
    /// By all but the message.
    similar: HashMap<String, Similar>,
    /// By source and object.
    budget: HashMap<String, (f64, Timestamp)>,
}

struct Written {
    namespace: String,
    name: String,
    count: i64,
}

struct Similar {
    messages: Vec<String>,
    last: Timestamp,
}

/// What to write.
#[derive(Debug, PartialEq)]
enum Decision {
    Drop,
    Create { message: String, id: String },
    Count { namespace: String, name: String, count: i64, message: String },
}

impl Writer {
    /// Writes events until the recorder is gone.
    pub(crate) async fn run(mut self) {
        while let Some((component, event)) = self.receiver.recv().await {
            if let Err(error) = self.write(component, &event).await {
                tracing::debug!(reason = event.reason, error = %error.message(), "an event could not be written");
            }
        }
    }

    async fn write(&self, component: &'static str, event: &Event) -> object::Result<()> {
        let now = self.clock.now();
        let decision = self.memory.lock().decide(component, event, now);
        match decision {
            Decision::Drop => Ok(()),
            Decision::Count { namespace, name, count, message } => {
                let patch = json!({"count": count, "lastTimestamp": time::format(now), "message": message});
                let patched =
                    self.client.patch_encoded(&EVENTS, &namespace, &name, "", &Patch::Merge(patch)).await;
                match patched {
                    Err(error) if error.is_not_found() => {
                        self.create(component, event, &message, now).await.map(|_| ())
                    }
                    other => other.map(|_| ()),
                }
            }
            Decision::Create { message, id } => {
                let name = self.create(component, event, &message, now).await?;
                let namespace = namespace_of(event).to_owned();
                self.memory.lock().written.insert(id, Written { namespace, name, count: 1 });
                Ok(())
            }
        }
    }

    async fn create(
        &self,
        component: &str,
        event: &Event,
        message: &str,
        now: Timestamp,
    ) -> object::Result<String> {
        let regarding = event.regarding["name"].as_str().unwrap_or("");
        let name = format!("{regarding}.{:x}", now.as_nanosecond() + i128::from(self.serial()));
        let time = time::format(now);
        let object = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": &name, "namespace": namespace_of(event)},
            "involvedObject": event.regarding, "type": event.kind, "reason": event.reason, "message": message,
            "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
            "firstTimestamp": time, "lastTimestamp": time, "count": 1,
        });
        self.client.create_encoded(&EVENTS, &object).await?;
        Ok(name)
    }

    /// Tells apart events of the same instant.
    fn serial(&self) -> u16 {
        self.memory.lock().written.len() as u16
    }
}

/// Events of cluster-scoped objects live in `default`.
fn namespace_of(event: &Event) -> &str {
    event.regarding["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or("default")
}

impl Memory {
    fn decide(&mut self, component: &str, event: &Event, now: Timestamp) -> Decision {
        for full in [self.written.len(), self.similar.len(), self.budget.len()] {
            if full >= REMEMBERED {
                *self = Self::default();
            }
        }
        let of = |field: &str| event.regarding[field].as_str().unwrap_or("");
        let object = format!("{component}/{}/{}/{}/{}", of("kind"), of("namespace"), of("name"), of("uid"));
        let kind = format!("{object}/{}/{}", event.kind, event.reason);
        let (message, id) = match self.flood(&kind, event, now) {
            true => (format!("(combined from similar events): {}", event.message), kind),
            false => (event.message.clone(), format!("{kind}/{}", event.message)),
        };
        if !self.affordable(object, now) {
            return Decision::Drop;
        }
        match self.written.get_mut(&id) {
            Some(written) => {
                written.count += 1;
                let (namespace, name) = (written.namespace.clone(), written.name.clone());
                Decision::Count { namespace, name, count: written.count, message }
            }
            None => Decision::Create { message, id },
        }
    }

    /// Whether too many different messages came for the same reason.
    fn flood(&mut self, kind: &str, event: &Event, now: Timestamp) -> bool {
        let fresh = Similar { messages: vec![], last: now };
        let similar = self.similar.entry(kind.to_owned()).or_insert(fresh);
        if now.as_second() - similar.last.as_second() > WINDOW {
            similar.messages.clear();
        }
        similar.last = now;
        if similar.messages.len() < SIMILAR && !similar.messages.contains(&event.message) {
            similar.messages.push(event.message.clone());
        }
        similar.messages.len() >= SIMILAR
    }

    fn affordable(&mut self, object: String, now: Timestamp) -> bool {
        let (tokens, last) = self.budget.entry(object).or_insert((BURST, now));
        let passed = now.duration_since(*last).as_secs_f64().max(0.0);
        *tokens = (*tokens + passed / REFILL_SECONDS).min(BURST);
        *last = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event::normal(&json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "a"}}), "R", message)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn equal_events_are_counted() {
        let mut memory = Memory::default();
        let Decision::Create { id, .. } = memory.decide("c", &event("x"), at(0)) else { panic!() };
        memory.written.insert(id, Written { namespace: "a".into(), name: "e".into(), count: 1 });
        let again = memory.decide("c", &event("x"), at(1));
        assert_eq!(
            again,
            Decision::Count { namespace: "a".into(), name: "e".into(), count: 2, message: "x".into() }
        );
    }

    #[test]
    fn floods_are_combined_and_then_dropped() {
        let mut memory = Memory::default();
        let told: Vec<_> = (0..30).map(|n| memory.decide("c", &event(&n.to_string()), at(n))).collect();
        assert!(matches!(&told[8], Decision::Create { message, .. } if message == "8"));
        assert!(
            matches!(&told[9], Decision::Create { message, .. } if message == "(combined from similar events): 9")
        );
        assert_eq!(told[25], Decision::Drop);
    }
}
