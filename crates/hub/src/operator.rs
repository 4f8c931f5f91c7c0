//! Follows `VirtualCluster` objects on a host: one owner task for each, which starts, updates and removes its virtual cluster.
//! An idle owner is a parked task and nothing else.

use crate::Error;
use crate::tenant::{Place, Tenant, folder, status};
use client::{Cache, Change, Client, DeleteOptions, FrameType, Keep, ListOptions, Patch, WatchOptions};
use deploy::{FINALIZER, gvr};
use node::Kubelet;
use object::{ApiError, GroupVersionResource, Value, json, meta};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use syncer::Host;
use syncer::resources::{CLAIMS, CONFIG_MAPS, PODS, SECRETS, SERVICES};
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
    reflecting: JoinHandle<()>,
}

struct Shared {
    host: Arc<Host>,
    cache: Cache,
    place: Place,
    kubelet: Arc<dyn Kubelet>,
    owners: Mutex<HashMap<Key, Arc<Notify>>>,
    /// How starting each virtual cluster went, in this process.
    outcomes: watch::Sender<HashMap<Key, Result<SocketAddr, Error>>>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Operator {
    /// Installs the definition on the host and follows its objects. `kubelet` reaches the host's own pods.
    ///
    /// # Errors
    /// When the host cannot be reached or refuses the definition.
    pub async fn start(host: Arc<Host>, place: Place, kubelet: Arc<dyn Kubelet>) -> Result<Self, Error> {
        install(host.client()).await?;
        let (cache, reflectors) = Cache::new(host.client().with_user_agent("joey-operator"));
        let shared = Arc::new(Shared {
            host,
            cache,
            place,
            kubelet,
            owners: Mutex::default(),
            outcomes: watch::Sender::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let weak = Arc::downgrade(&shared);
        shared.cache.subscribe(Arc::new(move |change| changed(&weak, change)));
        shared.cache.track(&gvr(), Keep::Full);
        let reflecting = tokio::spawn(reflectors.run());
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
        self.reflecting.abort();
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.reflecting.abort();
        self.shared.shutdown.cancel();
    }
}

/// Installs or updates the definition, and waits until it is served.
async fn install(client: &Client) -> Result<(), Error> {
    let definitions = GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let wanted = deploy::definition();
    let refused =
        |e: ApiError| Error(format!("cannot install the VirtualCluster definition on the host: {e}"));
    match client.create(&definitions, &wanted).await {
        Ok(_) => {}
        Err(ApiError::AlreadyExists { .. }) => {
            let patch = Patch::Merge(json!({"spec": wanted["spec"]}));
            client.patch(&definitions, "", meta::name(&wanted), "", &patch).await.map_err(refused)?;
        }
        Err(error) => return Err(refused(error)),
    }
    let mut wait = Duration::from_millis(10);
    for _ in 0..20 {
        match client.list(&gvr(), "", &ListOptions { limit: 1, ..ListOptions::default() }).await {
            Ok(_) => return Ok(()),
            // Served a moment after it was taken: what to await is on the other side.
            Err(error) if error.code() == 404 => tokio::time::sleep(wait).await,
            Err(error) => return Err(refused(error)),
        }
        wait = (wait * 2).min(Duration::from_secs(1));
    }
    Err(Error("the host does not serve the VirtualCluster definition, though it took it".into()))
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

/// The life of one virtual cluster.
async fn own(shared: Arc<Shared>, key: Key, notify: Arc<Notify>) {
    let mut running: Option<Tenant> = None;
    let mut wait = Duration::from_secs(1);
    loop {
        let object = shared.cache.get(&gvr(), &key.0, &key.1);
        let outcome = match object {
            None => break,
            Some(object) if meta::deletion_timestamp(&object).is_some() => {
                if let Some(tenant) = running.take() {
                    tenant.stop().await;
                }
                remove(&shared, &object).await
            }
            Some(object) => ensure(&shared, &object, &mut running).await,
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
    if let Some(tenant) = running {
        tenant.stop().await;
    }
    shared.owners.lock().remove(&key);
    shared.outcomes.send_modify(|all| drop(all.remove(&key)));
}

async fn ensure(shared: &Shared, object: &Value, running: &mut Option<Tenant>) -> Result<(), Error> {
    let client = shared.host.client();
    if !meta::finalizers(object).any(|f| f == FINALIZER) {
        let mut finalizers: Vec<Value> = meta::finalizers(object).map(Value::from).collect();
        finalizers.push(FINALIZER.into());
        let patch = Patch::Merge(
            json!({"metadata": {"finalizers": finalizers, "resourceVersion": meta::resource_version(object)}}),
        );
        let held = client.patch(&gvr(), meta::namespace(object), meta::name(object), "", &patch).await;
        shared.cache.observe(&gvr(), &held.map_err(|e| Error(e.to_string()))?);
    }
    if running.is_none() {
        report(shared, object, status(object, "Starting", "", None)).await?;
        match Tenant::start(object, &shared.place, &shared.host, &shared.kubelet).await {
            Ok(tenant) => {
                settled(shared, object, Ok(tenant.address()));
                *running = Some(tenant);
            }
            Err(error) => {
                settled(shared, object, Err(error.clone()));
                report(shared, object, status(object, "Failed", &error.0, None)).await?;
                return Err(error);
            }
        }
    }
    let address = running.as_ref().map(Tenant::address);
    report(shared, object, status(object, "Ready", "", address)).await
}

fn settled(shared: &Shared, object: &Value, outcome: Result<SocketAddr, Error>) {
    let key = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
    shared.outcomes.send_modify(|all| drop(all.insert(key, outcome)));
}

/// Writes the status if it says something new.
async fn report(shared: &Shared, object: &Value, status: Value) -> Result<(), Error> {
    let newest = shared.cache.get(&gvr(), meta::namespace(object), meta::name(object));
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
            shared.cache.observe(&gvr(), &held);
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

/// Deletes everything labelled as the virtual cluster's, and waits until the last pod has ended.
async fn remove_host_objects(client: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    let failed = |e: ApiError| Error(e.to_string());
    let list = ListOptions::labels(format!("{}={name}", marks::CLUSTER));
    for resource in [&PODS, &SERVICES, &CLAIMS, &CONFIG_MAPS, &SECRETS] {
        // One by one: not every host lets services be deleted as a collection.
        let found = client.list_all(resource, namespace, &list).await.map_err(failed)?;
        for held in found.items.iter().filter(|o| meta::deletion_timestamp(o).is_none()) {
            let outcome = client
                .delete(resource, namespace, meta::name(held), &DeleteOptions::uid(meta::uid(held)))
                .await;
            if let Err(error) = outcome
                && !error.is_not_found()
            {
                return Err(Error(format!(
                    "cannot remove {} {}: {error}",
                    resource.resource,
                    meta::name(held)
                )));
            }
        }
    }
    loop {
        let left = client.list(&PODS, namespace, &list).await.map_err(failed)?;
        if left.items.is_empty() {
            return Ok(());
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
