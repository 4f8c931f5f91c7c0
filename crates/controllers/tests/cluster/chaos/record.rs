//! What became of a world: its objects in the end, without what differs from run to run, and the lives of its pods.

use super::world::options;
use futures::FutureExt;
use object::{Value, meta};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use store::embedded::EmbeddedStore;
use store::embedded::simulation::SimulatedDisk;
use store::{Event, ListRequest, Revision, Store};

const PODS: &str = "/core/pods/";
/// What tells of the way, not of the end.
const TRACES: [&str; 2] = ["/core/events/", "/events.k8s.io/"];

/// The same in objects. Who starts anew does not know what triggered a change (nor does kube-controller-manager).
const TRACES_IN_OBJECTS: [&str; 4] =
    ["managedFields", "generation", "observedGeneration", "endpoints.kubernetes.io/last-change-trigger-time"];

/// How many pods of a kind (by owner and image) there ever were.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lives {
    made: usize,
    gone: usize,
}

/// The pods that exist at some revision, by key.
pub type Pods = BTreeMap<String, Value>;
/// What must hold at every revision.
pub type Holds = fn(&Pods) -> bool;

pub struct Record {
    objects: Vec<String>,
    pods: BTreeMap<String, Lives>,
    /// The changes of pods, in order.
    changes: Vec<(String, Option<Value>)>,
    before: Pods,
}

impl Record {
    /// Reads a disk whose world began with `image`.
    pub fn read(disk: &SimulatedDisk, image: &[u8]) -> Self {
        let began = open(image.to_vec());
        let store = open(disk.image());
        let before = entries(&began).into_iter().filter(|(key, _)| key.starts_with(PODS)).collect();
        let changes: Vec<_> = events(&store, began.revision())
            .into_iter()
            .map(|event| (event.key.to_string(), event.value.as_deref().map(parse)))
            .collect();
        let mut record =
            Self { objects: comparable(entries(&store)), pods: BTreeMap::new(), changes, before };
        record.count();
        record
    }

    fn count(&mut self) {
        let mut known = self.before.clone();
        for (key, pod) in &self.changes {
            match pod {
                Some(pod) => {
                    let lives = self.pods.entry(class(pod)).or_default();
                    lives.made += usize::from(known.insert(key.clone(), pod.clone()).is_none());
                }
                None => {
                    let pod = known.remove(key).unwrap();
                    self.pods.entry(class(&pod)).or_default().gone += 1;
                }
            }
        }
        self.pods.retain(|_, lives| *lives != Lives::default());
    }

    /// Checks what must hold all the time.
    pub fn hold(&self, holds: Holds) {
        let mut pods = self.before.clone();
        for (key, pod) in &self.changes {
            match pod {
                Some(pod) => drop(pods.insert(key.clone(), pod.clone())),
                None => drop(pods.remove(key)),
            }
            assert!(holds(&pods), "does not hold after a change of {key}: {:#?}", pods.keys());
        }
    }

    /// Panics where this is not what an undisturbed run left.
    pub fn compare(&self, expected: &Self, plan: &str) {
        let here: BTreeSet<_> = self.objects.iter().collect();
        let there: BTreeSet<_> = expected.objects.iter().collect();
        let more: Vec<_> = here.difference(&there).collect();
        let less: Vec<_> = there.difference(&here).collect();
        assert!(more.is_empty() && less.is_empty(), "after {plan}\nthere is {more:#?}\ninstead of {less:#?}");
        assert_eq!(self.objects.len(), expected.objects.len(), "after {plan}: as many of each");
        assert_eq!(self.pods, expected.pods, "after {plan}: pods made and gone");
    }
}

fn open(image: Vec<u8>) -> Arc<EmbeddedStore> {
    EmbeddedStore::simulated(&SimulatedDisk::new(image, 0), options(|| UNIX_EPOCH)).unwrap()
}

fn entries(store: &EmbeddedStore) -> BTreeMap<String, Value> {
    let listing = store.list(ListRequest::default()).now_or_never().unwrap().unwrap();
    let entries =
        listing.entries.iter().filter(|entry| !TRACES.iter().any(|trace| entry.key.starts_with(trace)));
    entries.map(|entry| (entry.key.to_string(), parse(&entry.value))).collect()
}

fn events(store: &EmbeddedStore, after: Revision) -> Vec<Arc<Event>> {
    let mut watch = store.watch(PODS, after).now_or_never().unwrap().unwrap();
    let mut events = vec![];
    while watch.position() < store.revision() {
        events.extend(watch.try_next().unwrap());
    }
    events
}

/// A stored value: a line that names its type, and JSON.
fn parse(value: &[u8]) -> Value {
    let end = value.iter().position(|byte| *byte == b'\n').unwrap();
    serde_json::from_slice(&value[end + 1..]).unwrap()
}

/// Pods that nobody need tell apart.
fn class(pod: &Value) -> String {
    let owner = &pod["metadata"]["ownerReferences"][0];
    format!("{} {} {}", owner["kind"], owner["name"], pod["spec"]["containers"][0]["image"])
}

fn is_uid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The objects as text, in order.
fn comparable(objects: BTreeMap<String, Value>) -> Vec<String> {
    let generated: BTreeMap<_, _> = objects
        .values()
        .filter_map(|object| {
            let base = object["metadata"]["generateName"].as_str()?;
            Some((meta::name(object).to_owned(), format!("{base}*")))
        })
        .collect();
    let shown = |(key, mut object): (String, Value)| {
        make_comparable(&mut object, &generated);
        let mut key = Value::from(key);
        make_comparable(&mut key, &generated);
        format!("{key} {object}")
    };
    let mut all: Vec<_> = objects.into_iter().map(shown).collect();
    all.sort();
    all
}

fn make_comparable(value: &mut Value, generated: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            for (name, base) in generated {
                if text.contains(name.as_str()) {
                    *text = text.replace(name.as_str(), base);
                }
            }
            if object::time::parse(text).is_ok() {
                *text = "<time>".into();
            } else if is_uid(text) {
                *text = "<uid>".into();
            } else if text.starts_with("10.1.") {
                *text = "<pod address>".into();
            } else if text.starts_with("kube-api-access-") {
                *text = "<token volume>".into();
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| make_comparable(item, generated));
            items.sort_by_key(Value::to_string);
        }
        Value::Object(fields) => {
            for trace in TRACES_IN_OBJECTS {
                fields.remove(trace);
            }
            fields.values_mut().for_each(|field| make_comparable(field, generated));
            fields.retain(|name, field| name != "annotations" || *field != object::json!({}));
        }
        _ => {}
    }
}
