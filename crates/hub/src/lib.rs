//! Where a virtual cluster comes together: keys, store, API server, listener, controllers, syncer. And the hub, which runs
//! many of them in one process and follows `VirtualCluster` objects on a host.

mod control_plane;
mod error;
mod folder;
mod host_addresses;
mod identity;
pub mod kubeconfig;
mod name_server;
mod operator;
mod sandbox_host;
mod security;
mod tenant;
mod token_keys;

/// Who knows the names that are no virtual cluster's.
pub use dns::Forwarder;
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use error::Error;
pub use folder::FolderLock;
pub use identity::{Credentials, Identity};
pub use operator::Operator;
pub use sandbox_host::SandboxHost;
pub use security::{Security, certificates};
pub use token_keys::TokenKeys;
pub use tenant::{Place, Tenant, bind};
