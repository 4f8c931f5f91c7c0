//! `joey operator`: the virtual clusters of any host, from outside of it.

use crate::telling::say;
use clap::Args;
use hostclient::RemoteKubelet;
use hub::{Error, Operator, Place};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use syncer::Host;

#[derive(Args)]
pub(crate) struct Operate {
    /// The host's kubeconfig; otherwise $KUBECONFIG, ~/.kube/config, or the pod this runs in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The host's context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Folder for the virtual clusters' keys and data.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Address that virtual clusters listen on, each on a port of its own.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Address that clients and pods use to reach them, if another one.
    #[arg(long, value_name = "IP")]
    advertise_address: Option<IpAddr>,
}

impl Operate {
    pub async fn run(self) -> Result<(), Error> {
        let connection =
            hostclient::connect(self.kubeconfig.as_deref(), self.context.as_deref(), "joey-operator")
                .await
                .map_err(|e| Error(e.0))?;
        let version = connection.client.raw("/version", "application/json").await;
        version.map_err(|e| Error(format!("cannot reach {}: {e}", connection.server)))?;
        let host = Host::new(connection.client.clone());
        let place = Place {
            folder: self.data_dir.join("clusters"),
            listen: self.listen,
            advertise: self.advertise_address,
        };
        let kubelet = Arc::new(RemoteKubelet::new(connection.kube));
        let operator = Operator::start(host, place, kubelet).await?;
        say!("following the VirtualClusters of {}", connection.server);
        super::interrupted().await;
        operator.stop().await;
        Ok(())
    }
}
