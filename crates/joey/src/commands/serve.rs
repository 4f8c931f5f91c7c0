//! `joey serve`: one stand-alone control plane.

mod auditing;
mod authentication;
mod files;
mod nodes;
mod storage;

use crate::telling::say;
use clap::Args;
use controllers::Which;
use controllers::election::Election;
use hub::{ControlPlane, ControlPlaneOptions, Error, Stores, kubeconfig};
use nodes::Nodes;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::net::TcpListener;

#[derive(Args)]
pub(crate) struct Serve {
    /// Folder for keys and data; with --store etcd, for the kubeconfig.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// Address that the kubernetes service leads to, and by which clients reach this server, if another one.
    #[arg(long, value_name = "IP")]
    advertise_address: Option<IpAddr>,
    /// Where to write an administrator's kubeconfig.
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: Option<PathBuf>,
    /// Which controllers to run: all, none, or a list of names.
    #[arg(long, value_name = "LIST", default_value = "all")]
    controllers: String,
    /// Simulate this many nodes, with a scheduler, that run pods.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    sandbox_nodes: u16,
    /// Schedule pods onto the nodes that there are, such as kubelets of your own. Simulated nodes bring this with them.
    #[arg(long)]
    scheduler: bool,
    /// Addresses of services.
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/16")]
    service_cidr: String,
    /// Whether flow schemas and priority levels decide whose requests wait.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    enable_priority_and_fairness: bool,
    #[command(flatten)]
    authentication: authentication::Authentication,
    #[command(flatten)]
    auditing: auditing::Auditing,
    #[command(flatten)]
    storage: storage::Flags,
}

impl Serve {
    pub async fn run(self) -> Result<(), Error> {
        let service_cidr = api::Cidr::parse(&self.service_cidr).ok_or_else(|| {
            Error(format!("--service-cidr {}: give an IPv4 range such as 10.96.0.0/16", self.service_cidr))
        })?;
        let static_tokens = self.authentication.static_tokens()?;
        let mut security = self.authentication.security()?;
        security.access.audit = self.auditing.audit()?;
        let which = Which::parse(&self.controllers).map_err(|e| Error(format!("--controllers: {e}")))?;
        let storage = self.storage.storage()?;
        let stores = Stores::new();
        let shared = storage.is_shared();
        let listener = bind(self.listen).await?;
        let port = listener.local_addr().map_err(|e| Error(e.to_string()))?.port();
        let simulated = (self.sandbox_nodes > 0 || self.scheduler).then(|| Nodes::new(self.sandbox_nodes));
        let plane = ControlPlane::start(ControlPlaneOptions {
            folder: self.data_dir.clone(),
            storage,
            stores: stores.clone(),
            listener,
            hosts: self.advertise_address.iter().map(IpAddr::to_string).collect(),
            advertise: self.advertise_address.map(|ip| SocketAddr::new(ip, port)),
            service_cidr,
            addresses: None,
            outbound: None,
            static_tokens,
            security,
            threads: None,
            kubelet: simulated.as_ref().filter(|_| self.sandbox_nodes > 0).map(Nodes::kubelet),
        })
        .await?;
        if !self.enable_priority_and_fairness {
            plane.api().disable_priority_and_fairness();
        }
        let running = match shared {
            true => Running::Elected(plane.lead(which, nodes::terms(simulated, &plane))),
            false => {
                let nodes = match &simulated {
                    Some(nodes) => Some(nodes.start(plane.client(nodes::CLIENT)).await.map_err(Error)?),
                    None => None,
                };
                Running::Alone(plane.control(which)?, nodes)
            }
        };
        let _backups = match shared {
            true => None,
            false => Some(hub::backup::BackupSocket::listen(&self.data_dir, stores)?),
        };
        self.tell(&plane)?;
        super::interrupted().await;
        running.stop().await;
        plane.stop().await;
        Ok(())
    }

    /// Writes the kubeconfig and says where everything is.
    fn tell(&self, plane: &ControlPlane) -> Result<(), Error> {
        let access = plane.admin("joey", &format!("https://{}", plane.address()))?;
        let file = self.kubeconfig_out.clone().unwrap_or_else(|| self.data_dir.join("kubeconfig"));
        kubeconfig::keep(&file, &access)?;
        say!("serving on https://{}", plane.address());
        say!("kubectl --kubeconfig {} get namespaces", file.display());
        Ok(())
    }
}

/// What works on the objects.
enum Running {
    /// Nobody else serves them.
    Alone(controllers::Handle, Option<sandbox::Handle>),
    /// One of all that serve them.
    Elected(Election),
}

impl Running {
    async fn stop(self) {
        match self {
            Self::Alone(controllers, nodes) => {
                if let Some(nodes) = nodes {
                    nodes.stop().await;
                }
                controllers.stop().await;
            }
            Self::Elected(election) => election.stop().await,
        }
    }
}

/// Binds a listener, or says what is in the way.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => {
            Error(format!("{address} is in use by another program: choose another with --listen"))
        }
        _ => Error(format!("cannot listen on {address}: {e}")),
    })
}
