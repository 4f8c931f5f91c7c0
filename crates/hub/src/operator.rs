//! Follows `VirtualCluster` objects on a host: one owner task for each, which starts, updates and removes its virtual cluster.
//! An idle owner is a parked task and nothing else.

use crate::Error;
use crate::tenant::{Place, Tenant, folder, status};
use client::{
    Cache, Change, Client, DeleteOptions, FrameType, Keep, ListOptions, Patch, Scope, WatchOptions,
};
use deploy::{FINALIZER, Spec, gvr};
use node::Kubelet;
use object::{ApiError, GroupVersionResource, Value, json, meta};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use syncer::Host;
use syncer::resources::{CLAIMS, CONFIG_MAPS, INGRESSES, NETWORK_POLICIES, PODS, SECRETS, SERVICES};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use translate::marks;

/// Host namespace and name.
type Key = (String, String);

/// Longest wait before a virtual cluster that could not be started is tried again.
const RETRY_CAP: Duration = Duration::from_secs(60);

/// Runs the virtual clusters of one host.
pub struct Operator {
    shared: Arc<Shared>,
    reflecting: Vec<JoinHandle<()>>,
}

struct Shared {
    host: Arc<Host>,
    /// The VirtualClusters: of all namespaces under the empty one, or of some.
    caches: HashMap<String, Cache>,
    place: Place,
    kubelet: Arc<dyn Kubelet>,
    owners: Mutex<HashMap<Key, Arc<Notify>>>,
    /// How starting each virtual cluster went, in this process.
    outcomes: watch::Sender<HashMap<Key, Result<SocketAddr, Error>>>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Operator {
    /// Installs the definition on the host and follows its objects, of all namespaces if none are given. `kubelet` reaches the
    /// host's own pods.
    ///
    /// # Errors
    /// When the host cannot be reached, or neither takes the definition nor has it.
    pub async fn start(
        host: Arc<Host>,
        place: Place,
        kubelet: Arc<dyn Kubelet>,
        namespaces: &[String],
    ) -> Result<Self, Error> {
        let everywhere = [String::new()];
        let namespaces = if namespaces.is_empty() { &everywhere[..] } else { namespaces };
        install(host.client(), &namespaces[0]).await?;
        let client = host.client().with_user_agent("joey-operator");
        let (caches, reflectors): (HashMap<_, _>, Vec<_>) = namespaces
            .iter()
            .map(|namespace| {
                let scope = Scope { namespace: namespace.as_str().into(), ..Scope::default() };
                let (cache, reflectors) = Cache::scoped(client.clone(), scope);
                ((namespace.clone(), cache), reflectors)
            })
            .unzip();
        let shared = Arc::new(Shared {
            host,
            caches,
            place,
            kubelet,
            owners: Mutex::default(),
            outcomes: watch::Sender::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let weak = Arc::downgrade(&shared);
        for cache in shared.caches.values() {
            let weak = weak.clone();
            cache.subscribe(Arc::new(move |change| changed(&weak, change)));
            cache.track(&gvr(), Keep::Full);
        }
        let reflecting = reflectors.into_iter().map(|r| tokio::spawn(r.run())).collect();
        Ok(Self { shared, reflecting })
    }

    /// Waits until a virtual cluster runs in this process, or could not be started; gives its address.
    ///
    /// # Errors
    /// Why it could not be started.
    pub async fn running(&self, namespace: &str, name: &str) -> Result<SocketAddr, Error> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut outcomes = self.shared.outcomes.subscribe();
        let held = outcomes.wait_for(|all| all.contains_key(&key)).await;
        let held = held.map_err(|_| Error("the operator has stopped".into()))?;
        held.get(&key).cloned().unwrap_or_else(|| Err(Error("the operator has stopped".into())))
    }

    /// Stops all virtual clusters and waits for them.
    pub async fn stop(self) {
        self.reflecting.iter().for_each(JoinHandle::abort);
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    /// A VirtualCluster as last seen.
    fn seen(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.cache(namespace)?.get(&gvr(), namespace, name)
    }

    /// Takes in what a write answered.
    fn observe(&self, object: &Value) {
        if let Some(cache) = self.cache(meta::namespace(object)) {
            cache.observe(&gvr(), object);
        }
    }

    fn cache(&self, namespace: &str) -> Option<&Cache> {
        self.caches.get(namespace).or_else(|| self.caches.get(""))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.reflecting.iter().for_each(JoinHandle::abort);
        self.shared.shutdown.cancel();
    }
}

/// Installs or updates the definition, and waits until the host says that it serves it.
async fn install(client: &Client, namespace: &str) -> Result<(), Error> {
    let definitions = GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let wanted = deploy::definition();
    let refused =
        |e: ApiError| Error(format!("cannot install the VirtualCluster definition on the host: {e}"));
    let held = match client.create(&definitions, &wanted).await {
        Ok(held) => held,
        Err(ApiError::AlreadyExists { .. }) => {
            let patch = Patch::Merge(json!({"spec": wanted["spec"]}));
            match client.patch(&definitions, "", meta::name(&wanted), "", &patch).await {
                Err(error) if error.code() == 403 => return Ok(()),
                outcome => outcome.map_err(refused)?,
            }
        }
        // Somebody who may has installed it, or will be told to.
        Err(error) if error.code() == 403 => {
            let served =
                client.list(&gvr(), namespace, &ListOptions { limit: 1, ..ListOptions::default() }).await;
            return served.map(drop).map_err(|_| refused(error));
        }
        Err(error) => return Err(refused(error)),
    };
    match tokio::time::timeout(ESTABLISHED, established(client, &definitions, held)).await {
        Ok(outcome) => outcome.map_err(refused),
        Err(_) => {
            Err(Error("the host does not serve the VirtualCluster definition, though it took it".into()))
        }
    }
}

/// How long a host may take to serve a definition that it took.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Waits for a definition's `Established`.
async fn established(
    client: &Client,
    definitions: &GroupVersionResource,
    mut held: Value,
) -> Result<(), ApiError> {
    let name = meta::name(&held).to_owned();
    loop {
        let options = WatchOptions {
            resource_version: meta::resource_version(&held).to_owned(),
            field_selector: format!("metadata.name={name}"),
            ..WatchOptions::default()
        };
        let conditions = held["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let says =
            |kind: &str, status: &str| conditions.iter().find(|c| c["type"] == kind && c["status"] == status);
        if says("Established", "True").is_some() {
            return Ok(());
        }
        if let Some(taken) = says("NamesAccepted", "False") {
            let message = taken["message"].as_str().unwrap_or("its names are taken");
            return Err(ApiError::Internal(message.to_owned()));
        }
        let mut watch = client.watch(definitions, "", &options).await?;
        held = match watch.next().await {
            Some(Ok(frame)) if frame.kind != FrameType::Deleted => serde_json::from_slice(&frame.object)
                .map_err(|e| ApiError::Internal(format!("the host's answer is not JSON: {e}")))?,
            _ => client.get(definitions, "", &name).await?,
        };
    }
}

fn changed(weak: &Weak<Shared>, change: &Change) {
    let Some(shared) = weak.upgrade() else { return };
    let entry = change.entry();
    let key = (entry.namespace.to_string(), entry.name.to_string());
    let mut owners = shared.owners.lock();
    match owners.get(&key) {
        Some(notify) => notify.notify_one(),
        None if change.new.is_some() && !shared.shutdown.is_cancelled() => {
            let notify = Arc::new(Notify::new());
            owners.insert(key.clone(), notify.clone());
            shared.tasks.spawn(own(shared.clone(), key, notify));
        }
        None => {}
    }
}

/// A virtual cluster, and what it was started with.
struct Running {
    tenant: Tenant,
    spec: Spec,
}

/// The life of one virtual cluster.
async fn own(shared: Arc<Shared>, key: Key, notify: Arc<Notify>) {
    let mut running: Option<Running> = None;
    let mut wait = Duration::from_secs(1);
    loop {
        let object = shared.seen(&key.0, &key.1);
        let outcome = match object {
            None => break,
            Some(object) if meta::deletion_timestamp(&object).is_some() => {
                if let Some(running) = running.take() {
                    Box::pin(running.tenant.stop()).await;
                }
                Box::pin(remove(&shared, &object)).await
            }
            // Boxed, as what ends it: an idle owner keeps no room for the work.
            Some(object) => Box::pin(ensure(&shared, &object, &mut running)).await,
        };
        let retry = match outcome {
            Ok(()) => {
                wait = Duration::from_secs(1);
                None
            }
            Err(error) => {
                tracing::warn!(namespace = %key.0, name = %key.1, %error, "virtual cluster is not as it should be");
                wait = (wait * 2).min(RETRY_CAP);
                Some(wait)
            }
        };
        tokio::select! {
            () = shared.shutdown.cancelled() => break,
            () = notify.notified() => {}
            () = tokio::time::sleep(retry.unwrap_or_default()), if retry.is_some() => {}
        }
    }
    if let Some(running) = running {
        Box::pin(running.tenant.stop()).await;
    }
    shared.owners.lock().remove(&key);
    shared.outcomes.send_modify(|all| drop(all.remove(&key)));
}

async fn ensure(shared: &Shared, object: &Value, running: &mut Option<Running>) -> Result<(), Error> {
    let client = shared.host.client();
    if !meta::finalizers(object).any(|f| f == FINALIZER) {
        let mut finalizers: Vec<Value> = meta::finalizers(object).map(Value::from).collect();
        finalizers.push(FINALIZER.into());
        let patch = Patch::Merge(
            json!({"metadata": {"finalizers": finalizers, "resourceVersion": meta::resource_version(object)}}),
        );
        let held = client.patch(&gvr(), meta::namespace(object), meta::name(object), "", &patch).await;
        shared.observe(&held.map_err(|e| Error(e.to_string()))?);
    }
    let spec = Spec::read(object);
    if spec.paused {
        return Box::pin(pause(shared, object, running)).await;
    }
    if running.as_ref().is_some_and(|running| running.spec != spec)
        && let Some(changed) = running.take()
    {
        // It comes up again in a moment, on the same port and data, as it is wanted now.
        changed.tenant.stop().await;
    }
    if running.is_none() {
        // One that failed says so until that has changed, however often it is tried.
        let told = &object["status"];
        let again = told["phase"] == "Failed" && told["observedGeneration"] == meta::generation(object);
        let telling = async {
            if again { Ok(()) } else { report(shared, object, status(object, "Starting", "", None)).await }
        };
        let starting = Tenant::start(object, &shared.place, &shared.host, &shared.kubelet);
        // If that cannot be told, what comes of it says so too.
        let (_told, started) = tokio::join!(telling, starting);
        match started {
            Ok(tenant) => {
                settled(shared, object, Ok(tenant.address()));
                *running = Some(Running { tenant, spec });
            }
            Err(error) => {
                settled(shared, object, Err(error.clone()));
                report(shared, object, status(object, "Failed", &error.0, None)).await?;
                return Err(error);
            }
        }
    }
    let address = running.as_ref().map(|running| running.tenant.address());
    report(shared, object, status(object, "Ready", "", address)).await
}

/// Lets a virtual cluster sleep: nothing of it runs, here or on the host. What its tenants made is kept, but for pods: when it
/// wakes, its controllers make theirs anew.
async fn pause(shared: &Shared, object: &Value, running: &mut Option<Running>) -> Result<(), Error> {
    if let Some(running) = running.take() {
        running.tenant.stop().await;
    }
    let key = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
    shared.outcomes.send_modify(|all| drop(all.remove(&key)));
    remove_all(shared.host.client(), &PODS, meta::namespace(object), meta::name(object)).await?;
    report(shared, object, status(object, "Paused", "", None)).await
}

fn settled(shared: &Shared, object: &Value, outcome: Result<SocketAddr, Error>) {
    let key = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
    shared.outcomes.send_modify(|all| drop(all.insert(key, outcome)));
}

/// Writes the status if it says something new.
async fn report(shared: &Shared, object: &Value, status: Value) -> Result<(), Error> {
    let newest = shared.seen(meta::namespace(object), meta::name(object));
    if newest.is_some_and(|o| o["status"] == status) {
        return Ok(());
    }
    let mut patched = status;
    for field in ["message", "address", "kubeconfigSecret"] {
        if patched.get(field).is_none() {
            patched[field] = Value::Null;
        }
    }
    let patch = Patch::Merge(json!({"status": patched}));
    match shared
        .host
        .client()
        .patch(&gvr(), meta::namespace(object), meta::name(object), "status", &patch)
        .await
    {
        Ok(held) => {
            shared.observe(&held);
            Ok(())
        }
        Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(Error(error.to_string())),
    }
}

/// Removes what a virtual cluster made on the host, then its data, then lets the object go.
async fn remove(shared: &Shared, object: &Value) -> Result<(), Error> {
    if !meta::finalizers(object).any(|f| f == FINALIZER) {
        return Ok(());
    }
    let client = shared.host.client();
    let (namespace, name) = (meta::namespace(object), meta::name(object));
    remove_host_objects(client, namespace, name).await?;
    let folder = folder(&shared.place, object);
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::file("remove", &folder, &e)),
    }
    let finalizers: Vec<Value> =
        meta::finalizers(object).filter(|f| *f != FINALIZER).map(Value::from).collect();
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    match client.patch(&gvr(), namespace, name, "", &patch).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(Error(error.to_string())),
    }
}

/// The longest that pods of a virtual cluster that goes are waited for, whatever its tenants said.
const GRACE: i64 = 30;

/// Whether a host object is on its way out, and soon.
fn is_going(object: &Value) -> bool {
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    meta::deletion_timestamp(object).is_some() && grace <= GRACE
}

fn farewell(object: &Value) -> DeleteOptions {
    let wanted = object["spec"]["terminationGracePeriodSeconds"].as_i64();
    DeleteOptions {
        grace_period_seconds: wanted.map(|seconds| seconds.min(GRACE)),
        ..DeleteOptions::uid(meta::uid(object))
    }
}

/// Deletes all objects of a kind that are labelled as the virtual cluster's.
async fn remove_all(
    client: &Client,
    resource: &GroupVersionResource,
    namespace: &str,
    name: &str,
) -> Result<(), Error> {
    let list = ListOptions::labels(format!("{}={name}", marks::CLUSTER));
    // One by one: not every host lets services be deleted as a collection.
    let found = match client.list_all(resource, namespace, &list).await {
        Ok(found) => found,
        // Rights to these may be left out: then none was ever made.
        Err(error) if error.code() == 403 && resource.group == NETWORK_POLICIES.group => return Ok(()),
        Err(error) => return Err(Error(error.to_string())),
    };
    for held in found.items.iter().filter(|o| !is_going(o)) {
        let outcome = client.delete(resource, namespace, meta::name(held), &farewell(held)).await;
        if let Err(error) = outcome
            && !error.is_not_found()
        {
            return Err(Error(format!("cannot remove {} {}: {error}", resource.resource, meta::name(held))));
        }
    }
    Ok(())
}

/// Deletes everything labelled as the virtual cluster's, and waits until the last pod has ended.
async fn remove_host_objects(client: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    // What leads to pods goes first, and what fences them in goes last.
    for resource in [&INGRESSES, &PODS, &SERVICES, &CLAIMS, &CONFIG_MAPS, &SECRETS] {
        remove_all(client, resource, namespace, name).await?;
    }
    let failed = |e: ApiError| Error(e.to_string());
    let list = ListOptions::labels(format!("{}={name}", marks::CLUSTER));
    loop {
        let left = client.list(&PODS, namespace, &list).await.map_err(failed)?;
        if left.items.is_empty() {
            return remove_all(client, &NETWORK_POLICIES, namespace, name).await;
        }
        let options = WatchOptions {
            resource_version: left.resource_version,
            label_selector: list.label_selector.clone(),
            ..WatchOptions::default()
        };
        let mut watch = client.watch(&PODS, namespace, &options).await.map_err(failed)?;
        while let Some(Ok(frame)) = watch.next().await {
            if frame.kind == FrameType::Deleted {
                break;
            }
        }
    }
}
