//! Virtual objects to host objects and back. Pure: values in, values out, no client in reach.
//!
//! Everything that a tenant could smuggle through to the host (host paths and namespaces, other tenants' names, tokens,
//! foreign annotations) is decided here, and tested as tables. What is not understood is not passed on.
//!
//! A host object is found again by the annotations that [`marks`] defines, never by taking its name apart; one whose recorded
//! virtual uid differs is not ours to touch.

mod affinity;
mod claim;
mod config;
mod containers;
mod endpoints;
mod event;
pub mod marks;
pub mod names;
mod node;
mod placement;
mod pod;
mod policy;
mod service;
mod status;
mod volumes;

pub use claim::{claim, claim_status, volume};
pub use config::config;
pub use endpoints::{endpoint_slice, has_own_endpoints};
pub use event::event;
pub use node::node;
pub use placement::{may_use, taint_keys};
pub use pod::{PodContext, ephemeral_containers, pod, pod_resize, pod_update, refused_debugging};
pub use policy::Policy;
pub use service::{adopt_addresses, is_name_server, service, service_status};
pub use status::pod_status;

/// The virtual cluster that objects are translated for.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name, unique in its host namespace.
    pub name: String,
    /// The host namespace it lives in.
    pub host_namespace: String,
    /// What its tenants may ask of the host.
    pub policy: Policy,
    /// DNS server for its pods; `None` leaves DNS to the host.
    pub dns: Option<std::net::IpAddr>,
    /// The DNS domain of its services.
    pub domain: String,
}

#[cfg(test)]
impl Cluster {
    /// `demo` in `joey-demo`, with the strictest policy.
    fn test() -> Self {
        Self {
            name: "demo".into(),
            host_namespace: "joey-demo".into(),
            policy: Policy::default(),
            dns: None,
            domain: "cluster.local".into(),
        }
    }
}

/// Why an object may not go to the host, for an event on the virtual one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);
