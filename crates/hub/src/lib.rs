//! Where a virtual cluster comes together: keys, store, API server, listener, controllers, syncer. And the hub, which runs
//! many of them in one process and follows `VirtualCluster` objects on a host.

mod announce;
mod audit_webhook;
pub mod backup;
mod control_plane;
mod error;
mod folder;
mod host_addresses;
mod identity;
pub mod kubeconfig;
mod name_server;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod oidc_test;
mod operator;
mod sandbox_host;
mod security;
mod shared_keys;
mod storage;
mod stores;
mod tenant;
mod token_keys;

pub use audit_webhook::AuditWebhook;
pub use control_plane::{ControlPlane, ControlPlaneOptions};
/// Who knows the names that are no virtual cluster's.
pub use dns::Forwarder;
pub use error::Error;
pub use folder::FolderLock;
pub use identity::{Credentials, Identity};
pub use operator::Operator;
pub use sandbox_host::SandboxHost;
pub use security::{Security, certificates};
pub use storage::Storage;
/// Which etcd holds a control plane's data.
pub use store::etcd::Options as EtcdOptions;
pub use stores::Stores;
pub use tenant::{Place, Tenant, bind};
pub use token_keys::TokenKeys;
