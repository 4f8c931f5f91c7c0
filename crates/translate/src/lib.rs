//! Virtual objects to host objects and back. Pure: values in, values out, no client in reach.
//!
//! Everything that a tenant could smuggle through to the host (host paths and namespaces, other tenants' names, tokens,
//! foreign annotations) is decided here, and tested as tables. What is not understood is not passed on.
//!
//! A host object is found again by the annotations that [`marks`] defines, never by taking its name apart; one whose recorded
//! virtual uid differs is not ours to touch.

mod affinity;
#[cfg(test)]
mod attacks;
mod claim;
mod config;
mod containers;
mod endpoints;
mod event;
pub mod fence;
mod ingress;
pub mod marks;
pub mod names;
pub mod network_policy;
mod node;
mod placement;
mod pod;
mod policy;
mod service;
mod status;
mod volumes;

pub use claim::{claim, claim_status, volume};
pub use config::config;
pub use endpoints::{endpoint_slice, has_own_endpoints, is_exposed};
pub use event::event;
pub use fence::Ways;
pub use ingress::{ingress, ingress_references, ingress_status};
pub use network_policy::network_policy;
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
    /// What surrounds its pods.
    pub network: Network,
}

/// What surrounds a virtual cluster's pods.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    /// Where its API and DNS servers are; `None` where nobody has to know.
    pub ways: Option<Ways>,
    /// Whether its pods are fenced off from private networks and other pods.
    pub fenced: bool,
}

/// Virtual namespaces and their labels.
pub type Namespaces = std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>;

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
            network: Network::default(),
        }
    }
}

/// Why an object may not go to the host, for an event on the virtual one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);
