//! One control plane: a folder with keys and data, an API server on a port, its controllers.

use crate::Error;
use crate::identity::Identity;
use crate::kubeconfig::Access;
use crate::security::Security;
use crate::{Storage, Stores, announce};
use access::UserInfo;
use access::static_tokens::StaticTokens;
use access::tokens::PendingIssuer;
use access::user::{GROUP_MASTERS, USER_APISERVER};
use api::{Api, Cidr, Config, InProcess, LocalAddresses, Peer, ServiceAddresses};
use client::Client;
use controllers::election::{BeginTerm, Election, EndTerm, Rules};
use controllers::{Controllers, SigningCa, Which};
use futures::FutureExt;
use http_server::{Limits, Server, Tls};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use store::Cared;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// What a control plane is made of.
pub struct ControlPlaneOptions {
    /// Holds keys and data, unless they are kept elsewhere; made when absent.
    pub folder: PathBuf,
    /// Where data and keys are.
    pub storage: Storage,
    /// The stores of this process.
    pub stores: Arc<Stores>,
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
    /// How it calls webhooks and extension API servers; `None`: without a fence.
    pub outbound: Option<Arc<dyn api::Outbound>>,
    /// Static tokens.
    pub static_tokens: StaticTokens,
    /// Who else may come in.
    pub security: Security,
    /// How many threads its clients may keep busy at once; `None`: all.
    pub threads: Option<usize>,
    /// Where pods run.
    pub kubelet: Option<Arc<dyn node::Kubelet>>,
}

/// A running control plane. Dropping it stops it; [`stop`](Self::stop) waits for the end.
pub struct ControlPlane {
    api: Arc<Api>,
    identity: Identity,
    issuer: PendingIssuer,
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    cared: Option<Cared>,
}

impl ControlPlane {
    /// Opens the folder and serves.
    ///
    /// # Errors
    /// When the folder, its keys or its data cannot be used.
    pub async fn start(mut options: ControlPlaneOptions) -> Result<Self, Error> {
        let issuer = options.security.issuer().to_owned();
        let opened = options.storage.open(&options.folder, &issuer, &options.stores).await?;
        let (store, identity, place) = (opened.store, opened.identity, opened.place);
        let address = options.listener.local_addr().map_err(|e| Error(e.to_string()))?;
        let local = || {
            Arc::new(LocalAddresses::new(store.clone(), options.service_cidr)) as Arc<dyn ServiceAddresses>
        };
        let (addresses, service_ip) =
            options.addresses.unwrap_or_else(|| (local(), IpAddr::V4(options.service_cidr.nth(1))));
        let (issuer, verifier) = options.security.tokens(opened.tokens)?;
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
        let api = Api::open(store, config).await.map_err(|e| Error::start(&place, &e))?;
        api.set_outbound(options.outbound.unwrap_or_else(|| Arc::new(outbound::Https)));
        let cared = Some(options.stores.care_for(api.store()));
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let plane = Self { api, identity, issuer, address, shutdown, tasks, cared };
        let limits = Limits { threads: options.threads, ..Limits::default() };
        plane.listen(options.listener, limits, options.hosts, service_ip, &authorities)?;
        if options.storage.is_shared() {
            let (store, client) = (plane.api.store().clone(), plane.client("kube-apiserver"));
            let address = options.advertise.unwrap_or(address);
            plane.tasks.spawn(announce::run(store, client, address, plane.shutdown.clone()));
        }
        Ok(plane)
    }

    fn listen(
        &self,
        listener: TcpListener,
        limits: Limits,
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
            limits,
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
        Ok(Controllers::start(self.client(CONTROLLER_MANAGER), self.controllers(which)))
    }

    /// How its controllers are to run.
    fn controllers(&self, which: Which) -> controllers::Options {
        let authority = &self.identity.authority;
        controllers::Options {
            which,
            root_ca: Some(authority.certificate_pem()),
            signing_ca: Some(SigningCa {
                certificate: authority.certificate_pem(),
                key: authority.key_pem(),
            }),
            token_issuer: Some(self.issuer.clone()),
            ..controllers::Options::default()
        }
    }

    /// Runs its controllers, and what else `begin` begins, in one of all joeys that serve the same data: the one that is
    /// elected.
    pub fn lead(&self, which: Which, mut begin: BeginTerm) -> Election {
        let (client, options) = (self.client(CONTROLLER_MANAGER), self.controllers(which));
        let clock = options.clock.clone();
        let candidate = client.clone();
        let begin = move || {
            let beginning = begin();
            let (client, options) = (client.clone(), options.clone());
            let term = async move {
                let further = beginning.await?;
                let controllers = Controllers::start(client, options);
                Ok(Box::new(move || {
                    async move {
                        controllers.stop().await;
                        further().await;
                    }
                    .boxed()
                }) as EndTerm)
            };
            term.boxed()
        };
        Election::start(candidate, clock, Rules::new(candidate_name()), Box::new(begin))
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
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(cared) = self.cared.take() {
            cared.end().await;
        }
    }
}

/// This process, as nobody else is called: the host's name and something made up, as Kubernetes has it.
fn candidate_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "joey" } else { host.trim() };
    format!("{host}_{}", uuid::Uuid::new_v4())
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
