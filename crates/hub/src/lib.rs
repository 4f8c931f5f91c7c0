//! Where a virtual cluster comes together: keys, store, API server, listener, controllers, syncer. And the hub, which runs
//! many of them in one process and follows `VirtualCluster` objects on a host.

mod control_plane;
mod error;
mod identity;
pub mod kubeconfig;

pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use error::Error;
pub use identity::Identity;
