//! `joey operator`: the virtual clusters of any host, from outside of it.

use crate::telling::say;
use clap::Args;
use hostclient::RemoteKubelet;
use hub::backup::BackupSocket;
use hub::{Error, FolderLock, Forwarder, Operator, Place, Stores};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use syncer::{Host, Rights};

#[derive(Args)]
pub(crate) struct Operate {
    /// The host's kubeconfig; otherwise $KUBECONFIG, ~/.kube/config, or the pod this runs in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The host's context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Folder for the virtual clusters' keys and data.
    #[arg(long, value_name = "DIR", required_unless_present = "print_manifests")]
    data_dir: Option<PathBuf>,
    /// Address that virtual clusters listen on, each (and its DNS) on a port of its own: the first free ones from PORT on, or
    /// any.
    #[arg(long, value_name = "ADDR[:PORT]", default_value = "127.0.0.1", value_parser = with_port::<0>)]
    listen: SocketAddr,
    /// Address that clients and pods use to reach them, if another one.
    #[arg(long, value_name = "IP")]
    advertise_address: Option<IpAddr>,
    /// Follow the VirtualClusters of this namespace only; more than one may be given [default: of all].
    #[arg(long, value_name = "NS")]
    namespace: Vec<String>,
    /// DNS server for names outside of virtual clusters, with :PORT if that is not 53; more than one may be given [default: those
    /// in /etc/resolv.conf].
    #[arg(long, value_name = "ADDR", value_parser = with_port::<53>)]
    dns_upstream: Vec<SocketAddr>,
    /// Print what to apply on the host so that joey may run in it (definition, account, rights, deployment), and do nothing else.
    #[arg(long)]
    print_manifests: bool,
    /// The image that the printed deployment runs.
    #[arg(long, value_name = "IMAGE", default_value = "joey", requires = "print_manifests")]
    image: String,
    /// The namespace that the printed deployment is in.
    #[arg(long, value_name = "NS", default_value = "joey-system", requires = "print_manifests")]
    own_namespace: String,
}

/// An address and a port, which is `DEFAULT` where none is given.
fn with_port<const DEFAULT: u16>(text: &str) -> Result<SocketAddr, String> {
    let plain = text.parse().map(|ip| SocketAddr::new(ip, DEFAULT));
    plain.or_else(|_| text.parse()).map_err(|_| "expected an IP address, or an IP address and a port".into())
}

impl Operate {
    pub async fn run(self) -> Result<(), Error> {
        let Some(folder) = self.data_dir.clone().filter(|_| !self.print_manifests) else {
            return self.print();
        };
        let connection =
            hostclient::connect(self.kubeconfig.as_deref(), self.context.as_deref(), "joey-operator")
                .await
                .map_err(|e| Error(e.0))?;
        let server = connection.server;
        // The first thing that needs credentials: what is wrong shows here, before anything is made.
        let version = connection.client.raw("/version", "application/json");
        let version = super::unless_interrupted(async { Ok(version.await) }).await?;
        version.map_err(|e| match e.code() {
            401 => Error(format!(
                "{server} does not accept these credentials: give others with --kubeconfig or --context"
            )),
            403 => Error(format!("{server} does not allow these credentials to do anything: {e}")),
            _ => Error(format!("cannot reach {server}: {e}; is it running, and is this its address?")),
        })?;
        let _lock = FolderLock::take(&folder)?;
        let mut rights = Rights::of(&connection.client)
            .await
            .map_err(|e| Error(format!("cannot ask {server} what these credentials allow: {e}")))?;
        rights.everywhere &= self.namespace.is_empty();
        let host = Host::with_rights(connection.client.clone(), rights);
        let stores = Stores::new();
        let place = Place {
            folder: folder.join("clusters"),
            stores: stores.clone(),
            listen: self.listen,
            advertise: self.advertise_address,
            fenced: true,
            names: Some(Arc::new(match self.dns_upstream.is_empty() {
                true => Forwarder::system(),
                false => Forwarder::new(self.dns_upstream),
            })),
        };
        let _backups = BackupSocket::listen(&folder, stores)?;
        let kubelet = Arc::new(RemoteKubelet::new(connection.kube));
        let operator =
            super::unless_interrupted(Operator::start(host, place, kubelet, &self.namespace)).await?;
        say!("following the VirtualClusters of {server}");
        super::interrupted().await;
        operator.stop().await;
        Ok(())
    }

    fn print(&self) -> Result<(), Error> {
        let of = deploy::Installation {
            namespace: &self.own_namespace,
            image: &self.image,
            tenants: &self.namespace,
        };
        for manifest in deploy::manifests(&of) {
            say!("---\n{}", hub::kubeconfig::to_text(&manifest)?.trim_end());
        }
        Ok(())
    }
}
