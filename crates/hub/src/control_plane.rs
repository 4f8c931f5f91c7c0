//! One control plane: a folder with keys and data, an API server on a port, its controllers.

use crate::Error;
use crate::identity::Identity;
use crate::kubeconfig::Access;
use crate::security::Security;
use access::UserInfo;
use access::static_tokens::StaticTokens;
use access::tokens::PendingIssuer;
use access::user::{GROUP_MASTERS, USER_APISERVER};
use api::{Api, Cidr, Config, InProcess, LocalAddresses, Peer, ServiceAddresses};
use client::Client;
use controllers::{Controllers, SigningCa, Which};
use http_server::{Limits, Server, Tls};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::embedded::{self, EmbeddedStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a control plane is made of.
pub struct ControlPlaneOptions {
    /// Holds keys and data; made when absent.
    pub folder: PathBuf,
    /// Bound by the caller, so that a port in use is noticed before anything is made.
    pub listener: TcpListener,
    /// Further names and addresses that clients reach it by.
    pub hosts: Vec<String>,
    /// Where the `kubernetes` service leads.
    pub advertise: Option<SocketAddr>,
    /// Addresses of services, when it allocates them itself.
    pub service_cidr: Cidr,
    /// Where addresses come from instead, and the `kubernetes` service's own.
    pub addresses: Option<(Arc<dyn ServiceAddresses>, IpAddr)>,
    /// Static tokens.
    pub static_tokens: StaticTokens,
    /// Who else may come in.
    pub security: Security,
    /// Where pods run.
    pub kubelet: Option<Arc<dyn node::Kubelet>>,
    /// Bytes of data kept in memory; `None` for as few as a virtual cluster among many should use.
    pub cache_bytes: Option<usize>,
}

/// A running control plane. Dropping it stops it; [`stop`](Self::stop) waits for the end.
pub struct ControlPlane {
    api: Arc<Api>,
    identity: Identity,
    issuer: PendingIssuer,
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl ControlPlane {
    /// Opens the folder and serves.
    ///
    /// # Errors
    /// When the folder, its keys or its data cannot be used.
    pub async fn start(mut options: ControlPlaneOptions) -> Result<Self, Error> {
        let identity = Identity::load_or_create(&options.folder)?;
        let folder = options.folder.join("store");
        let opened = tokio::task::spawn_blocking({
            let folder = folder.clone();
            let mut settings = embedded::Options::default();
            settings.cache_bytes = options.cache_bytes.unwrap_or(settings.cache_bytes);
            move || EmbeddedStore::open(&folder, settings)
        });
        let store = opened.await.map_err(|e| Error(e.to_string()))?.map_err(|e| Error::store(&folder, &e))?;
        let store: Arc<dyn Store> = store;
        let address = options.listener.local_addr().map_err(|e| Error(e.to_string()))?;
        let local = || {
            Arc::new(LocalAddresses::new(store.clone(), options.service_cidr)) as Arc<dyn ServiceAddresses>
        };
        let (addresses, service_ip) =
            options.addresses.unwrap_or_else(|| (local(), IpAddr::V4(options.service_cidr.nth(1))));
        let (issuer, verifier) = options.security.tokens(&options.folder)?;
        let authorities = options.security.authorities(&identity.authority)?;
        let config = Config {
            issuer: issuer.clone(),
            verifier,
            static_tokens: options.static_tokens,
            access: options.security.access,
            ca_pem: identity.authority.certificate_pem(),
            advertise: options.advertise.unwrap_or(address),
            addresses,
            kubernetes_service_ip: service_ip,
            kubelet: options.kubelet,
        };
        let api = Api::open(store, config).await.map_err(|e| Error::start(&folder, &e))?;
        api.set_outbound(Arc::new(outbound::Https));
        let plane =
            Self { api, identity, issuer, address, shutdown: CancellationToken::new(), tasks: TaskTracker::new() };
        plane.listen(options.listener, options.hosts, service_ip, &authorities)?;
        plane.tasks.spawn(maintain(plane.api.store().clone(), plane.shutdown.clone()));
        Ok(plane)
    }

    fn listen(
        &self,
        listener: TcpListener,
        hosts: Vec<String>,
        service_ip: IpAddr,
        authorities: &str,
    ) -> Result<(), Error> {
        let mut names: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "127.0.0.1",
            "::1",
        ]
        .map(str::to_owned)
        .into();
        names.extend([self.address.ip().to_string(), service_ip.to_string()]);
        names.extend(hosts);
        let serving = self.identity.serving(&names)?;
        let (certificate, key) = (serving.certificate.as_bytes(), serving.key.as_bytes());
        let tls = Tls::from_pem(certificate, key, Some(authorities.as_bytes()));
        let api = self.api.clone();
        let handler = move |request, peer: http_server::Peer| {
            let api = api.clone();
            let http_server::Peer { certificate, intermediates, address } = peer;
            let peer = Peer { user: None, certificate, intermediates, address: Some(address.ip()) };
            async move { api.serve(request, peer).await }
        };
        let server = Server {
            listener,
            tls: Some(tls.map_err(|e| Error(e.to_string()))?),
            handler: Arc::new(handler),
            limits: Limits::default(),
        };
        self.tasks.spawn(http_server::serve(server, self.shutdown.clone()));
        Ok(())
    }

    /// The API server.
    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// Its keys.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client with all rights, for joey's own parts.
    pub fn client(&self, user_agent: &str) -> Client {
        let user = UserInfo::new(USER_APISERVER, &[GROUP_MASTERS]);
        Client::new(Arc::new(InProcess::new(self.api.clone(), user)), user_agent)
    }

    /// Starts its controllers.
    ///
    /// # Errors
    /// When its keys cannot be read.
    pub fn control(&self, which: Which) -> Result<controllers::Handle, Error> {
        let authority = &self.identity.authority;
        let options = controllers::Options {
            which,
            root_ca: Some(authority.certificate_pem()),
            signing_ca: Some(SigningCa {
                certificate: authority.certificate_pem(),
                key: authority.key_pem(),
            }),
            token_issuer: Some(self.issuer.clone()),
            ..controllers::Options::default()
        };
        Ok(Controllers::start(self.client("kube-controller-manager"), options))
    }

    /// An administrator's way in.
    ///
    /// # Errors
    /// When no certificate can be issued.
    pub fn admin(&self, context: &str, server: &str) -> Result<Access, Error> {
        Ok(Access {
            context: context.to_owned(),
            server: server.to_owned(),
            ca_pem: self.identity.authority.certificate_pem(),
            credentials: self.identity.client("kubernetes-admin", &[GROUP_MASTERS])?,
        })
    }

    /// Ends with this control plane.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Tasks that end with it.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Stops serving and waits until nothing is left running.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Expires and compacts what is due: parked until a write brings something to do, asleep until that is due.
async fn maintain(store: Arc<dyn Store>, shutdown: CancellationToken) {
    let work = async {
        loop {
            let written = store.revision();
            match store.maintain().await {
                Ok(Some(due)) => tokio::time::sleep(due.max(Duration::from_secs(1))).await,
                Ok(None) => match store.watch("/", written).await {
                    Ok(mut watch) => drop(watch.next().await),
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot tidy up the store");
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            }
        }
    };
    let _: Option<()> = shutdown.run_until_cancelled(work).await;
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
