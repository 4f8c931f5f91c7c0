//! A host for people without a cluster: a control plane with simulated nodes, in this process.

use crate::{ControlPlane, ControlPlaneOptions, Error, Storage, Stores};
use api::Cidr;
use controllers::Which;
use node::Kubelet;
use sandbox::Sandbox;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A running sandbox host. Dropping it stops it.
pub struct SandboxHost {
    /// Its API server.
    pub plane: ControlPlane,
    /// The stores of this process.
    pub stores: Arc<Stores>,
    /// The way into its pods.
    pub kubelet: Arc<dyn Kubelet>,
    controllers: controllers::Handle,
    sandbox: sandbox::Handle,
}

impl SandboxHost {
    /// Opens the folder and starts.
    ///
    /// # Errors
    /// When the folder cannot be used or the nodes cannot be registered.
    pub async fn start(
        folder: PathBuf,
        stores: Arc<Stores>,
        listener: TcpListener,
        options: sandbox::Options,
    ) -> Result<Self, Error> {
        let sandbox = Sandbox::new(options);
        let kubelet = sandbox.kubelet();
        let plane = ControlPlane::start(ControlPlaneOptions {
            folder,
            storage: Storage::Embedded { cache_bytes: None, most_bytes: None },
            stores: stores.clone(),
            listener,
            hosts: vec![],
            advertise: None,
            service_cidr: Cidr::parse("10.96.0.0/16").ok_or_else(|| Error("bad range".into()))?,
            addresses: None,
            outbound: None,
            static_tokens: Default::default(),
            security: Default::default(),
            threads: None,
            kubelet: Some(kubelet.clone()),
        })
        .await?;
        let controllers = plane.control(Which::All)?;
        let sandbox =
            sandbox.start(plane.client("joey-sandbox")).await.map_err(|e| Error(format!("sandbox: {e}")))?;
        Ok(Self { plane, stores, kubelet, controllers, sandbox })
    }

    /// Stops everything and waits for it.
    pub async fn stop(self) {
        let Self { plane, controllers, sandbox, .. } = self;
        sandbox.stop().await;
        controllers.stop().await;
        plane.stop().await;
    }
}
