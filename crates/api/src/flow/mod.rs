//! API priority and fairness: FlowSchemas sort requests into priority levels, whose seats they take or wait for, so that
//! nobody's flood starves others. After KEP-1040.
//!
//! The objects are followed as access rules are: nothing runs while nobody asks. A level's seats are its share of
//! [`SEATS`]; levels lend each other none. A request takes one seat, a list as many as what it looked at the last time is
//! worth. A watch holds its seats until its first objects are gathered, other long-running requests take none, and the
//! server's own parts, which come in without a socket, are not asked.

mod level;
mod metrics;
mod queues;
mod schema;

use crate::Api;
use crate::call::Call;
use crate::followed::{Followed, State};
use crate::respond::Answer;
use bytes::Bytes;
use client::Body;
use http::{HeaderValue, Response, header};
use level::{Level, Permit, Refusal, Settings};
use object::{ApiError, Result, Value};
use parking_lot::Mutex;
use schema::FlowSchema;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use store::Store;

/// Seats of all levels together: what kube-apiserver admits at once unless told otherwise (400 reads and 200 writes).
const SEATS: u64 = 600;
/// Objects that are worth a seat.
const OBJECTS_PER_SEAT: usize = 100;
/// A list is no wider than this.
const WIDEST: u32 = 10;
/// Collections whose size is remembered; others count as small.
const COLLECTIONS: usize = 1_000;
/// Answers of more bytes hold their seats until they are sent: encrypting and sending them is most of the work.
const LARGE: usize = 64 << 10;
/// But no longer, so that slow readers do not keep seats from others.
const SENDING: Duration = Duration::from_secs(5);
/// Seconds after which a refused client may try again.
const RETRY_AFTER: u32 = 1;

/// The flow control of one API server.
pub(crate) struct Flow {
    config: Followed<Configuration>,
    off: AtomicBool,
    /// Objects looked at by the last list of a collection, by its prefix; only those that are wider than one seat.
    sizes: Mutex<HashMap<String, u32>>,
    hasher: RandomState,
}

/// The objects that steer it.
#[derive(Default)]
struct Configuration {
    /// In the order in which they are tried.
    schemas: Vec<Arc<Schema>>,
    levels: BTreeMap<String, Arc<Level>>,
}

/// A schema and what was counted for it.
struct Schema {
    is: FlowSchema,
    dispatched: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl State for Configuration {
    fn apply(&mut self, key: &str, object: Option<Value>) {
        let Some((resource, name)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')) else {
            return;
        };
        match resource {
            "flowschemas" => self.set_schema(name, object),
            "prioritylevelconfigurations" => self.set_level(name, object),
            _ => {}
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

const PREFIX: &str = "/flowcontrol.apiserver.k8s.io/";

impl Configuration {
    fn set_schema(&mut self, name: &str, object: Option<Value>) {
        let place = self.schemas.iter().position(|schema| schema.is.name == name);
        let former = place.map(|place| self.schemas.remove(place));
        let Some(object) = object else { return };
        let is = FlowSchema::read(&object);
        let count = |of: fn(&Schema) -> &AtomicU64| {
            AtomicU64::new(former.as_ref().map_or(0, |schema| of(schema).load(Ordering::Relaxed)))
        };
        let schema = Schema {
            dispatched: count(|s| &s.dispatched),
            refused: [count(|s| &s.refused[0]), count(|s| &s.refused[1]), count(|s| &s.refused[2])],
            is,
        };
        self.schemas.push(Arc::new(schema));
        self.schemas.sort_by(|a, b| (a.is.precedence, &a.is.name).cmp(&(b.is.precedence, &b.is.name)));
    }

    fn set_level(&mut self, name: &str, object: Option<Value>) {
        match object {
            Some(object) => {
                self.levels.insert(name.to_owned(), Arc::new(Level::new(Settings::read(&object))));
            }
            None => drop(self.levels.remove(name)),
        }
        let all: u64 = self.levels.values().map(|level| level.settings.shares).sum();
        for level in self.levels.values() {
            level.limit_to((SEATS * level.settings.shares).div_ceil(all.max(1)) as u32);
        }
    }

    /// The first schema that matches and does not dangle, its level, and the hash of the flow.
    fn classify(&self, call: &Call, hasher: &RandomState) -> Option<(Arc<Schema>, Arc<Level>, u64)> {
        self.schemas.iter().find_map(|schema| {
            let level = self.levels.get(&schema.is.level)?;
            let flow =
                schema.is.matches(&call.user, &call.info).then(|| schema.is.flow(&call.user, &call.info))?;
            Some((schema.clone(), level.clone(), hasher.hash_one((&schema.is.name, flow))))
        })
    }
}

/// An answer that holds its request's seats while it is sent.
struct Held {
    bytes: Bytes,
    _permit: Arc<Mutex<Option<Permit>>>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What became of a request: where it belongs, and its seats until they are given up.
#[derive(Default)]
pub(crate) struct Admission {
    class: Option<(Arc<Schema>, Arc<Level>)>,
    permit: Option<Permit>,
    refused: bool,
}

impl Admission {
    /// Gives the seats to others: at once, or when a large answer was taken by its client, who has so long for it.
    pub fn leave(&mut self, answer: &mut Answer) {
        let Some(permit) = self.permit.take() else { return };
        if let Body::Full(bytes) = answer.body_mut()
            && bytes.len() > LARGE
        {
            let permit = Arc::new(Mutex::new(Some(permit)));
            let late = Arc::downgrade(&permit);
            *bytes = Bytes::from_owner(Held { bytes: std::mem::take(bytes), _permit: permit });
            tokio::spawn(async move {
                tokio::time::sleep(SENDING).await;
                let permit = late.upgrade().and_then(|permit| permit.lock().take());
                drop(permit);
            });
        }
    }

    /// Tells where the request belongs, as clients and tests look for it.
    pub fn mark(&self, answer: &mut Answer) {
        let Some((schema, level)) = &self.class else { return };
        for (name, uid) in [
            ("x-kubernetes-pf-flowschema-uid", &schema.is.uid),
            ("x-kubernetes-pf-prioritylevel-uid", &level.settings.uid),
        ] {
            if let Ok(value) = HeaderValue::from_str(uid) {
                answer.headers_mut().insert(name, value);
            }
        }
    }

    /// The answer to a request that was refused; Kubernetes writes it without a `Status`.
    pub fn refusal(&self) -> Option<Answer> {
        self.refused.then(|| {
            let mut answer = Response::new(Body::Full("Too many requests, please try again later.\n".into()));
            *answer.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
            let headers = answer.headers_mut();
            headers.insert(header::RETRY_AFTER, RETRY_AFTER.into());
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
            answer
        })
    }
}

impl Flow {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            config: Followed::new(store, PREFIX, Configuration::default()),
            off: AtomicBool::new(false),
            sizes: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Lets everything in from now on.
    pub fn disable(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    /// A list under `prefix` looked at so many objects.
    pub fn learn(&self, prefix: &str, objects: usize) {
        let mut sizes = self.sizes.lock();
        if objects <= OBJECTS_PER_SEAT {
            if !sizes.is_empty() {
                sizes.remove(prefix);
            }
        } else if let Some(size) = sizes.get_mut(prefix) {
            *size = objects as u32;
        } else if sizes.len() < COLLECTIONS {
            sizes.insert(prefix.to_owned(), objects as u32);
        }
    }

    /// How many seats a request takes.
    fn width(&self, call: &Call) -> u32 {
        let Some(at) = &call.info.resource else { return 1 };
        let version = call.query.get("resourceVersion");
        let begins = matches!(version, "" | "0") || call.query.flag("sendInitialEvents");
        if !(call.info.verb == "list" || call.info.verb == "watch" && begins) {
            return 1;
        }
        let group = if at.group.is_empty() { "core" } else { &at.group };
        let prefix = match at.namespace.as_str() {
            "" => format!("/{group}/{}/", at.resource),
            namespace => format!("/{group}/{}/{namespace}/", at.resource),
        };
        let known = self.sizes.lock().get(&prefix).copied().unwrap_or(0);
        let limit = call.query.get("limit").parse().ok().filter(|limit| *limit > 0).unwrap_or(u32::MAX);
        known.min(limit).div_ceil(OBJECTS_PER_SEAT as u32).clamp(1, WIDEST)
    }
}

/// Lets the request in, when it is its turn. What it belongs to is known also when it is refused.
///
/// # Errors
/// `TooManyRequests` when there is no room for it; when the store fails.
pub(crate) async fn admit(api: &Api, call: &Call, admission: &mut Admission) -> Result<()> {
    let flow = &api.flow;
    if flow.off.load(Ordering::Relaxed) || api.is_internal(call) || is_long_running(call) {
        return Ok(());
    }
    let class = flow.config.read().await?.state.classify(call, &flow.hasher);
    let Some((schema, level, hash)) = class else { return Ok(()) };
    admission.class = Some((schema.clone(), level.clone()));
    if level.settings.exempt {
        schema.dispatched.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    match level.enter(hash, flow.width(call)).await {
        Ok(permit) => {
            schema.dispatched.fetch_add(1, Ordering::Relaxed);
            admission.permit = Some(permit);
            Ok(())
        }
        Err(refusal) => {
            admission.refused = true;
            schema.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
            Err(ApiError::TooManyRequests {
                message: "Too many requests, please try again later.".into(),
                retry_after: RETRY_AFTER,
                causes: vec![],
            })
        }
    }
}

/// Requests that last as long as their client likes; watches are not meant, which are short until they wait.
fn is_long_running(call: &Call) -> bool {
    let of = |at: &crate::request::ResourcePath| {
        matches!(at.subresource.as_str(), "attach" | "exec" | "proxy" | "log" | "portforward")
    };
    call.info.resource.as_ref().is_some_and(of)
}
