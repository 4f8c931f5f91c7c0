//! `joey serve`: one stand-alone control plane.

mod authentication;
mod files;

use crate::telling::say;
use clap::Args;
use controllers::Which;
use hub::{ControlPlane, ControlPlaneOptions, Error, kubeconfig};
use sandbox::Sandbox;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;

/// A stand-alone server has the machine to itself.
const CACHE_BYTES: usize = 32 << 20;

#[derive(Args)]
pub(crate) struct Serve {
    /// Folder for keys and data.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// Where to write an administrator's kubeconfig.
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: Option<PathBuf>,
    /// Which controllers to run: all, none, or a list of names.
    #[arg(long, value_name = "LIST", default_value = "all")]
    controllers: String,
    /// Simulate this many nodes, with a scheduler, that run pods.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    sandbox_nodes: u16,
    /// Addresses of services.
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/16")]
    service_cidr: String,
    #[command(flatten)]
    authentication: authentication::Authentication,
}

impl Serve {
    pub async fn run(self) -> Result<(), Error> {
        let service_cidr = api::Cidr::parse(&self.service_cidr).ok_or_else(|| {
            Error(format!("--service-cidr {}: give an IPv4 range such as 10.96.0.0/16", self.service_cidr))
        })?;
        let static_tokens = self.authentication.static_tokens()?;
        let security = self.authentication.security()?;
        let which = Which::parse(&self.controllers).map_err(|e| Error(format!("--controllers: {e}")))?;
        let listener = bind(self.listen).await?;
        let sandbox = (self.sandbox_nodes > 0).then(|| {
            Sandbox::new(sandbox::Options { nodes: self.sandbox_nodes, ..sandbox::Options::default() })
        });
        let plane = ControlPlane::start(ControlPlaneOptions {
            folder: self.data_dir.clone(),
            listener,
            hosts: vec![],
            advertise: None,
            service_cidr,
            addresses: None,
            static_tokens,
            security,
            cache_bytes: Some(CACHE_BYTES),
            kubelet: sandbox.as_ref().map(Sandbox::kubelet),
        })
        .await?;
        let controllers = plane.control(which)?;
        let nodes = match sandbox {
            Some(sandbox) => {
                let started = sandbox.start(plane.client("joey-sandbox")).await;
                Some(started.map_err(|e| Error(format!("sandbox: {e}")))?)
            }
            None => None,
        };
        self.tell(&plane)?;
        super::interrupted().await;
        if let Some(nodes) = nodes {
            nodes.stop().await;
        }
        controllers.stop().await;
        plane.stop().await;
        Ok(())
    }

    /// Writes the kubeconfig and says where everything is.
    fn tell(&self, plane: &ControlPlane) -> Result<(), Error> {
        let access = plane.admin("joey", &format!("https://{}", plane.address()))?;
        let file = self.kubeconfig_out.clone().unwrap_or_else(|| self.data_dir.join("kubeconfig"));
        kubeconfig::write(&file, &access.to_config())?;
        say!("serving on https://{}", plane.address());
        say!("kubectl --kubeconfig {} get namespaces", file.display());
        Ok(())
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
