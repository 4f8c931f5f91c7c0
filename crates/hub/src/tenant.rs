//! One virtual cluster on a host: its control plane, controllers and syncer, and the host objects that lead to it.

use crate::host_addresses::HostAddresses;
use crate::name_server::NameServer;
use crate::{ControlPlane, ControlPlaneOptions, Error, Storage, Stores, kubeconfig};
use api::Cidr;
use client::{Client, DeleteOptions, Patch};
use controllers::Which;
use deploy::Spec;
use node::Kubelet;
use object::{ApiError, GroupVersionResource, Value, json, meta};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncer::resources::{SECRETS, SERVICES};
use syncer::{Host, HostKubelet, Syncer};
use tokio::net::TcpListener;
use translate::{Cluster, Network, Policy, Ways};

/// How virtual clusters are reached and where they keep their data.
#[derive(Clone)]
pub struct Place {
    /// Holds a folder per virtual cluster.
    pub folder: PathBuf,
    /// The stores of this process.
    pub stores: Arc<Stores>,
    /// Each virtual cluster listens here, on a port of its own.
    pub listen: SocketAddr,
    /// What clients outside of the host use instead of the listening address.
    pub advertise: Option<IpAddr>,
    /// Whether virtual clusters' API servers are kept from calling private addresses. Where one person has it all, there is
    /// nobody to keep them from.
    pub fenced: bool,
    /// Who knows the names that are no virtual cluster's; `None`: nobody.
    pub names: Option<Arc<dns::Forwarder>>,
}

/// A running virtual cluster. Dropping it stops it.
pub struct Tenant {
    plane: ControlPlane,
    _controllers: controllers::Handle,
    _syncer: Syncer,
    address: SocketAddr,
}

/// The port of an earlier run, so that kubeconfigs stay good.
const PORT_FILE: &str = "port";
/// The uid of the VirtualCluster whose data a folder holds.
pub(crate) const UID_FILE: &str = "uid";

impl Tenant {
    /// Starts the virtual cluster that `owner` (a VirtualCluster) asks for.
    ///
    /// # Errors
    /// When its folder cannot be used, no port is free, or the host refuses.
    pub async fn start(
        owner: &Value,
        place: &Place,
        host: &Arc<Host>,
        kubelet: &Arc<dyn Kubelet>,
    ) -> Result<Self, Error> {
        let spec = Spec::read(owner);
        let (namespace, name) = (meta::namespace(owner), meta::name(owner));
        let folder = folder(place, owner);
        claim_folder(&folder, meta::uid(owner))?;
        let listener = bind(place.listen, &folder).await?;
        let listening = listener.local_addr().map_err(|e| Error(e.to_string()))?;
        let address = SocketAddr::new(place.advertise.unwrap_or(listening.ip()), listening.port());
        let (service_ip, name_server) = tokio::join!(
            lead_to(host.client(), owner, address),
            NameServer::prepare(host.client(), owner, place, &folder)
        );
        let (service_ip, name_server) = (service_ip.map_err(|e| refused(owner, &e))?, name_server?);
        let ways = name_server.ways(address.port());
        fence(host.client(), owner, &spec, &ways).await.map_err(|e| refused(owner, &e))?;
        let cluster = Cluster {
            name: name.to_owned(),
            host_namespace: namespace.to_owned(),
            policy: policy(&spec),
            dns: Some(name_server.address),
            domain: "cluster.local".into(),
            network: Network { ways: Some(ways), fenced: spec.network_policy },
        };
        let addresses = Arc::new(HostAddresses { host: host.clone(), cluster: cluster.clone() });
        let plane = ControlPlane::start(ControlPlaneOptions {
            folder: folder.clone(),
            storage: Storage::Embedded { cache_bytes: None, most_bytes: spec.data_bytes },
            stores: place.stores.clone(),
            listener,
            hosts: vec![
                address.ip().to_string(),
                format!("{name}.{namespace}.svc"),
                format!("{name}.{namespace}"),
            ],
            advertise: Some(address),
            // Never allocated from: the host gives the addresses.
            service_cidr: Cidr::parse("10.96.0.0/16").ok_or_else(|| Error("bad range".into()))?,
            addresses: Some((addresses, service_ip)),
            outbound: outbound(&spec, place, host, &cluster),
            static_tokens: Default::default(),
            security: Default::default(),
            threads: Some(threads()),
            kubelet: Some(Arc::new(HostKubelet::new(cluster.clone(), host, kubelet.clone()))),
        })
        .await?;
        futures::future::try_join(
            publish_kubeconfig(host.client(), owner, &plane, address),
            name_server.serve(&plane, &cluster, place.names.clone()),
        )
        .await?;
        // The nodes are the host's, which judges them.
        let which = Which::parse(&spec.controllers).map_err(Error)?.without("node-lifecycle-controller");
        let controllers = plane.control(which)?;
        let api = plane.api().clone();
        let syncer = Syncer::start(syncer::Options {
            cluster,
            client: plane.client("joey-syncer"),
            host: host.clone(),
            nodes: spec.nodes,
            network_policies: spec.network_policies,
            weight: spec.weight,
            observe: Box::new(move |kind, done| api.metrics().synced(kind, done)),
        });
        Ok(Self { plane, _controllers: controllers, _syncer: syncer, address })
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its API server.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Stops it and waits until its data may be opened again.
    pub async fn stop(self) {
        let Self { plane, _controllers, _syncer, .. } = self;
        drop(_syncer);
        _controllers.stop().await;
        plane.stop().await;
    }
}

fn policy(spec: &Spec) -> Policy {
    let spec = spec.clone();
    Policy {
        host_paths: spec.host_paths,
        host_namespaces: spec.host_namespaces,
        privileged: spec.privileged,
        volumes: spec.volumes,
        runtime_classes: spec.runtime_classes,
        priority_classes: spec.priority_classes,
        load_balancer_classes: spec.load_balancer_classes,
        ingress_classes: spec.ingress_classes,
        ingress_hosts: spec.ingress_hosts,
        storage_classes: spec.storage_classes,
        annotations: spec.annotations,
        node_selector: spec.node_selector,
    }
}

/// How many threads the clients of one virtual cluster may keep busy: all but one, which is there for the others.
fn threads() -> usize {
    tokio::runtime::Handle::current().metrics().num_workers().saturating_sub(1).max(1)
}

/// How its API server calls others. Without a fence it would reach for its tenant what the tenant's pods cannot.
fn outbound(
    spec: &Spec,
    place: &Place,
    host: &Arc<Host>,
    cluster: &Cluster,
) -> Option<Arc<dyn api::Outbound>> {
    if spec.private_networks || !place.fenced {
        return None;
    }
    let addresses = syncer::Addresses::new(host, cluster);
    Some(Arc::new(outbound::Fenced::new(Arc::new(move |ip| addresses.are_own(ip)))))
}

/// The folder of a virtual cluster's keys and data.
pub(crate) fn folder(place: &Place, owner: &Value) -> PathBuf {
    place.folder.join(meta::namespace(owner)).join(meta::name(owner))
}

/// The folder is this VirtualCluster's, or becomes it.
fn claim_folder(folder: &Path, uid: &str) -> Result<(), Error> {
    let file = folder.join(UID_FILE);
    match std::fs::read_to_string(&file) {
        Ok(held) if held.trim() == uid => Ok(()),
        Ok(_) => Err(Error(format!(
            "{} holds the data of an earlier virtual cluster of this name: move it away, or delete it",
            folder.display()
        ))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder).map_err(|e| Error::file("make", folder, &e))?;
            std::fs::write(&file, uid).map_err(|e| Error::file("write", &file, &e))
        }
        Err(e) => Err(Error::file("read", &file, &e)),
    }
}

/// Listens on the port of the last run with this folder if it is free, else on another one, which it remembers: the first
/// free one from that of `address` on, or any if that is 0.
///
/// # Errors
/// When no port is free or the folder cannot be written.
pub async fn bind(address: SocketAddr, folder: &Path) -> Result<TcpListener, Error> {
    bind_again(address, folder, PORT_FILE).await
}

/// As [`bind`], with the port kept in a file of this name.
pub(crate) async fn bind_again(
    address: SocketAddr,
    folder: &Path,
    port_file: &str,
) -> Result<TcpListener, Error> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file("make", folder, &e))?;
    let file = folder.join(port_file);
    let last = std::fs::read_to_string(&file).ok().and_then(|t| t.trim().parse::<u16>().ok());
    let mut bound = Err(io::ErrorKind::AddrInUse.into());
    for port in last.filter(|last| *last >= address.port()).into_iter().chain(ports(address.port())) {
        bound = TcpListener::bind((address.ip(), port)).await;
        if !matches!(&bound, Err(e) if e.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    let listener = bound.map_err(|e| Error(format!("cannot listen on {}: {e}", address.ip())))?;
    let port = listener.local_addr().map_err(|e| Error(e.to_string()))?.port();
    if Some(port) != last {
        std::fs::write(&file, port.to_string()).map_err(|e| Error::file("write", &file, &e))?;
    }
    Ok(listener)
}

/// The ports to try; 0 is any that is free.
fn ports(first: u16) -> std::ops::RangeInclusive<u16> {
    first..=if first == 0 { 0 } else { u16::MAX }
}

fn refused(owner: &Value, error: &ApiError) -> Error {
    Error(format!("the host refuses what {}/{} needs: {error}", meta::namespace(owner), meta::name(owner)))
}

/// The host Service that pods reach the API by, and its address.
async fn lead_to(client: &Client, owner: &Value, address: SocketAddr) -> Result<IpAddr, ApiError> {
    let service = ensure(client, &SERVICES, routed(deploy::api_service(owner), address)).await?;
    // Kubernetes refuses loopback endpoints, and no pod could use one: then only the Service's address is there.
    if !address.ip().is_loopback() {
        ensure_endpoints(client, deploy::api_endpoints(owner, address)).await?;
    } else {
        route(client, &service, address).await?;
    }
    let ip = service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse().ok());
    ip.ok_or_else(|| ApiError::Internal(format!("host service {} has no address", meta::name(&service))))
}

/// Annotation of the Service by which simulated pods find the way to a loopback address.
const SIMULATED_ROUTE: &str = "sandbox.joey.dev/address";

/// Puts the fences up that the spec asks for, and takes down those that it no longer does.
async fn fence(client: &Client, owner: &Value, spec: &Spec, ways: &Ways) -> Result<(), ApiError> {
    let fences = deploy::isolation(owner, spec, ways).map(|(gvr, name, wanted)| async move {
        let Some(wanted) = wanted else {
            // Where there may be none, there is none to remove.
            let held = client.find(&gvr, meta::namespace(owner), &name).await.ok().flatten();
            if let Some(held) = held.filter(|h| belongs_to(h, meta::uid(owner))) {
                client
                    .delete(&gvr, meta::namespace(owner), &name, &DeleteOptions::uid(meta::uid(&held)))
                    .await?;
            }
            return Ok(());
        };
        let mut held = ensure(client, &gvr, wanted.clone()).await?;
        if held["spec"] != wanted["spec"] {
            held["spec"] = wanted["spec"].clone();
            client.update(&gvr, &held).await?;
        }
        Ok(())
    });
    futures::future::try_join_all(fences).await.map(drop)
}

/// A service that is to be made, with the way to a loopback address told from the start.
pub(crate) fn routed(mut service: Value, address: SocketAddr) -> Value {
    if address.ip().is_loopback() {
        meta::set_annotation(&mut service, SIMULATED_ROUTE, &address.to_string());
    }
    service
}

/// Tells simulated pods where a service on a loopback address is.
pub(crate) async fn route(client: &Client, service: &Value, address: SocketAddr) -> Result<(), ApiError> {
    if meta::annotation(service, SIMULATED_ROUTE) == Some(&address.to_string()) {
        return Ok(());
    }
    let route = json!({"metadata": {"annotations": {SIMULATED_ROUTE: address.to_string()}}});
    let (namespace, name) = (meta::namespace(service), meta::name(service));
    client.patch(&SERVICES, namespace, name, "", &Patch::Merge(route)).await.map(drop)
}

/// Makes a slice, or makes it lead where `wanted` does.
pub(crate) async fn ensure_endpoints(client: &Client, wanted: Value) -> Result<(), ApiError> {
    let slices = GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices");
    let mut held = ensure(client, &slices, wanted.clone()).await?;
    if held["endpoints"] != wanted["endpoints"] || held["ports"] != wanted["ports"] {
        held["endpoints"] = wanted["endpoints"].clone();
        held["ports"] = wanted["ports"].clone();
        client.update(&slices, &held).await?;
    }
    Ok(())
}

/// Makes an object, or takes the one that is there if it belongs to the same owner.
pub(crate) async fn ensure(
    client: &Client,
    gvr: &GroupVersionResource,
    wanted: Value,
) -> Result<Value, ApiError> {
    match client.create(gvr, &wanted).await {
        Ok(made) => Ok(made),
        Err(ApiError::AlreadyExists { .. }) => {
            let held = client.get(gvr, meta::namespace(&wanted), meta::name(&wanted)).await?;
            let owner = wanted["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default();
            if belongs_to(&held, owner) { Ok(held) } else { Err(somebody_elses(gvr, meta::name(&wanted))) }
        }
        Err(error) => Err(error),
    }
}

fn belongs_to(held: &Value, owner: &str) -> bool {
    meta::owner_references(held).iter().any(|r| r["uid"] == owner)
}

fn somebody_elses(gvr: &GroupVersionResource, name: &str) -> ApiError {
    ApiError::Conflict {
        resource: gvr.group_resource(),
        name: name.to_owned(),
        reason: "it belongs to somebody else: rename or delete it, or give the virtual cluster another name or namespace"
            .into(),
    }
}

/// Puts an administrator's kubeconfig where `joey connect` finds it.
async fn publish_kubeconfig(
    client: &Client,
    owner: &Value,
    plane: &ControlPlane,
    address: SocketAddr,
) -> Result<(), Error> {
    let name = deploy::kubeconfig_secret_name(meta::name(owner));
    let held = client.find(&SECRETS, meta::namespace(owner), &name).await.map_err(|e| refused(owner, &e))?;
    if let Some(held) = held {
        if !belongs_to(&held, meta::uid(owner)) {
            return Err(refused(owner, &somebody_elses(&SECRETS, &name)));
        }
        if meta::annotation(&held, ADDRESS) == Some(&address.to_string()) {
            return Ok(());
        }
    }
    let access = plane.admin(&format!("joey-{}", meta::name(owner)), &format!("https://{address}"))?;
    let text = kubeconfig::to_text(&access.to_config())?;
    let mut secret = deploy::kubeconfig_secret(owner, &text);
    meta::set_annotation(&mut secret, ADDRESS, &address.to_string());
    let put = match client.create(&SECRETS, &secret).await {
        Err(ApiError::AlreadyExists { .. }) => client.update(&SECRETS, &secret).await,
        outcome => outcome,
    };
    put.map(drop).map_err(|e| refused(owner, &e))
}

/// Annotation of the kubeconfig's Secret: the address it leads to.
const ADDRESS: &str = "joey.dev/address";

/// What a VirtualCluster's status says.
pub(crate) fn status(owner: &Value, phase: &str, message: &str, address: Option<SocketAddr>) -> Value {
    let mut status = json!({
        "phase": phase, "observedGeneration": meta::generation(owner), "version": "v1.36.2",
        "conditions": [ready_condition(owner, phase, message)],
    });
    if !message.is_empty() {
        status["message"] = message.into();
    }
    if let Some(address) = address {
        status["address"] = format!("https://{address}").into();
        status["kubeconfigSecret"] = deploy::kubeconfig_secret_name(meta::name(owner)).into();
    }
    status
}

/// The condition that `kubectl wait --for=condition=Ready` looks for.
fn ready_condition(owner: &Value, phase: &str, message: &str) -> Value {
    let status = if phase == "Ready" { "True" } else { "False" };
    let held = owner["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == "Ready");
    let since = match held {
        Some(held) if held["status"] == status => held["lastTransitionTime"].clone(),
        _ => object::time::format(object::time::now()).into(),
    };
    json!({
        "type": "Ready", "status": status, "reason": phase, "message": message, "lastTransitionTime": since,
        "observedGeneration": meta::generation(owner),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ports_are_the_next_free_ones_and_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let first = taken.local_addr().expect("bound");
        let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
        let ours = bind(first, folder.path()).await.expect("a free port");
        let got = port(&ours);
        assert!(got > first.port(), "{got} after {}", first.port());
        drop((ours, taken));
        assert_eq!(port(&bind(first, folder.path()).await.expect("the port")), got, "the one it had");
        let above = SocketAddr::new(first.ip(), got + 1);
        assert!(
            port(&bind(above, folder.path()).await.expect("a port")) > got,
            "outside of what is allowed now"
        );
    }
}
