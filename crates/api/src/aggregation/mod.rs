//! APIs that other servers serve under this one's address: APIServices that name a service.
//!
//! Requests are authenticated and authorized here, then passed on with the user's name in headers. Whether a server can be
//! had, and what it serves, is found out by one task, which runs only while there are such APIServices. A group that is built
//! in is always served here, whatever its APIService says.

mod availability;
mod discovery;
mod identity;
mod proxy;

pub(crate) use availability::{Watching, written};
pub(crate) use identity::{Identity, published};
pub(crate) use proxy::pass_on;

use crate::call::Call;
use crate::followed::State;
use crate::outbound::{self, Destination};
use crate::{Api, failure, resource_metrics};
use discovery::Discovered;
use object::{GroupVersion, Result, Value, meta};
use openapi::AggregatedVersion;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An APIService that leads to another server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remote {
    pub name: String,
    pub group_version: GroupVersion,
    namespace: String,
    service: String,
    port: u64,
    ca_bundle: Option<Vec<u8>>,
    insecure: bool,
    group_priority: i64,
    priority: i64,
    available: bool,
}

impl Remote {
    fn of(object: &Value) -> Option<Self> {
        let spec = &object["spec"];
        let service = spec.get("service").filter(|s| s.is_object())?;
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        Some(Self {
            name: meta::name(object).to_owned(),
            group_version: GroupVersion::new(text(&spec["group"]), text(&spec["version"])),
            namespace: text(&service["namespace"]),
            service: text(&service["name"]),
            port: service["port"].as_u64().unwrap_or(443),
            ca_bundle: outbound::ca_bundle(&spec["caBundle"]),
            insecure: spec["insecureSkipTLSVerify"] == true,
            group_priority: spec["groupPriorityMinimum"].as_i64().unwrap_or(0),
            priority: spec["versionPriority"].as_i64().unwrap_or(0),
            available: conditions.into_iter().any(|c| c["type"] == "Available" && c["status"] == "True"),
        })
    }

    /// Where a path of its API is.
    async fn destination(&self, api: &Api, path: &str) -> std::result::Result<Destination, String> {
        let (host, port) = outbound::resolve(api, &self.namespace, &self.service, self.port).await?;
        Ok(Destination {
            url: format!("https://{}.{}.svc:{}{path}", self.service, self.namespace, self.port),
            connect: Some((host, port)),
            ca_bundle: self.ca_bundle.clone(),
            insecure: self.insecure,
            identity: Some(api.identity.get(api).await.map_err(|e| e.message())?),
        })
    }
}

/// The APIServices that lead elsewhere, by name.
#[derive(Default)]
pub(crate) struct Remotes {
    all: BTreeMap<String, Arc<Remote>>,
    /// Changes whenever they do.
    generation: u64,
}

impl State for Remotes {
    fn apply(&mut self, key: &str, object: Option<Value>) {
        let Some(name) = key.strip_prefix(crate::api_services::PREFIX) else { return };
        let remote = object.as_ref().and_then(Remote::of).map(Arc::new);
        let before = match remote {
            Some(remote) => self.all.insert(name.to_owned(), remote),
            None => self.all.remove(name),
        };
        if before.as_ref() != self.all.get(name) {
            self.generation += 1;
        }
    }

    fn clear(&mut self) {
        self.all.clear();
        self.generation += 1;
    }
}

/// What was found out about other servers.
#[derive(Default)]
pub(crate) struct Findings {
    by_service: Mutex<BTreeMap<String, Arc<Discovered>>>,
    /// The last answer of [`versions`], and what it was made of.
    shown: Mutex<Option<((u64, bool), Arc<[AggregatedVersion]>)>>,
}

impl Findings {
    fn keep(&self, name: &str, discovered: Discovered) {
        let mut known = self.by_service.lock();
        if known.get(name).is_none_or(|d| **d != discovered) {
            known.insert(name.to_owned(), Arc::new(discovered));
            *self.shown.lock() = None;
        }
    }

    fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.by_service.lock().retain(|name, _| is_there(name));
    }
}

impl Remotes {
    /// Whether another server serves a group version, going by its APIService's name.
    pub(crate) fn serves(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }
}

/// The server that a group version is asked of, when it is another one.
pub(crate) async fn find(call: &Call) -> Result<Option<Arc<Remote>>> {
    let mut words = call.info.path.trim_start_matches('/').split('/');
    let (Some("apis"), Some(group), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    if kinds::builtin().iter().any(|r| r.gvr.group == group) {
        return Ok(None);
    }
    let found = call.api.remotes.read().await?.state.all.get(&format!("{version}.{group}")).cloned();
    if found.is_some() {
        call.api.watching.start(&call.api);
    }
    Ok(found)
}

/// What other servers serve, for this one's documents.
pub(crate) async fn versions(api: &Api) -> Result<Arc<[AggregatedVersion]>> {
    let remotes = api.remotes.read().await?;
    if !remotes.state.all.is_empty() {
        api.watching.start(api);
    }
    let measured = resource_metrics::served(api, &remotes.state).await;
    let of_what = (remotes.state.generation, measured);
    let mut shown = api.findings.shown.lock();
    match &*shown {
        Some((of, versions)) if *of == of_what => Ok(versions.clone()),
        _ => {
            let known = api.findings.by_service.lock();
            let made: Arc<[AggregatedVersion]> = remotes
                .state
                .all
                .values()
                .filter(|r| !kinds::builtin().iter().any(|b| b.gvr.group == r.group_version.group))
                .map(|remote| shown_version(remote, known.get(&remote.name).map(Arc::as_ref)))
                .chain(measured.then(resource_metrics::version))
                .collect();
            *shown = Some((of_what, made.clone()));
            Ok(made)
        }
    }
}

fn shown_version(remote: &Remote, known: Option<&Discovered>) -> AggregatedVersion {
    let known = known.cloned().unwrap_or_default();
    AggregatedVersion {
        group_version: remote.group_version.clone(),
        group_priority: remote.group_priority,
        priority: remote.priority,
        fresh: remote.available,
        resources: known.resources,
        openapi_v3: known.openapi_v3,
        openapi_v2: known.openapi_v2,
    }
}

/// The OpenAPI v3 document of a group version that another server serves.
pub(crate) async fn openapi(call: &Call) -> Result<Option<crate::respond::Answer>> {
    let Some(rest) = call.info.path.strip_prefix("/openapi/v3/apis/") else { return Ok(None) };
    let Some((group, version)) = rest.trim_end_matches('/').split_once('/') else { return Ok(None) };
    let remote = call.api.remotes.read().await?.state.all.get(&format!("{version}.{group}")).cloned();
    match remote {
        Some(remote) if remote.available => proxy::document(call, &remote).await.map(Some),
        _ => Ok(None),
    }
}

/// A failure of the store, in the words of a task that has nobody to tell.
fn told(error: store::StoreError) -> String {
    failure::store(error).message()
}
