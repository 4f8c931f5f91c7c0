//! The request pipeline of a virtual cluster's API server: no sockets, one path for every kind.
//!
//! [`Api::serve`] takes a request and answers it; [`serve`](mod@serve) shows the order of its steps. An [`Api`] is a value:
//! it can be opened on a [`store::Store`], shared and dropped; nothing is global and an idle one runs no task.
//! [`InProcess`] lets controllers and the syncer speak to it as clients, through the same pipeline.

mod access_control;
mod access_options;
mod addresses;
mod admission;
mod aggregation;
mod api_services;
mod auditing;
mod authenticate;
mod bootstrap;
mod call;
mod codec;
mod conversion;
mod definitions;
mod delete_options;
mod documents;
mod failure;
mod flow;
mod followed;
mod go_order;
mod in_process;
mod keys;
mod lenient;
mod list_options;
mod managed;
mod metrics;
mod negotiate;
mod oidc;
mod outbound;
mod patch;
mod pipeline;
mod request;
mod resource_metrics;
mod respond;
mod reviews;
mod selection;
mod serve;
mod settle;
mod stored;
mod strategy;
mod subresources;
mod table;
mod validate;
mod verbs;
mod yaml;

pub use access_options::{AccessOptions, AuthorizationMode, OidcProvider, TrustedProxies};
pub use addresses::{Assigned, Cidr, LocalAddresses, ServiceAddresses};
pub use in_process::InProcess;
pub use metrics::Metrics;
pub use outbound::{Destination, Outbound};
pub use serve::Peer;

use access::impersonation::LastModes;
use access::tokens::{PendingIssuer, TokenVerifier};
use followed::Followed;
use object::{ApiError, Result};
use std::sync::{Arc, OnceLock};
use store::Store;

/// What an API server is told when it is opened.
pub struct Config {
    /// Signs service-account tokens.
    pub issuer: PendingIssuer,
    /// Verifies them; the issuer's own key need not be among its keys.
    pub verifier: TokenVerifier,
    /// `--token-auth-file`: token to user.
    pub static_tokens: access::static_tokens::StaticTokens,
    /// Who may come in, and how.
    pub access: AccessOptions,
    /// PEM of the CA that signed this cluster's serving and client certificates (`kube-root-ca.crt`).
    pub ca_pem: String,
    /// Where `service/kubernetes` points: the address and port clients in the cluster reach this server at.
    pub advertise: std::net::SocketAddr,
    /// Gives services their addresses.
    pub addresses: Arc<dyn ServiceAddresses>,
    /// The `kubernetes` service's address.
    pub kubernetes_service_ip: std::net::IpAddr,
    /// Where logs, exec and port-forward of pods go; `None` when pods run nowhere.
    pub kubelet: Option<Arc<dyn node::Kubelet>>,
}

/// One virtual cluster's API server.
pub struct Api {
    store: Arc<dyn Store>,
    config: Config,
    access: Followed<access_control::Rules>,
    definitions: Followed<definitions::Served>,
    hooks: Followed<admission::Hooks>,
    policies: Followed<admission::Policies>,
    remotes: Followed<aggregation::Remotes>,
    findings: aggregation::Findings,
    watching: aggregation::Watching,
    identity: aggregation::Identity,
    outbound: OnceLock<Arc<dyn Outbound>>,
    documents: documents::Cache,
    impersonation: LastModes,
    oidc: oidc::Asked,
    metrics: Metrics,
    flow: flow::Flow,
    /// One permit for each large collection that may be on its way.
    large: Arc<tokio::sync::Semaphore>,
    authenticator: arc_swap::ArcSwap<access::authenticator::TokenAuthenticator>,
    this: std::sync::Weak<Api>,
}

impl Api {
    /// Opens a server on a store, and makes the objects every cluster has (default namespaces, roles, the `kubernetes`
    /// service) where they are missing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(store: Arc<dyn Store>, config: Config) -> Result<Arc<Self>> {
        let api = Arc::new_cyclic(|this| Self {
            access: Followed::new(
                store.clone(),
                "/rbac.authorization.k8s.io/",
                access_control::Rules::default(),
            ),
            definitions: Followed::new(
                store.clone(),
                "/apiextensions.k8s.io/",
                definitions::Served::default(),
            ),
            hooks: Followed::new(
                store.clone(),
                "/admissionregistration.k8s.io/",
                admission::Hooks::default(),
            ),
            policies: Followed::new(
                store.clone(),
                "/admissionregistration.k8s.io/",
                admission::Policies::default(),
            ),
            remotes: Followed::new(store.clone(), api_services::PREFIX, aggregation::Remotes::default()),
            findings: aggregation::Findings::default(),
            watching: aggregation::Watching::default(),
            identity: aggregation::Identity::default(),
            outbound: OnceLock::new(),
            documents: documents::Cache::default(),
            impersonation: LastModes::default(),
            oidc: oidc::Asked::new(config.access.oidc.len()),
            metrics: Metrics::default(),
            flow: flow::Flow::new(store.clone()),
            large: Arc::new(tokio::sync::Semaphore::new(verbs::large::TOGETHER)),
            authenticator: arc_swap::ArcSwap::from_pointee(authenticate::authenticator(&config)),
            store,
            config,
            this: this.clone(),
        });
        bootstrap::run(&api).await?;
        definitions::resume(&api).await?;
        api.config.addresses.repair().await?;
        Ok(api)
    }

    /// Gives the server a way to call others (webhooks). Without one, such calls fail. The first one given stays.
    pub fn set_outbound(&self, outbound: Arc<dyn Outbound>) {
        let _ = self.outbound.set(outbound);
    }

    /// Lets requests in as they come, whatever flow schemas and priority levels say.
    pub fn disable_priority_and_fairness(&self) {
        self.flow.disable();
    }

    /// The store behind this server.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What this server counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The CA that clients of this cluster trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.config.ca_pem
    }

    pub(crate) fn is_internal(&self, call: &call::Call) -> bool {
        call.headers.contains_key(in_process::MARK)
    }

    pub(crate) fn shared(&self) -> Result<Arc<Self>> {
        self.this.upgrade().ok_or_else(|| ApiError::ServiceUnavailable("the server is shutting down".into()))
    }
}
