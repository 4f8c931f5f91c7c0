//! The way to a virtual cluster's DNS server: sockets here, a Service on the host that leads to them, and in the virtual
//! cluster the `kube-dns` Service that people and charts look for.
//!
//! Pods can be told a name server's address but no port, so each virtual cluster has a Service of its own. It is joey's, not a
//! copy of the tenant's: whatever a tenant does to `kube-dns`, its pods still resolve names.

use crate::tenant::{Place, bind_again, ensure, ensure_endpoints, route, routed};
use crate::{ControlPlane, Error};
use client::{Client, Patch};
use object::{ApiError, GroupVersionResource, Value, json, meta};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use syncer::resources::SERVICES;
use tokio::net::UdpSocket;
use translate::{Cluster, names};

/// The port of an earlier run.
const PORT_FILE: &str = "dns-port";

/// A DNS server that is not serving yet.
pub(crate) struct NameServer {
    listener: dns::Listener,
    /// Where pods ask: the host Service's address.
    pub address: IpAddr,
    endpoint: Endpoint,
}

/// Where the Service leads.
#[derive(Clone, Copy)]
struct Endpoint {
    ip: IpAddr,
    datagrams: u16,
    streams: u16,
}

impl NameServer {
    /// Listens, and makes the host's Service lead here.
    ///
    /// # Errors
    /// When no port is free or the host refuses.
    pub async fn prepare(
        client: &Client,
        owner: &Value,
        place: &Place,
        folder: &Path,
    ) -> Result<Self, Error> {
        let streams = bind_again(place.listen, folder, PORT_FILE).await?;
        let listening = streams.local_addr().map_err(|e| Error(e.to_string()))?;
        // The same number for both is nicer to read; any will do.
        let datagrams = match UdpSocket::bind(listening).await {
            Ok(socket) => socket,
            Err(_) => UdpSocket::bind((place.listen.ip(), 0))
                .await
                .map_err(|e| Error(format!("cannot listen on {}: {e}", place.listen.ip())))?,
        };
        let endpoint = Endpoint {
            ip: place.advertise.unwrap_or(listening.ip()),
            datagrams: datagrams.local_addr().map_err(|e| Error(e.to_string()))?.port(),
            streams: listening.port(),
        };
        let address = lead_to(client, owner, endpoint).await.map_err(|e| {
            Error(format!(
                "the host refuses the DNS service of {}/{}: {e}",
                meta::namespace(owner),
                meta::name(owner)
            ))
        })?;
        Ok(Self { listener: dns::Listener { datagrams, streams }, address, endpoint })
    }

    /// Where pods go to reach it and the API server at port `api`.
    pub fn ways(&self, api: u16) -> translate::Ways {
        let Endpoint { ip, datagrams, streams } = self.endpoint;
        translate::Ways { ip, api, dns: (datagrams, streams) }
    }

    /// Serves the names of `plane` for as long as it runs.
    ///
    /// # Errors
    /// When the virtual cluster's API does not take its `kube-dns` Service.
    pub async fn serve(
        self,
        plane: &ControlPlane,
        cluster: &Cluster,
        forward: Option<Arc<dns::Forwarder>>,
    ) -> Result<(), Error> {
        let client = plane.client("joey-dns");
        let refused = |e: ApiError| Error(format!("cannot make the service kube-dns: {e}"));
        show(&client, self.address, self.endpoint).await.map_err(refused)?;
        let resolver = dns::Resolver::new(client, &cluster.domain, vec![self.address], forward);
        plane.tasks().spawn(dns::serve(self.listener, Arc::new(resolver), plane.shutdown().clone()));
        Ok(())
    }
}

async fn lead_to(client: &Client, owner: &Value, endpoint: Endpoint) -> Result<IpAddr, ApiError> {
    // A name that only the tenant's own kube-dns would have on the host.
    let name = names::host(&names_only(owner), "kube-system", "kube-dns");
    let there = SocketAddr::new(endpoint.ip, endpoint.streams);
    let service = ensure(client, &SERVICES, routed(deploy::dns_service(owner, &name), there)).await?;
    let ip = service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse().ok());
    let ip = ip.ok_or_else(|| ApiError::Internal(format!("host service {name} has no address")))?;
    if endpoint.ip.is_loopback() {
        route(client, &service, there).await?;
    } else {
        let wanted = deploy::dns_endpoints(owner, &name, endpoint.ip, endpoint.datagrams, endpoint.streams);
        ensure_endpoints(client, wanted).await?;
    }
    Ok(ip)
}

/// Enough of a cluster to name its host objects.
fn names_only(owner: &Value) -> Cluster {
    Cluster {
        name: meta::name(owner).to_owned(),
        host_namespace: meta::namespace(owner).to_owned(),
        policy: translate::Policy::default(),
        dns: None,
        domain: String::new(),
        network: translate::Network::default(),
    }
}

/// The virtual cluster's own view of its name server.
async fn show(client: &Client, address: IpAddr, endpoint: Endpoint) -> Result<(), ApiError> {
    let service = deploy::virtual_dns_service(address);
    match client.create(&SERVICES, &service).await {
        Ok(_) => {}
        Err(ApiError::AlreadyExists { .. }) => follow(client, address).await?,
        Err(error) => return Err(error),
    }
    if endpoint.ip.is_loopback() {
        return Ok(());
    }
    let slices = GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices");
    let wanted = deploy::virtual_dns_endpoints(endpoint.ip, endpoint.datagrams, endpoint.streams);
    match client.create(&slices, &wanted).await {
        Err(ApiError::AlreadyExists { .. }) => {
            let changes = Patch::Merge(json!({"endpoints": wanted["endpoints"], "ports": wanted["ports"]}));
            client.patch(&slices, "kube-system", "kube-dns", "", &changes).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

/// The host gave another address than last time: a Service keeps its own for life, so it is made again.
async fn follow(client: &Client, address: IpAddr) -> Result<(), ApiError> {
    let held = client.get(&SERVICES, "kube-system", "kube-dns").await?;
    if held["spec"]["clusterIP"] == address.to_string() {
        return Ok(());
    }
    let options = client::DeleteOptions::uid(meta::uid(&held));
    client.delete(&SERVICES, "kube-system", "kube-dns", &options).await?;
    client.create(&SERVICES, &deploy::virtual_dns_service(address)).await.map(drop)
}
