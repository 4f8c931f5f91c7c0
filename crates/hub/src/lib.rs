//! Where a virtual cluster comes together: keys, store, API server, listener, controllers, syncer. And the hub, which runs
//! many of them in one process and follows `VirtualCluster` objects on a host.

mod control_plane;
mod error;
mod host_addresses;
mod identity;
pub mod kubeconfig;
mod operator;
mod sandbox_host;
mod tenant;

pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use error::Error;
pub use identity::{Credentials, Identity};
pub use operator::Operator;
pub use sandbox_host::SandboxHost;
pub use tenant::{Place, Tenant, bind};
