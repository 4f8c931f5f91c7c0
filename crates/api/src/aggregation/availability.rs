//! Whether the servers behind APIServices can be had: the `Available` condition, and what they serve.
//!
//! One task does this for a server, from the first time that somebody asks while there is such an APIService. It looks when an
//! APIService, its service or its endpoints change, and else every half minute, or sooner where a server failed.

use super::discovery::{check, discover};
use super::{Remote, told};
use crate::call::Call;
use crate::managed::Status;
use crate::{Api, api_services, settle, stored};
use futures::future::join_all;
use object::{Result, Value, meta};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::{ListRequest, Revision, Store};
use tokio::task::AbortHandle;

/// How long what was found is believed.
const PASSED: Duration = Duration::from_secs(30);
/// The first wait after a failure; it doubles up to [`PASSED`].
const FAILED: Duration = Duration::from_secs(5);

const SERVICES: &str = "/core/services/";
const SLICES: &str = "/discovery.k8s.io/endpointslices/";

/// The task, once it runs. It ends with this.
#[derive(Default)]
pub(crate) struct Watching(Mutex<Option<AbortHandle>>);

impl Watching {
    /// Starts the task unless it runs.
    pub fn start(&self, api: &Api) {
        let mut handle = self.0.lock();
        if handle.is_none() {
            let task = tokio::spawn(run(api.this.clone(), api.store.clone()));
            *handle = Some(task.abort_handle());
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(task) = self.0.lock().take() {
            task.abort();
        }
    }
}

async fn run(api: Weak<Api>, store: Arc<dyn Store>) {
    let mut waits: BTreeMap<String, Duration> = BTreeMap::new();
    loop {
        let revision = store.revision();
        let round = {
            let Some(api) = api.upgrade() else { return };
            look(&api, &mut waits).await
        };
        let (seen, wait) = round.unwrap_or_else(|why| {
            tracing::warn!(why, "cannot look after APIServices");
            (Vec::new(), Some(FAILED))
        });
        let changed = change(store.as_ref(), revision, &seen);
        match wait {
            None => changed.await,
            Some(wait) => drop(tokio::time::timeout(wait, changed).await),
        }
    }
}

/// Looks at all of them; what was seen, and when to look again.
async fn look(
    api: &Arc<Api>,
    waits: &mut BTreeMap<String, Duration>,
) -> std::result::Result<(Vec<Remote>, Option<Duration>), String> {
    let request = ListRequest { prefix: api_services::PREFIX.into(), ..Default::default() };
    let listing = api.store.list(request).await.map_err(told)?;
    let remotes: Vec<Remote> =
        listing.entries.iter().filter_map(stored::decode).filter_map(|o| Remote::of(&o)).collect();
    let is_there = |name: &str| remotes.iter().any(|r| r.name == name);
    waits.retain(|name, _| is_there(name));
    api.findings.retain(is_there);
    let answers = join_all(remotes.iter().map(|remote| one(api, remote))).await;
    for (remote, passed) in remotes.iter().zip(answers) {
        let wait = match (passed, waits.get(&remote.name)) {
            (true, _) => PASSED,
            (false, Some(last)) if *last < PASSED => (*last * 2).min(PASSED),
            (false, Some(_)) => PASSED,
            (false, None) => FAILED,
        };
        // The first failure after a success is looked into soon.
        let wait = if !passed && waits.get(&remote.name) == Some(&PASSED) && remote.available {
            FAILED
        } else {
            wait
        };
        waits.insert(remote.name.clone(), wait);
    }
    Ok((remotes, waits.values().min().copied()))
}

/// Looks at one; whether it can be had.
async fn one(api: &Arc<Api>, remote: &Remote) -> bool {
    let call = Call::of_server(api.clone());
    let condition = match service(&call, remote).await {
        Ok(Some(condition)) => condition,
        Ok(None) => match check(api, remote).await {
            Ok(()) => passed(),
            Err(why) => settle::condition("Available", false, "FailedDiscoveryCheck", why),
        },
        Err(error) => {
            tracing::warn!(api_service = remote.name, %error, "service cannot be read");
            return false;
        }
    };
    let passed = condition["status"] == "True";
    if passed {
        api.findings.keep(&remote.name, discover(api, remote).await);
    }
    if let Err(error) = write(&call, &remote.name, condition).await {
        tracing::warn!(api_service = remote.name, %error, "condition cannot be written");
    }
    passed
}

fn passed() -> Value {
    settle::condition("Available", true, "Passed", "all checks passed".into())
}

async fn write(call: &Call, name: &str, condition: Value) -> Result<()> {
    let registry = call.api.registry().await?;
    let Some(resource) = registry.get("apiregistration.k8s.io", "v1", "apiservices") else { return Ok(()) };
    settle::set(call, resource, name, Status::Updated("kube-apiserver"), condition).await
}

/// After an APIService was written: what can be said of it at once. The task finds out the rest.
pub(crate) async fn written(call: &Call, name: &str) -> Result<()> {
    let key = format!("{}{name}", api_services::PREFIX);
    let Some(object) = settle::get(call, &key).await? else { return Ok(()) };
    let condition = match Remote::of(&object) {
        None => {
            let message = "Local APIServices are always available";
            Some(settle::condition("Available", true, "Local", message.into()))
        }
        Some(remote) => {
            let known = service(call, &remote).await?;
            call.api.watching.start(&call.api);
            known
        }
    };
    match condition {
        Some(condition) => write(call, name, condition).await,
        None => Ok(()),
    }
}

/// What is wrong with the service itself, as a condition.
async fn service(call: &Call, remote: &Remote) -> Result<Option<Value>> {
    let (namespace, name, port) = (&remote.namespace, &remote.service, remote.port);
    let wrong =
        |reason: &str, message: String| Ok(Some(settle::condition("Available", false, reason, message)));
    let Some(service) = settle::get(call, &format!("{SERVICES}{namespace}/{name}")).await? else {
        return wrong("ServiceNotFound", format!("service/{name} in \"{namespace}\" is not present"));
    };
    if service["spec"]["type"] != "ClusterIP" {
        return Ok(None);
    }
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let Some(found) = ports.find(|p| p["port"] == port) else {
        let message = format!("service/{name} in \"{namespace}\" is not listening on port {port}");
        return wrong("ServicePortError", message);
    };
    let request = ListRequest { prefix: format!("{SLICES}{namespace}/"), ..Default::default() };
    let listing = call.api.store.list(request).await.map_err(crate::failure::store)?;
    let slices = listing.entries.iter().filter_map(stored::decode);
    let slices: Vec<Value> = slices.filter(|s| service_of(s) == name).collect();
    if slices.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in \"{namespace}\"");
        return wrong("EndpointsNotFound", message);
    }
    let port_name = found["name"].as_str().unwrap_or("");
    if !slices.iter().any(|slice| serves(slice, port_name)) {
        let message = format!(
            "endpointslices for service/{name} in \"{namespace}\" have no addresses with port name \"{port_name}\""
        );
        return wrong("MissingEndpoints", message);
    }
    Ok(None)
}

fn service_of(slice: &Value) -> &str {
    meta::labels(slice).find(|(key, _)| *key == "kubernetes.io/service-name").map_or("", |(_, name)| name)
}

/// Whether a slice has an address that is ready, behind a port of the name.
fn serves(slice: &Value, port_name: &str) -> bool {
    let ready = |e: &Value| {
        e["conditions"]["ready"] != false && e["addresses"].as_array().is_some_and(|a| !a.is_empty())
    };
    slice["endpoints"].as_array().is_some_and(|all| all.iter().any(ready))
        && slice["ports"]
            .as_array()
            .is_some_and(|all| all.iter().any(|p| p["name"].as_str().unwrap_or("") == port_name))
}

/// Returns when an APIService changed from what was seen, or a service that one of them names.
async fn change(store: &dyn Store, since: Revision, seen: &[Remote]) {
    let watch = async |prefix: &str, concerns: &(dyn Fn(&str, Option<&Value>) -> bool + Sync)| {
        let Ok(mut watch) = store.watch(prefix, since).await else { return };
        while let Ok(event) = watch.next().await {
            let value = event.value.as_ref().or(event.previous.as_ref().map(|p| &p.value));
            let object = value.and_then(|v| stored::Stored::new(v)?.parse(event.revision));
            let object = object.filter(|_| event.value.is_some() || prefix == SLICES);
            if concerns(&event.key, object.as_ref()) {
                return;
            }
        }
    };
    // A condition that this task wrote itself is no news.
    let settled = |remote: &Remote| Remote { available: false, ..remote.clone() };
    let api_service = |key: &str, object: Option<&Value>| {
        let name = key.strip_prefix(api_services::PREFIX).unwrap_or("");
        let was = seen.iter().find(|r| r.name == name).map(settled);
        object.and_then(Remote::of).as_ref().map(settled) != was
    };
    let service = |key: &str, _: Option<&Value>| {
        seen.iter().any(|r| key == format!("{SERVICES}{}/{}", r.namespace, r.service))
    };
    let slice = |_: &str, object: Option<&Value>| {
        object.is_some_and(|o| {
            seen.iter().any(|r| meta::namespace(o) == r.namespace && service_of(o) == r.service)
        })
    };
    tokio::select! {
        () = watch(api_services::PREFIX, &api_service) => {}
        () = watch(SERVICES, &service) => {}
        () = watch(SLICES, &slice) => {}
    }
}
